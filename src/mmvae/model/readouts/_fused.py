"""What the decoders read, the fused latent: of cells, and of places in one latent. C cells."""

import torch
from torch import Tensor
from torch.distributions import Normal

from mmvae.fusion import Fusion, Posteriors
from mmvae.model._data import ReferenceMemory

CERTAIN = 1e-4


def fused_mean(fusion: Fusion, posteriors: Posteriors) -> Tensor:
    """What the decoders read at the posterior mean, ``(n_cells, n_output)``."""
    return fusion.fuse(fusion.posterior(posteriors).loc, posteriors)


def weighted(fusion: Fusion, memory: ReferenceMemory, fused: Tensor) -> Tensor:
    """Each modality's part of what the decoders read, its draws at total variance 1, shrunk by its reliability.

    A learned prior lets a latent have any scale, so its variance says nothing of its weight. The factor is
    Kelley's: the expectation of a true score, given an observed one of reliability r, is r times that.
    """
    parts = fusion.split(fused)
    if not parts or memory.reliability is None or memory.scale is None:
        return fused
    return torch.cat([memory.reliability[name] / memory.scale[name] * part for name, part in parts.items()], dim=-1)


def fused_from(fusion: Fusion, latent: str, values: Tensor, *, draw: bool) -> Tensor:
    """What the decoders read of cells that lie at ``values``, ``(n_cells, width)``, in one latent, ``(n_cells, n_output)``.

    Latents that the fusion imputes are drawn, or at their mean.
    """
    # As if the encoders of the latent's modalities had put the cells there and the others had seen nothing.
    normals, encoded = {}, []
    for name, width in fusion.n_latent.items():
        own, dims = fusion.latent_of(name)
        loc = values[:, dims] if own == latent else values.new_zeros(len(values), width)
        normals[name] = Normal(loc, torch.full_like(loc, CERTAIN), validate_args=False)
        encoded.append(own == latent)
    posteriors = Posteriors.masked(normals, torch.tensor(encoded, device=values.device).expand(len(values), -1))
    if all(encoded):
        return fusion.fuse(values, posteriors)
    return fusion.fuse(fusion.draw(posteriors).latent, posteriors) if draw else fused_mean(fusion, posteriors)
