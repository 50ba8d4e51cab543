"""How much each modality's latent counts in the fused representation. G_m features, n_m cells that have modality m."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import permutations

import numpy as np
import torch
from torch import Tensor

from mmvae.analysis import certain_share, split_half_reliability, told_by_neighbors, total_scale
from mmvae.fusion import Fusion, Posteriors
from mmvae.model._data import ReferenceMemory
from mmvae.model._reader import Reader
from mmvae.module import Minibatch, MultiVAEModule
from mmvae.nn import SparseRows
from mmvae.train import seeded

MOST_CELLS = 10_000


def weighted(fusion: Fusion, memory: ReferenceMemory, fused: Tensor) -> Tensor:
    """Each modality's part of what the decoders read, its draws at total variance 1, times the modality's weight.

    A learned prior lets a latent have any scale.
    """
    parts, weights = fusion.split(fused), memory.weights
    if not parts or weights is None or memory.scale is None:
        return fused
    return torch.cat([weights[name] / memory.scale[name] * part for name, part in parts.items()], dim=-1)


@dataclass
class Readings:
    """What is read of the cells that have a modality, in pieces.

    ``rows`` are numbers of the cells, ``(n_m,)``, ``means`` and ``variances`` those of its own posterior, ``(n_m, D_m)``,
    ``drawn`` draws of what the decoders read of it, and ``halves`` means by either half of its features, ``(2, n_m, D_m)``.
    """

    rows: list[Tensor] = field(default_factory=list)
    means: list[Tensor] = field(default_factory=list)
    variances: list[Tensor] = field(default_factory=list)
    drawn: list[Tensor] = field(default_factory=list)
    halves: list[Tensor] = field(default_factory=list)

    def add(self, **pieces: Tensor) -> None:
        """Take a piece of each."""
        for name, piece in pieces.items():
            getattr(self, name).append(piece.cpu())

    def of(self, name: str, dim: int = 0) -> Tensor:
        """All pieces together."""
        return torch.cat(getattr(self, name), dim=dim).double()


@torch.inference_mode()
def measure_modalities(
    reader: Reader, sample: Iterable[dict[str, Tensor]] | None = None
) -> dict[str, dict[str, float]]:
    """By modality ``reliability``, ``certainty``, ``agreement`` and ``scale``, from training cells or ``sample``."""
    generator = np.random.default_rng(0)
    cells = _cells(reader, generator) if sample is None else None
    halves = {name: _halves(reader, name, generator) for name in reader.names}
    found = {name: Readings() for name in reader.names}
    with seeded(0):
        start = 0
        for minibatch, posteriors in reader.posteriors(None, cells, dataloader=sample):
            _read(reader.module, minibatch, posteriors, halves, start, found)
            start += len(minibatch)
    read = {name: own for name, own in found.items() if own.rows}
    ones = dict.fromkeys(reader.names, 1.0)
    certainty = ones | {name: certain_share(own.of("means"), own.of("variances")) for name, own in read.items()}
    told = _told(read)
    return {
        "reliability": ones | {name: split_half_reliability(*own.of("halves", 1)) for name, own in read.items()},
        "certainty": certainty,
        "agreement": {name: certainty[name] * told.get(name, float("nan")) for name in reader.names},
        "scale": ones | {name: total_scale(own.of("drawn")) for name, own in read.items()},
    }


def _read(
    module: MultiVAEModule,
    minibatch: Minibatch,
    posteriors: Posteriors,
    halves: Mapping[str, Tensor],
    start: int,
    found: Mapping[str, Readings],
) -> None:
    """Add what a minibatch, whose first cell is number ``start``, tells of each modality that is in it."""
    parts = module.fusion.split(module.infer(minibatch, posteriors).fused)
    for name, rows in minibatch.rows.items():
        if len(rows):
            own, shown = module.fusion.unimodal_posterior(name, posteriors), module.encoder_input(name, minibatch)
            found[name].add(
                rows=rows + start,
                means=minibatch.take(name, own.loc),
                variances=minibatch.take(name, own.variance),
                drawn=minibatch.take(name, parts[name]) if parts else torch.zeros(0, 1),
                halves=_means_of_halves(module.encoders[name], shown, halves[name]),
            )


def _cells(reader: Reader, generator: np.random.Generator) -> np.ndarray:
    """At most 10,000 training cells at random, and as many of those that have several modalities."""
    order, present = reader.cells(reader.data(), generator.permutation(reader.training_cells()))
    return np.union1d(order[:MOST_CELLS], order[present.sum(axis=1) > 1][:MOST_CELLS])


def _halves(reader: Reader, name: str, generator: np.random.Generator) -> Tensor:
    """Which features are in the first half and which in the second, ``(2, G_m)``; all in both if there is one."""
    n_features = reader.module.likelihoods[name].n_features
    first = generator.permutation(n_features) < n_features // 2
    both = np.stack([first, ~first]) if n_features > 1 else np.ones((2, 1), dtype=bool)
    return torch.as_tensor(both, dtype=torch.float32, device=reader.module.device)


def _means_of_halves(encoder: torch.nn.Module, shown: Tensor | SparseRows, halves: Tensor) -> Tensor:
    """Posterior means from either half of the features, ``(2, n_m, D_m)``, scaled to the sum of all as in dropout."""
    scaled = halves / halves.mean(dim=1, keepdim=True)
    parts = [shown.apply(half[shown.columns].mul) if isinstance(shown, SparseRows) else shown * half for half in scaled]
    return torch.stack([encoder(part).loc for part in parts])


def _told(read: Mapping[str, Readings]) -> dict[str, float]:
    """Share of the variance of each modality's means that the one which tells most of it tells; NaN where none can."""
    means = {name: own.of("means").numpy() for name, own in read.items()}
    rows = {name: torch.cat(own.rows).numpy() for name, own in read.items()}
    told = dict.fromkeys(read, float("nan"))
    for source, target in permutations(read, 2):
        both = np.intersect1d(rows[source], rows[target], assume_unique=True, return_indices=True)[1:]
        pair = (means[name][own] for name, own in zip((source, target), both, strict=True))
        told[target] = float(np.fmax(told[target], told_by_neighbors(*pair)))
    return told
