"""How much each modality's latent counts in the fused representation. G_m features, n_m cells that have modality m."""

from collections.abc import Iterable
from itertools import permutations

import numpy as np
import torch
from torch import Tensor

from mmvae.analysis import split_half_reliability, told_by_neighbors, total_scale
from mmvae.fusion import Fusion
from mmvae.model._data import ReferenceMemory
from mmvae.model._reader import Reader
from mmvae.nn import SparseRows
from mmvae.train import seeded

MOST_CELLS = 10_000
ByModality = dict[str, list[Tensor]]


def weighted(fusion: Fusion, memory: ReferenceMemory, fused: Tensor) -> Tensor:
    """Each modality's part of what the decoders read, its draws at total variance 1, times the modality's weight.

    A learned prior lets a latent have any scale.
    """
    parts, weights = fusion.split(fused), memory.weights
    if not parts or weights is None or memory.scale is None:
        return fused
    return torch.cat([weights[name] / memory.scale[name] * part for name, part in parts.items()], dim=-1)


@torch.inference_mode()
def measure_modalities(
    reader: Reader, sample: Iterable[dict[str, Tensor]] | None = None
) -> dict[str, dict[str, float]]:
    """``reliability``, ``agreement`` and ``scale`` of each modality's latent, from training cells or ``sample``."""
    generator, start = np.random.default_rng(0), 0
    cells = _cells(reader, generator) if sample is None else None
    halves = {name: _halves(reader, name, generator) for name in reader.names}
    read, means, drawn, rows = (ByModality({name: [] for name in reader.names}) for _ in range(4))
    module = reader.module
    with seeded(0):
        for minibatch, posteriors in reader.posteriors(None, cells, dataloader=sample):
            parts = module.fusion.split(module.infer(minibatch, posteriors).fused)
            for name in reader.names:
                if len(minibatch.rows[name]):
                    shown = module.encoder_input(name, minibatch)
                    read[name].append(_means_of_halves(module.encoders[name], shown, halves[name]).cpu())
                    drawn[name].append(minibatch.take(name, parts[name]).cpu() if parts else torch.zeros(0, 1))
                    means[name].append(
                        minibatch.take(name, module.fusion.unimodal_posterior(name, posteriors).loc).cpu()
                    )
                    rows[name].append(minibatch.rows[name].cpu() + start)
            start += len(minibatch)
    reliability = {n: split_half_reliability(*torch.cat(r, dim=1).double()) for n, r in read.items() if r}
    scale = {n: total_scale(torch.cat(d).double()) for n, d in drawn.items() if d}
    ones = dict.fromkeys(reader.names, 1.0)
    return {"reliability": ones | reliability, "agreement": _agreement(means, rows), "scale": ones | scale}


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


def _agreement(means: ByModality, rows: ByModality) -> dict[str, float]:
    """Share of the variance of each modality's latent that the one which tells most of it tells; NaN where none can.

    ``rows`` are the numbers of the cells that ``means`` are of.
    """
    latents = {name: torch.cat(part).double().numpy() for name, part in means.items() if part}
    numbers = {name: torch.cat(rows[name]).numpy() for name in latents}
    found = dict.fromkeys(means, float("nan"))
    for source, target in permutations(latents, 2):
        both = np.intersect1d(numbers[source], numbers[target], assume_unique=True, return_indices=True)[1:]
        told = told_by_neighbors(*(latents[name][own] for name, own in zip((source, target), both, strict=True)))
        found[target] = float(np.fmax(found[target], told))
    return found
