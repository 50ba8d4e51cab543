"""How sure a trained module's imputation is."""

from collections.abc import Iterable

import torch
from torch import Tensor

from mmvae.fusion import Posteriors
from mmvae.module import MultiVAEModule

from ._divergence import NonFiniteError, are_finite, weights_of


@torch.no_grad()
def calibrate_imputation(module: MultiVAEModule, held_out: Iterable[dict[str, Tensor]], epoch: int) -> None:
    """Make the imputation of latents as sure as it proves right in minibatches of cells not trained on; of none, nothing.

    If that comes to something that is not finite, it is as sure as it was, and a :class:`NonFiniteError` says so.
    """
    module.eval()
    found = [module.encode(module.minibatch(tensors)) for tensors in held_out]
    if not found:
        return
    before = weights_of(module.fusion)
    module.fusion.calibrate(Posteriors.together(found))
    if not are_finite(module.fusion.state_dict()):
        module.fusion.load_state_dict(before)
        raise NonFiniteError("the calibration of imputation on validation cells is not finite", epoch)
