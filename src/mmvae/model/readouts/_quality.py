"""How well a modality is predicted, beside plain methods. N training cells, C held-out cells, F features."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from scvi import REGISTRY_KEYS

from mmvae.analysis import by_label, by_neighbors, by_ridge, components, correlations, lead
from mmvae.model._reader import Reader, labels_of
from mmvae.module import Minibatch
from mmvae.nn import SparseRows

from ._calibration import joint_cells
from ._draws import Hidden
from ._effects import cells_at_a_time
from ._posteriors import fused_mean

OWN = "mmvae"
MOST_CELLS, LEAST_CELLS, MOST_FEATURES, MOST_READ = 2_000, 20, 500, 2_000


@dataclass(frozen=True)
class Quality:
    """Scores by method, ``(F,)`` each, and by how much mmvae's mean correlation leads, with its standard error."""

    features: np.ndarray
    correlation: dict[str, np.ndarray]
    error: dict[str, np.ndarray]
    n_cells: int
    lead: float
    lead_error: float

    @property
    def is_beaten(self) -> bool:
        """Whether the best of the plain methods leads by more than the standard error."""
        return self.lead < -self.lead_error

    def frame(self) -> pd.DataFrame:
        """Features by score and method."""
        parts = {"correlation": self.correlation, "error": self.error}
        columns = {(score, method): own for score, by_method in parts.items() for method, own in by_method.items()}
        return pd.DataFrame(columns, index=pd.Index(self.features, name="feature"))

    def words(self, modality: str) -> str:
        """What a user should know."""
        means = {method: float(np.nanmean(own)) for method, own in self.correlation.items()}
        best = max((method for method in means if method != OWN), key=means.__getitem__)
        return (
            f"'{modality}' of {self.n_cells:,} validation cells is predicted no better by the model than by {best} (mean "
            f"correlation {means[OWN]:.3f} and {means[best]:.3f}). Look at check_imputation('{modality}') before you use it."
        )


class Seen(NamedTuple):
    """Of cells, what the encoders see by modality, and which batch they are of."""

    values: dict[str, sp.csr_matrix]
    batch: np.ndarray


def quality(reader: Reader, name: str) -> Quality | None:
    """As the model remembers it, or else of its validation cells; ``None`` where there are too few to tell."""
    known = reader.model.memory.imputation_quality or {}
    if name not in known:
        found = _measured(reader, name) if reader.has_training_values else None
        if found is None:
            return None
        known = known | {name: asdict(found)}
        reader.model.remember(imputation_quality=known)
    return Quality(**known[name])


@torch.inference_mode()
def _measured(reader: Reader, name: str) -> Quality | None:
    model = reader.model
    train, test = (
        joint_cells(reader, name, c)[:MOST_CELLS] for c in (reader.training_cells(), model.validation_indices_)
    )
    if min(len(train), len(test)) < LEAST_CELLS:
        return None
    order = np.concatenate([train, test])
    seen = _read(reader, order)
    chosen = _most_variable(seen.values[name][: len(train)], MOST_FEATURES)
    target = seen.values[name][:, chosen].toarray()
    known, own = target[: len(train)], target[len(train) :]
    own_method = _predicted(Hidden(reader, reader.data(), test, [name]), chosen)
    predicted = {OWN: own_method, **_plainly(reader, name, seen, order, known)}
    others = [values for method, values in predicted.items() if method != OWN]
    ahead, error = lead(predicted[OWN], others, own)
    return Quality(
        features=reader.features(name)[chosen],
        correlation={method: correlations(values, own) for method, values in predicted.items()},
        error={method: np.sqrt(((values - own) ** 2).mean(axis=0)) for method, values in predicted.items()},
        n_cells=len(test),
        lead=ahead,
        lead_error=error,
    )


def _plainly(reader: Reader, name: str, seen: Seen, order: np.ndarray, known: np.ndarray) -> dict[str, np.ndarray]:
    """What plain methods predict of the cells after the first ones, whose target is ``known``."""
    n = len(known)
    scores = np.hstack([_components(values, n) for other, values in seen.values.items() if other != name])
    batches = seen.batch[:, None] == np.unique(seen.batch)
    told = np.hstack([scores, batches])
    found = {
        "ridge": by_ridge(told[:n], known, told[n:]),
        "neighbors": by_neighbors(scores[:n], known, scores[n:]),
    }
    if labels_of(reader.model.registry_):
        codes = reader.codes(REGISTRY_KEYS.LABELS_KEY)[order]
        found["label"] = by_label(codes[:n], known, codes[n:])
    return found


def _components(values: sp.csr_matrix, n_train: int) -> np.ndarray:
    """Principal components of a modality of all cells; 0 in those that lack it, whose rows are empty."""
    has = np.flatnonzero(values.getnnz(axis=1))
    chosen = values[has][:, _most_variable(values[:n_train], MOST_READ)].toarray()
    fitted_on = np.flatnonzero(has < n_train)
    scores = np.zeros((values.shape[0], 0))
    if len(fitted_on) > 1:
        own = components(chosen, fitted_on)
        scores = np.zeros((values.shape[0], own.shape[1]))
        scores[has] = own
    return scores


def _most_variable(values: sp.csr_matrix, most: int) -> np.ndarray:
    squares = np.asarray(values.multiply(values).mean(axis=0)).ravel()
    variance = squares - np.asarray(values.mean(axis=0)).ravel() ** 2
    return np.sort(np.argsort(-variance, kind="stable")[:most])


def _read(reader: Reader, cells: np.ndarray) -> Seen:
    """What there is of cells."""
    rows: dict[str, list[sp.csr_matrix]] = {name: [] for name in reader.names}
    batches = []
    for minibatch in reader.minibatches(None, cells):
        for name, own in _shown(reader, minibatch):
            rows[name].append(own)
        batches.append(minibatch.covariates.batch.cpu().numpy().ravel())
    return Seen({name: sp.vstack(parts, format="csr") for name, parts in rows.items()}, np.concatenate(batches))


def _predicted(hidden: Hidden, columns: np.ndarray) -> np.ndarray:
    """What the model expects of some features of the target, as encoders see values, ``(C, F)``."""
    module, (name,) = hidden.reader.module, hidden.names
    likelihood, parts = module.likelihoods[name], []
    for minibatch, seen in hidden.minibatches(cells_at_a_time(likelihood.n_features)):
        fused = fused_mean(module.fusion, module.encode(seen))
        decoded = module.decoders[name](fused, minibatch.covariates)
        values = likelihood.expected(decoded, likelihood.size_factor, minibatch.covariates.batch)
        parts.append(likelihood.encoder_input(values, likelihood.size_factor)[:, columns].cpu().numpy())
    return np.concatenate(parts)


def _shown(reader: Reader, minibatch: Minibatch) -> Iterator[tuple[str, sp.csr_matrix]]:
    """By modality what its encoder sees, a row for each cell, empty where it lacks the modality."""
    for name in reader.names:
        shown: Any = reader.module.encoder_input(name, minibatch)
        if isinstance(shown, SparseRows):
            parts = (part.cpu().numpy() for part in (shown.values, shown.rows, shown.columns))
            values, rows, columns = parts
            own = sp.csr_matrix((values, (rows, columns)), (len(shown), shown.n_columns))
        else:
            own = sp.csr_matrix(shown.cpu().numpy())
        cells = minibatch.rows[name].cpu().numpy()
        place = sp.csr_matrix((np.ones(len(cells)), (cells, np.arange(len(cells)))), (len(minibatch), len(cells)))
        yield name, sp.csr_matrix(place @ own)
