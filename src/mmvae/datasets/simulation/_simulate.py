"""Simulated multi-omics cells with known truth: C cells, F features, M modalities, B batches."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy.sparse import csr_matrix

from mmvae._checks import COUNT, NOT_NEGATIVE, SEED, between, check_numbers
from mmvae._compat import unpulled
from mmvae.data import pattern_names

from ._cells import KINDS, Cells, Kind, Measured, draw_cells, measure
from ._mosaic import Missing, draw_presence

MIN_CELLS = 10


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
    n_clusters, n_batches
        Numbers of clusters, the first half of which lies on the trajectory, and of batches.
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
    - ``obsm``: ``shared``, ``(n_cells, 5)``, and ``private_<modality>``, ``(n_cells, 3)``, all standardised; if asked for,
      ``spatial``, ``(n_cells, 2)``, in distances between neighbours, and ``rate_<modality>``, ``(n_cells, n_features)``,
      rows sum to 1, without batch effect and background.

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
    takes = {"n_clusters": COUNT, "n_batches": COUNT, "batch_strength": NOT_NEGATIVE, "seed": SEED}
    check_numbers(takes, n_clusters=n_clusters, n_batches=n_batches, batch_strength=batch_strength, seed=seed)
    check_numbers({"n_cells": between(max(MIN_CELLS, n_clusters, n_batches))}, n_cells=n_cells)
    for_cells, for_mosaic, *streams = np.random.default_rng(seed).spawn(2 + len(KINDS))
    stream = dict(zip(KINDS, streams, strict=True))
    cells = draw_cells(for_cells, n_cells, n_clusters=n_clusters, n_batches=n_batches, spatial=spatial)
    measured = {name: measure(stream[name], KINDS[name], cells, n, batch_strength) for name, n in n_features.items()}
    for_presence, for_order = for_mosaic.spawn(2)
    obs, names = _make_obs(cells), list(n_features)
    present = draw_presence(for_presence, missing, batches=list(obs["batch"]), modalities=names)
    obs["pattern"] = pd.Categorical(pattern_names(present, names).tolist())
    mods = {}
    for name, has in zip(names, present.T, strict=True):
        rows = np.flatnonzero(has)
        rows = rows if missing is None else for_order.permutation(rows)
        mods[name] = _to_anndata(KINDS[name], measured[name][0][rows], obs.index[rows])
    # The index alone settles the order of the cells. mudata would convert the types of columns passed with it.
    with unpulled():
        mdata = MuData(mods, obs=obs[[]], obsm=_make_obsm(cells, measured, keep_rates))
    mdata.obs = obs
    return mdata


def _to_anndata(kind: Kind, counts: np.ndarray, cells: pd.Index) -> AnnData:
    values = counts.astype(np.float32)
    var = pd.DataFrame(index=[f"{kind.feature}_{j}" for j in range(counts.shape[1])])
    return AnnData(csr_matrix(values) if kind.sparse else values, obs=pd.DataFrame(index=cells), var=var)


def _make_obs(cells: Cells) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "cluster": _to_categorical(cells.cluster, "cluster"),
            "trajectory": cells.trajectory,
            "batch": _to_categorical(cells.batch, "batch"),
        },
        index=[f"cell_{row}" for row in range(len(cells.batch))],
    )


def _to_categorical(codes: np.ndarray, prefix: str) -> "pd.Categorical[str]":
    return pd.Categorical.from_codes(codes, pd.Index([f"{prefix}_{k}" for k in range(codes.max() + 1)]))


def _make_obsm(cells: Cells, measured: Mapping[str, Measured], keep_rates: bool) -> dict[str, np.ndarray]:
    obsm = {"shared": cells.shared} | {f"private_{name}": private for name, (_, _, private) in measured.items()}
    if cells.position is not None:
        obsm["spatial"] = cells.position
    if keep_rates:
        obsm |= {f"rate_{name}": rates for name, (_, rates, _) in measured.items()}
    return obsm


def _check_modalities(modalities: Sequence[str] | Mapping[str, int]) -> dict[str, int]:
    """Return the number of features of each modality."""
    if isinstance(modalities, str) or not isinstance(modalities, Sequence | Mapping):
        msg = f"Expected `modalities` to be several names or a mapping; got {modalities!r}. Give a tuple of names."
        raise TypeError(msg)
    if not modalities or not set(modalities) <= set(KINDS) or len(set(modalities)) < len(modalities):
        msg = f"Expected distinct modalities among {list(KINDS)}; got {list(modalities)}. Choose at least one."
        raise ValueError(msg)
    if not isinstance(modalities, Mapping):
        return {name: KINDS[name].n_features for name in modalities}
    check_numbers({"modalities": COUNT}, modalities=modalities)
    return dict(modalities)
