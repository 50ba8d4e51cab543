"""Where a cell lies: in the fused latent, in a modality's own, in what the modalities share. C cells."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mmvae._keys import FUSED, SHARED, UNWEIGHTED
from mmvae.analysis import SharedSubspace
from mmvae.fusion import Fusion, Posteriors
from mmvae.model._reader import Reader
from mmvae.module import Minibatch
from mmvae.train import seeded

from ._reliability import weighted

N_DRAWS = 64


@dataclass(frozen=True)
class LatentRequest:
    """Which representation, and whether its mean, its mean and variance, or the mean of ``n_samples`` draws."""

    representation: str = FUSED
    n_samples: int = 0
    return_dist: bool = False


def check_representation(reader: Reader, representation: str) -> None:
    """Refuse a representation that the model has not.

    Raises
    ------
    ValueError
        If it is unknown.
    """
    if representation not in (known := [FUSED, UNWEIGHTED, SHARED, *reader.names]):
        msg = f"Expected representation as one of {known}; got '{representation}'."
        raise ValueError(msg)


@torch.inference_mode()
def latent_representation(
    reader: Reader, cells: Iterable[tuple[Minibatch, Posteriors]], request: LatentRequest
) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
    """Values of a representation but ``"shared"``, ``(n_cells, n_dimensions)``; with ``return_dist`` means and variances."""
    means, variances = [], []
    for _, posteriors in cells:
        if request.n_samples:
            draws = [_draw(reader, request.representation, posteriors) for _ in range(request.n_samples)]
            means.append(torch.stack(draws).mean(dim=0).cpu())
            continue
        means.append(_mean(reader, request.representation, posteriors).cpu())
        if request.return_dist:
            variances.append(_variance(reader, request.representation, posteriors).cpu())
    together = torch.cat(means).numpy()
    return (together, torch.cat(variances).numpy()) if request.return_dist else together


def _mean(reader: Reader, representation: str, posteriors: Posteriors) -> Tensor:
    fusion = reader.module.fusion
    if representation not in (FUSED, UNWEIGHTED):
        return fusion.unimodal_posterior(representation, posteriors).loc
    fused = fusion.fuse(fusion.posterior(posteriors).loc, posteriors)
    return weighted(fusion, reader.memory, fused) if representation == FUSED else fused


def _draw(reader: Reader, representation: str, posteriors: Posteriors) -> Tensor:
    fusion = reader.module.fusion
    if representation not in (FUSED, UNWEIGHTED):
        return fusion.unimodal_posterior(representation, posteriors).sample()
    fused = fusion.fuse(fusion.draw(posteriors).latent, posteriors)
    return weighted(fusion, reader.memory, fused) if representation == FUSED else fused


def _variance(reader: Reader, representation: str, posteriors: Posteriors) -> Tensor:
    fusion = reader.module.fusion
    if representation not in (FUSED, UNWEIGHTED):
        return fusion.unimodal_posterior(representation, posteriors).variance
    variance = _fused_variance(fusion, posteriors)
    # What is weighted is the standard deviation.
    return weighted(fusion, reader.memory, variance.sqrt()).square() if representation == FUSED else variance


def _fused_variance(fusion: Fusion, posteriors: Posteriors) -> Tensor:
    """Variance of what the decoders read, ``(n_cells, U)``; from draws, always the same, where it is no Gaussian's.

    It is none where the fusion transforms the latent, and where a latent is imputed from draws of others.
    """
    exact, parts = fusion.posterior(posteriors).variance, fusion.split(posteriors.joined.loc)
    as_drawn = type(fusion).fuse is Fusion.fuse
    if as_drawn and (posteriors.is_complete or not parts):
        return exact
    with seeded(0):
        draws = torch.stack([fusion.fuse(fusion.draw(posteriors).latent, posteriors) for _ in range(N_DRAWS)])
    drawn = draws.var(dim=0)
    return torch.where(posteriors.by_dimension(posteriors.encoded), exact, drawn) if as_drawn else drawn


def shared_representation(reader: Reader, cells: Iterable[tuple[Minibatch, Posteriors]]) -> np.ndarray:
    """Place of each cell in what the modalities share, ``(n_cells, n_dimensions)``.

    Warns
    -----
    UserWarning
        If they share nothing beyond chance.
    """
    subspace = shared_subspace(reader)
    if subspace.n_shared == 0:
        msg = (
            f"The modalities agree on nothing beyond chance: the largest eigenvalue is {subspace.spectrum[0]:.2f}, and "
            f"chance gives up to {subspace.threshold:.2f}. 'shared' holds the two dimensions nearest to agreement, "
            "which may be noise. Use representation='fused'."
        )
        warnings.warn(msg, UserWarning, stacklevel=3)
    return subspace.transform(*_modality_means(reader, cells))


def shared_subspace(reader: Reader) -> SharedSubspace:
    """What the modalities share; fitted to the training cells on first use, and remembered."""
    if reader.memory.shared is None:
        cells = reader.training_cells()
        means, presence = _modality_means(reader, reader.posteriors(None, cells))
        reader.remember(shared=SharedSubspace.fit(means, presence, reader.batches()[cells]).to_dict())
    return SharedSubspace(**reader.memory.shared or {})


@torch.inference_mode()
def _modality_means(
    reader: Reader, cells: Iterable[tuple[Minibatch, Posteriors]]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Posterior means of each modality and which cells have it."""
    means: dict[str, list[Tensor]] = {name: [] for name in reader.names}
    present = []
    for minibatch, posteriors in cells:
        for name in reader.names:
            means[name].append(reader.module.fusion.unimodal_posterior(name, posteriors).loc.cpu())
        present.append(minibatch.present.cpu())
    return {n: torch.cat(m).double().numpy() for n, m in means.items()}, torch.cat(present).numpy()
