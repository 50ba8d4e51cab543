"""One pass of a minibatch through the module, each part made once. C cells, L latent dimensions, U fused dimensions."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from mmvae.fusion import Posteriors, PriorTerm
from mmvae.likelihoods import Emission
from mmvae.priors import PriorContext

from ._minibatch import Minibatch


@dataclass(frozen=True)
class Inference:
    """From the data to what the decoders read.

    ``latent``, ``(n_cells, L)``, is a draw; ``fused``, ``(n_cells, U)``, what the decoders read of it; ``prior_terms`` are
    what the latents pay for it, and ``contexts``, by latent, what their priors may condition on.
    """

    minibatch: Minibatch
    posteriors: Posteriors
    latent: Tensor
    fused: Tensor
    prior_terms: list[PriorTerm]
    contexts: Mapping[str, PriorContext]


@dataclass(frozen=True)
class Step:
    """An inference, and by modality how the decoders explain the values of the cells that have it."""

    inference: Inference
    emissions: Mapping[str, Emission]
