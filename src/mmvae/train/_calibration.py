"""How sure a trained module's imputation is."""

from collections.abc import Iterable

import torch
from torch import Tensor

from mmvae.fusion import Posteriors
from mmvae.module import MultiVAEModule


@torch.no_grad()
def calibrate_imputation(module: MultiVAEModule, held_out: Iterable[dict[str, Tensor]]) -> None:
    """Make the imputation of latents as sure as it proves right in minibatches of cells not trained on; of none, nothing."""
    module.eval()
    found = [module.encode(module.minibatch(tensors)) for tensors in held_out]
    if found:
        module.fusion.calibrate(Posteriors.together(found))
