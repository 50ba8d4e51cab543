"""Split-half reliability of each modality's latent, and readouts weighted by it. C cells, G_m features, D_m dimensions."""

import numpy as np
import torch
from torch import Tensor

from mmvae.analysis import split_half_reliability, total_scale
from mmvae.fusion import Fusion
from mmvae.model._memory import ReferenceMemory
from mmvae.model._reader import Reader
from mmvae.nn import SparseRows
from mmvae.train import seeded

MAX_CELLS = 10_000


def weighted(fusion: Fusion, memory: ReferenceMemory, fused: Tensor) -> Tensor:
    """Each modality's part of what the decoders read, its draws at total variance 1, shrunk by its reliability.

    A learned prior lets a latent have any scale, so its variance says nothing of its weight. The factor is
    Kelley's: the expectation of a true score, given an observed one of reliability r, is r times that.
    """
    parts = fusion.split(fused)
    if not parts or memory.reliability is None or memory.scale is None:
        return fused
    return torch.cat([memory.reliability[name] / memory.scale[name] * part for name, part in parts.items()], dim=-1)


@torch.inference_mode()
def measure_reliability(reader: Reader) -> dict[str, dict[str, float]]:
    """``reliability`` and ``scale`` of each modality's latent, from training cells read by halves of the features."""
    generator = np.random.default_rng(0)
    cells = np.sort(generator.permutation(reader.training_cells())[:MAX_CELLS])
    halves = {name: _halves(reader, name, generator) for name in reader.names}
    read: dict[str, list[Tensor]] = {name: [] for name in reader.names}
    drawn: dict[str, list[Tensor]] = {name: [] for name in reader.names}
    module = reader.module
    with seeded(0):
        for minibatch, posteriors in reader.posteriors(None, cells):
            parts = module.fusion.split(module.infer(minibatch, posteriors).fused)
            for name in reader.names:
                if len(minibatch.rows[name]):
                    shown = module.encoder_input(name, minibatch)
                    read[name].append(_means_of_halves(module.encoders[name], shown, halves[name]).cpu())
                    drawn[name].append(minibatch.take(name, parts[name]).cpu() if parts else torch.zeros(0, 1))
    ones = dict.fromkeys(reader.names, 1.0)
    reliability = {n: split_half_reliability(*torch.cat(r, dim=1).double()) for n, r in read.items() if r}
    scale = {n: total_scale(torch.cat(d).double()) for n, d in drawn.items() if d}
    return {"reliability": ones | reliability, "scale": ones | scale}


def _halves(reader: Reader, name: str, generator: np.random.Generator) -> Tensor:
    """Which features are in the first half and which in the second, ``(2, G_m)``; all in both if there is one."""
    n_features = reader.module.likelihoods[name].n_features
    first = generator.permutation(n_features) < n_features // 2
    both = np.stack([first, ~first]) if n_features > 1 else np.ones((2, 1), dtype=bool)
    return torch.as_tensor(both, dtype=torch.float32, device=reader.module.device)


def _means_of_halves(encoder: torch.nn.Module, shown: Tensor | SparseRows, halves: Tensor) -> Tensor:
    """Posterior means from either half of the features, ``(2, n_m, D_m)``, scaled to the sum of all, as dropout does."""
    scaled = halves / halves.mean(dim=1, keepdim=True)
    parts = [shown.scale_columns(half) if isinstance(shown, SparseRows) else shown * half for half in scaled]
    return torch.stack([encoder(part).loc for part in parts])
