"""How far draws of a modality that cells do not show can be relied on. C cells, G features, S draws."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import torch

from mmvae.analysis import DepthModel, Recalibration, places, spread_wanted
from mmvae.data import some_of
from mmvae.model._reader import Reader
from mmvae.module import Minibatch
from mmvae.nn import dense
from mmvae.train import seeded

from ._decoding import Request
from ._draws import Draws, Hidden, Totals, block, drawn
from ._posteriors import fused_mean

N_DRAWS, MOST_FEATURES = 50, 1_000
# Values of all draws of the held-out cells, and how many cells that are.
MOST_VALUES, FEWEST_CELLS, MOST_CELLS = 2**27, 50, 1_000


@dataclass(frozen=True)
class Calibration:
    """How deep cells would have been measured, at which levels of the draws counts lie, and how much wider rates are."""

    depth: DepthModel
    counts: Recalibration
    rate_spread: float

    @classmethod
    def remembered(cls, known: dict[str, Any]) -> Self:
        """From what a model remembers."""
        return cls(DepthModel(**known["depth"]), Recalibration(**known["counts"]), known["rate_spread"])


def calibration(reader: Reader, name: str) -> Calibration:
    """As the model remembers it, or else by its held-out cells."""
    known = reader.model.memory.imputation or {}
    if name not in known:
        _check_measurable(reader, name)
        with seeded(0):
            known = known | {name: asdict(_measured(reader, name))}
        reader.model.remember(imputation=known)
    return Calibration.remembered(known[name])


def is_measurable(reader: Reader, name: str) -> bool:
    """Whether training cells show what another modality tells of this one."""
    return reader.has_training_values and len(joint_cells(reader, name, reader.training_cells())) > 0


def _check_measurable(reader: Reader, name: str) -> None:
    if is_measurable(reader, name):
        return
    if reader.has_training_values:
        msg = f"Expected training cells that have '{name}' and another modality, to calibrate intervals by; got none. "
        msg += "Leave out interval."
    else:
        msg = (
            f"Expected the data that the model was trained with, with their values, to calibrate intervals of '{name}' by; "
            "got none, others, or minified ones. Load the model with those. What is found is saved with the model."
        )
    raise ValueError(msg)


def joint_cells(reader: Reader, name: str, cells: np.ndarray | None) -> np.ndarray:
    """Those of the cells that have the modality and another, in random order, always the same."""
    given = np.asarray([] if cells is None else cells, dtype=int)
    cells, presence = reader.cells(reader.data(), np.random.default_rng(0).permutation(given))
    return cells[presence[:, reader.names.index(name)] & (presence.sum(axis=1) > 1)]


def _measured(reader: Reader, name: str) -> Calibration:
    depth = _depth(reader, name)
    features = reader.features(name)
    chosen = some_of(len(features), MOST_FEATURES)
    request = Request(reader, name, gene_list=list(features[chosen]), n_samples=N_DRAWS)
    most = int(np.clip(MOST_VALUES // (N_DRAWS * len(features)), FEWEST_CELLS, MOST_CELLS))
    cells = joint_cells(reader, name, reader.model.validation_indices_)[:most]
    if not len(cells):
        return Calibration(depth, Recalibration.even(), 1.0)
    held_out = Hidden(reader, reader.data(), cells, [name])
    generator = np.random.default_rng(0)
    placed = [(d.mean, places(d.counts, values, generator)) for d, values in _draws(held_out, request, depth.totals)]
    means, found = (np.concatenate(part).ravel() for part in zip(*placed, strict=True))
    spreads = [(d.counts.var(axis=-1, ddof=1), d.mean, d.variance, v) for d, v in _draws(held_out, request, None)]
    spread = spread_wanted(*(np.concatenate(part) for part in zip(*spreads, strict=True)), n_draws=N_DRAWS)
    return Calibration(depth, Recalibration.fit(means, found, len(cells)), spread)


def _draws(hidden: Hidden, request: Request, totals: Totals | None) -> Iterator[tuple[Draws, np.ndarray]]:
    """Draws of cells and what was measured, ``(C, G)``; at the depth of the measurement unless ``totals`` says another."""
    name = request.modality
    for minibatch, seen in hidden.minibatches(block(request)):
        known = minibatch.size_factors[name].cpu().numpy().ravel()
        values = dense(minibatch.values[name])[:, request.columns[name]].cpu().numpy()
        yield drawn(hidden.reader, seen, request, totals or _always(known)), values


def _always(totals: np.ndarray) -> Totals:
    return lambda latent, batch, noise: totals


@torch.inference_mode()
def _depth(reader: Reader, name: str) -> DepthModel:
    """By training cells that have the modality and another."""
    cells = joint_cells(reader, name, reader.training_cells())[:MOST_CELLS]
    parts = [_seen(reader, *pair, name) for pair in Hidden(reader, reader.data(), cells, [name]).minibatches()]
    latent, batch, totals = (np.concatenate(part) for part in zip(*parts, strict=True))
    return DepthModel.fit(latent, batch.ravel(), totals.ravel())


def _seen(reader: Reader, minibatch: Minibatch, seen: Minibatch, name: str) -> tuple[np.ndarray, ...]:
    """What the decoders read, batches, and size factors in the modality."""
    latent = fused_mean(reader.module.fusion, reader.module.encode(seen))
    return tuple(v.cpu().numpy() for v in (latent, minibatch.covariates.batch, minibatch.size_factors[name]))
