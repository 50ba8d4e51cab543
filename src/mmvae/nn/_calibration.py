"""How far predictions of latents miss in cells that were not trained on: C cells, M modalities, L latent dimensions."""

from collections.abc import Iterable
from itertools import combinations

import torch
from torch import Tensor
from torch.distributions import Normal

from ._predictor import Predictor

CALIBRATION_DRAWS, LEARNED_COUNTS_FOR = 32, 20


@torch.no_grad()
def calibrate(predictor: Predictor, truth: Normal, encoded: Tensor) -> None:
    """Give predictions the spread with which they miss the latents, ``truth``, ``(C, L)``, of cells not trained on.

    First those of each pair, then those of each larger number of sources; of so many as no cell has with the target, each
    counts one over their number. What was learned counts for as much as 20 cells, so that a few cells cannot mislead.
    """
    n, power = len(predictor.widths), predictor.log_power
    for source in range(n):
        power[source] -= _excess(predictor, truth, encoded, [(source,)])[0].log()
    for size in range(2, n):
        excess, n_cells = _excess(predictor, truth, encoded, combinations(range(n), size))
        power[:, size] = torch.where(n_cells > 0, power[:, size] - excess.log(), power[:, 1])


def _excess(
    predictor: Predictor, truth: Normal, encoded: Tensor, subsets: Iterable[tuple[int, ...]]
) -> tuple[Tensor, Tensor]:
    """By target, the factor that variances of predictions from subsets want, nearer to 1, and cells that tell, ``(M,)``."""
    found = [_wanted(predictor, truth, encoded, list(subset)) for subset in subsets]
    factors, counts = (torch.stack(part) for part in zip(*found, strict=True))
    n_cells = counts.amax(dim=0)
    mean = factors.sum(dim=0) / counts.sum(dim=0).clamp_min(1)
    return (n_cells * mean.clamp_min(0.0) + LEARNED_COUNTS_FOR) / (n_cells + LEARNED_COUNTS_FOR), n_cells


def _wanted(predictor: Predictor, truth: Normal, encoded: Tensor, subset: list[int]) -> tuple[Tensor, Tensor]:
    """By target, the sum of the factors that cells with it and ``subset`` want, and the number of these cells.

    As in readouts, sources are drawn, so that the spread of a fill is a prediction's and that of predictions together. It
    should be that of draws of the target about the fill's mean.
    """
    sources = torch.zeros_like(encoded)
    sources[:, subset] = True
    counted = encoded & encoded[:, subset].all(dim=1, keepdim=True) & ~sources & predictor.is_informed(sources)
    guesses = [predictor(truth.sample(), sources) for _ in range(CALIBRATION_DRAWS)]
    loc, variance = torch.stack([r.loc for r in guesses]), torch.stack([r.variance for r in guesses]).mean(dim=0)
    squares = (truth.loc - loc.mean(dim=0)).square() + truth.variance
    factors = ((squares - loc.var(dim=0)) / variance).split(predictor.widths, dim=-1)
    of_cells = torch.stack([own.mean(dim=-1) for own in factors], dim=1)
    return torch.where(counted, of_cells, 0.0).sum(dim=0), counted.sum(dim=0)
