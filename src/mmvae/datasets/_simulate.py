"""Simulated multi-omics cells with known truth: C cells, F features, M modalities, B batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy.sparse import csr_matrix
from scipy.special import expit, softmax

from mmvae._compat import unpulled

from ._factors import Cells, Floats, Labels, draw_cells, draw_gradient, draw_ring, draw_states
from ._mosaic import Mask, Missing, draw_presence, is_number, name_patterns

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

Measure: TypeAlias = "Callable[[Generator, Floats, Floats, Floats], tuple[NDArray[np.int64], Floats]]"

MIN_CELLS = 10
N_HIDDEN = 48
LOADING_DENSITY = 0.15
SIGNAL = 0.9
DEPTH_SPREAD = 0.4
RNA_DISPERSION = 5.0
PROTEIN_DISPERSION = 8.0
BACKGROUND = 15.0
SWITCH = 4.0


@dataclass(frozen=True)
class _Kind:
    """How one modality comes about."""

    feature: str
    n_features: int
    depth: float
    baseline_spread: float
    sparse: bool
    draw_private: Callable[[Generator, int], Floats]
    measure: Measure


@dataclass(frozen=True)
class _Measured:
    """One modality of all cells: counts and expected relative rates (n_cells, n_features), private factors."""

    counts: NDArray[np.int64]
    rates: Floats
    private: Floats


def simulate(
    n_cells: int = 1000,
    *,
    modalities: Sequence[str] | Mapping[str, int] = ("rna", "atac", "protein"),
    n_clusters: int = 8,
    n_batches: int = 3,
    batch_strength: float = 0.3,
    missing: Missing | None = None,
    spatial: bool = False,
    keep_rates: bool = False,
    seed: int = 0,
) -> MuData:
    r"""Simulate multi-omics counts of cells whose factors are known.

    Five factors s are shared by all modalities: clusters, and a trajectory through half of them. Each modality m
    has three private factors :math:`p_m` that no other modality sees: discrete states (rna), a ring (atac), a
    gradient (protein). With sparse random loadings W, random :math:`V`, baselines b, and a shift per batch,

    .. math::
        h = [s, p_m], \qquad \eta = W [\tanh(h V), h] + b, \qquad
        \rho = \operatorname{softmax}(\eta + \delta_{\text{batch}}), \qquad
        \delta \sim N(0, \text{batch\_strength}^2).

    With sequencing depth l (log-normal around the mean given here), rna counts are negative binomial around
    :math:`l \rho` (dispersion 5, mean depth 1600), atac counts are Poisson fragments (mean depth 320). A protein
    count is negative binomial around an ambient background of its protein and batch, to which :math:`l \rho`
    (mean depth 6000) is added with a probability that grows with the clean rate.

    Every part has a random stream of its own: a further modality, more features of one, or another ``missing``
    change neither the factors nor the counts of the rest.

    Parameters
    ----------
    n_cells
        Number of cells, at least 10 and at least one per cluster and per batch.
    modalities
        Names among ``"rna"``, ``"atac"`` and ``"protein"``, with 300 genes, 800 peaks and 30 proteins, or a mapping
        from names to numbers of features. The mean depth does not depend on the number of features.
    n_clusters
        Number of clusters. The first half of them lies on the trajectory.
    n_batches
        Number of batches.
    batch_strength
        Standard deviation of the batches' shifts of the log rate of each feature.
    missing
        Which cells lack what. A number: this fraction of the cells loses one modality at random. A mapping from
        patterns to fractions that sum to 1, such as ``{"rna+atac": 0.5, "rna": 0.25, "atac": 0.25}``: the patterns
        that occur. A mapping from batches to a modality, such as ``{"batch_1": "atac"}``: the whole batch lacks it.
    spatial
        Give the cells positions on hexagonal grids, one slide per batch, side by side with a gap. Clusters are
        contiguous domains; a tenth of the cells are swapped at random.
    keep_rates
        Return the expected rates of all cells, with those that were not measured.
    seed
        Seed. The same seed gives the same data.

    Returns
    -------
    Counts as ``float32``, sparse (CSR) for rna and atac, dense for protein. Cells are in the order ``cell_0``,
    ``cell_1``, ... in the MuData; with ``missing`` each modality holds only the cells that have it, **in an order of
    its own**, so that code that pairs rows by position is found out. The truth of every cell, measured or not:

    - ``obs``: ``cluster``, ``batch``, ``pattern`` (what the cell has, such as ``"rna+atac"``), and ``trajectory``
      (0 to 1, NaN outside).
    - ``obsm``: ``shared``, shape ``(n_cells, 5)``; ``private_<modality>``, shape ``(n_cells, 3)``, all standardised;
      with ``spatial``, ``spatial``, shape ``(n_cells, 2)``, in distances between neighbours; with ``keep_rates``,
      ``rate_<modality>``, shape ``(n_cells, n_features)``, rows sum to 1, without batch effect and background.

    Notes
    -----
    mudata 0.3 reorders the cells of a mosaic in ``copy`` and on reading unless its option ``pull_on_update`` is
    ``False``; names, truth and counts stay aligned.

    Raises
    ------
    ValueError, TypeError
        An argument has a value or type that cannot be used.
    """
    n_features = _check_modalities(modalities)
    _check_counts(n_cells, n_clusters, n_batches)
    _check_strength(batch_strength)
    for_cells, for_mosaic, *streams = np.random.default_rng(seed).spawn(2 + len(_KINDS))
    stream = dict(zip(_KINDS, streams, strict=True))
    cells = draw_cells(for_cells, n_cells, n_clusters=n_clusters, n_batches=n_batches, spatial=spatial)
    names = list(n_features)
    for_presence, for_order = for_mosaic.spawn(2)
    batches = [f"batch_{b}" for b in cells.batch]
    present = draw_presence(for_presence, missing, batches=batches, modalities=names)
    measured = {name: _measure(stream[name], _KINDS[name], cells, n, batch_strength) for name, n in n_features.items()}
    orders = _draw_orders(for_order, present, shuffle=missing is not None)
    mods = {name: _to_anndata(_KINDS[name], measured[name], rows) for name, rows in zip(names, orders, strict=True)}
    return _to_mudata(mods, _make_obs(cells, name_patterns(present, names)), _make_obsm(cells, measured, keep_rates))


def _measure(rng: Generator, kind: _Kind, cells: Cells, n_features: int, batch_strength: float) -> _Measured:
    for_private, for_scores, for_shift, for_size, for_counts = rng.spawn(5)
    n_cells = len(cells.batch)
    private = kind.draw_private(for_private, n_cells)
    scores = _draw_scores(for_scores, np.hstack([cells.shared, private]), n_features, kind.baseline_spread)
    shift = for_shift.normal(0.0, batch_strength, (cells.batch.max() + 1, n_features))[cells.batch]
    size = kind.depth * for_size.lognormal(-0.5 * DEPTH_SPREAD**2, DEPTH_SPREAD, (n_cells, 1))
    counts, rates = kind.measure(for_counts, scores, shift, size)
    return _Measured(counts, rates, private)


def _draw_scores(rng: Generator, factors: Floats, n_features: int, baseline_spread: float) -> Floats:
    """Log rates up to a constant per cell, shape ``(n_cells, n_features)``."""
    n_factors = factors.shape[1]
    inner = rng.normal(0.0, 1.5 / np.sqrt(n_factors), (n_factors, N_HIDDEN))
    basis = np.hstack([np.tanh(factors @ inner), factors])
    shape = (basis.shape[1], n_features)
    loadings = rng.normal(size=shape) * (rng.random(shape) < LOADING_DENSITY)
    scale = SIGNAL / np.sqrt(LOADING_DENSITY * basis.shape[1])
    return basis @ loadings * scale + rng.normal(0.0, baseline_spread, n_features)


def _count_genes(rng: Generator, scores: Floats, shift: Floats, size: Floats) -> tuple[NDArray[np.int64], Floats]:
    mean = size * softmax(scores + shift, axis=1)
    return _draw_negative_binomial(rng, mean, RNA_DISPERSION), softmax(scores, axis=1)


def _count_fragments(rng: Generator, scores: Floats, shift: Floats, size: Floats) -> tuple[NDArray[np.int64], Floats]:
    return rng.poisson(size * softmax(scores + shift, axis=1)), softmax(scores, axis=1)


def _count_proteins(rng: Generator, scores: Floats, shift: Floats, size: Floats) -> tuple[NDArray[np.int64], Floats]:
    rates = softmax(scores, axis=1)
    chance = expit(SWITCH * np.log(rates / np.median(rates, axis=0)))
    background = BACKGROUND * np.exp(rng.normal(0.0, 0.5, scores.shape[1]) + shift)
    foreground = size * softmax(scores + shift, axis=1) * (rng.random(scores.shape) < chance)
    expected = chance * rates
    counts = _draw_negative_binomial(rng, background + foreground, PROTEIN_DISPERSION)
    return counts, expected / expected.sum(axis=1, keepdims=True)


def _draw_negative_binomial(rng: Generator, mean: Floats, dispersion: float) -> NDArray[np.int64]:
    r"""Counts with variance :math:`\mu + \mu^2 / \theta`."""
    return rng.poisson(rng.gamma(dispersion, mean / dispersion))


def _draw_orders(rng: Generator, present: Mask, *, shuffle: bool) -> list[NDArray[np.intp]]:
    """Row numbers of the cells of each modality, in the order in which the modality holds them."""
    rows = [np.flatnonzero(column) for column in present.T]
    return [rng.permutation(row) for row in rows] if shuffle else rows


def _to_anndata(kind: _Kind, measured: _Measured, rows: NDArray[np.intp]) -> AnnData:
    counts = measured.counts[rows].astype(np.float32)
    obs = pd.DataFrame(index=[f"cell_{row}" for row in rows])
    var = pd.DataFrame(index=[f"{kind.feature}_{j}" for j in range(counts.shape[1])])
    return AnnData(csr_matrix(counts) if kind.sparse else counts, obs=obs, var=var)


def _make_obs(cells: Cells, patterns: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "cluster": _to_categorical(cells.cluster, "cluster"),
            "trajectory": cells.trajectory,
            "batch": _to_categorical(cells.batch, "batch"),
            "pattern": pd.Index(patterns).astype("category"),
        },
        index=[f"cell_{row}" for row in range(len(cells.batch))],
    )


def _to_categorical(codes: Labels, prefix: str) -> pd.Categorical[str]:
    return pd.Categorical.from_codes(codes, pd.Index([f"{prefix}_{k}" for k in range(codes.max() + 1)]))


def _make_obsm(cells: Cells, measured: Mapping[str, _Measured], keep_rates: bool) -> dict[str, Floats]:
    obsm = {"shared": cells.shared} | {f"private_{name}": one.private for name, one in measured.items()}
    if cells.position is not None:
        obsm["spatial"] = cells.position
    if keep_rates:
        obsm |= {f"rate_{name}": one.rates for name, one in measured.items()}
    return obsm


def _to_mudata(mods: dict[str, AnnData], obs: pd.DataFrame, obsm: dict[str, Floats]) -> MuData:
    # The index alone settles the order of the cells. mudata would convert the types of columns passed with it.
    with unpulled():
        mdata = MuData(mods, obs=obs[[]], obsm=obsm)
    mdata.obs = obs
    return mdata


def _check_modalities(modalities: Sequence[str] | Mapping[str, int]) -> dict[str, int]:
    """Return the number of features of each modality."""
    if isinstance(modalities, str) or not isinstance(modalities, Sequence | Mapping):
        msg = f"Expected `modalities` to be several names or a mapping; got {modalities!r}. Give a tuple of names."
        raise TypeError(msg)
    if not modalities or not set(modalities) <= set(_KINDS) or len(set(modalities)) < len(modalities):
        msg = f"Expected distinct modalities among {list(_KINDS)}; got {list(modalities)}. Choose at least one."
        raise ValueError(msg)
    if not isinstance(modalities, Mapping):
        return {name: _KINDS[name].n_features for name in modalities}
    for name, n_features in modalities.items():
        _check_integer(f"the number of features of {name!r}", n_features, minimum=1)
    return dict(modalities)


def _check_counts(n_cells: int, n_clusters: int, n_batches: int) -> None:
    _check_integer("`n_clusters`", n_clusters, minimum=1)
    _check_integer("`n_batches`", n_batches, minimum=1)
    _check_integer("`n_cells`", n_cells, minimum=max(MIN_CELLS, n_clusters, n_batches))


def _check_integer(what: str, value: object, *, minimum: int) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral):
        msg = f"Expected {what} to be an integer; got {value!r}. Pass a whole number."
        raise TypeError(msg)
    if value < minimum:
        msg = f"Expected {what} to be at least {minimum}; got {value}. Raise it."
        raise ValueError(msg)


def _check_strength(batch_strength: float) -> None:
    if not is_number(batch_strength) or batch_strength < 0:
        msg = f"Expected `batch_strength` to be a number of at least 0; got {batch_strength!r}. Use 0 for no effect."
        raise ValueError(msg)


_KINDS: dict[str, _Kind] = {
    "rna": _Kind("gene", 300, 1600.0, 1.0, True, draw_states, _count_genes),
    "atac": _Kind("peak", 800, 320.0, 0.7, True, draw_ring, _count_fragments),
    "protein": _Kind("protein", 30, 6000.0, 0.5, False, draw_gradient, _count_proteins),
}
