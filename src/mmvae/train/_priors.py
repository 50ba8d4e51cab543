"""Showing the priors the posteriors of training cells, from which they start."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from mmvae.module import MultiVAEModule
from mmvae.nn import in_full_precision
from mmvae.priors import PosteriorSample

from ._divergence import NonFiniteError


@torch.no_grad()
def init_priors(
    module: MultiVAEModule, read: Callable[[], Iterable[dict[str, Tensor]]], epoch: int = 0, *, late: bool = False
) -> None:
    """Start the priors that wait for posteriors; ``late``, those that wait for the end of the KL warm-up.

    Parameters
    ----------
    module
        Whose encoders give the posteriors; its mode is left as it was.
    read
        Gives minibatches of training cells; called if a prior waits.
    epoch
        Of training, for the error.
    late
        Which priors.

    Raises
    ------
    NonFiniteError
        If a posterior is not finite.
    """
    waiting = {
        n: prior for n, prior in module.priors.items() if not prior.is_initialised and prior.init_after_warmup == late
    }
    if not waiting:
        return
    found: dict[str, list[PosteriorSample]] = {name: [] for name in waiting}
    training = module.training
    module.eval()
    for tensors in read():
        for name, sample in module.posterior_samples(module.minibatch(tensors)):
            if name in found:
                found[name].append(sample)
    for name, samples in found.items():
        together = PosteriorSample.together(samples)
        if not bool(together.loc.isfinite().all() & together.scale.isfinite().all()):
            raise NonFiniteError(f"the latent of '{name}' is not finite", epoch)
        if len(together.loc) > 1:
            with in_full_precision(together.loc):
                waiting[name].init_from(together)
    module.train(training)
