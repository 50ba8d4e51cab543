"""A MuData with arguments of its set-up, of a model and of a training, which may have a fault."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from hypothesis import strategies as st
from mudata import MuData

from mmvae.data import joined

from . import cells, columns, matrices, models

NAMES = ["rna", "protein", "atac", "spatial", "gex data", "β-lipids", "a:b", "ADT", "0", "other"]
LIKELIHOODS = ["nb", "zinb", "poisson", "nb_mixture", "normal", "student_t", "bernoulli"]
SUITABLE = {
    matrices.COUNTS: LIKELIHOODS[:-1],
    matrices.BINARY: LIKELIHOODS,
    matrices.FRACTIONS: ["normal", "student_t"],
    matrices.REALS: ["normal", "student_t"],
}
LAYER = "as measured"


@dataclass
class Drawn:
    """Modalities, columns and arguments; ``story`` says in words what was drawn.

    The MuData is made once the draw is over, as mudata itself draws random names, which Hypothesis forbids on the way.
    """

    modalities: dict[str, ad.AnnData]
    obs: pd.DataFrame
    setup: dict[str, Any]
    model: dict[str, Any]
    train: dict[str, Any]
    story: dict[str, Any]
    graph: sp.csr_matrix | None
    in_order_of_obs: bool

    def mudata(self) -> MuData:
        """The MuData, its cells in the order of ``obs``, or in that in which mudata finds them, as users make it."""
        if self.in_order_of_obs:
            mdata = joined(self.modalities, self.obs.copy())
        else:
            mdata = MuData(self.modalities)
            for key in self.obs:
                mdata.obs[key] = self.obs[key].reindex(mdata.obs_names)
        if self.graph is not None:
            mdata.obsp["spatial_connectivities"] = self.graph
        return mdata


@st.composite
def cases(draw: st.DrawFn, n_modalities: int) -> Drawn:
    """Data without a fault, and arguments that suit them."""
    n_cells = draw(st.integers(10, 40))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=n_modalities, max_size=n_modalities, unique=True))
    has, cell_names = draw(cells.presence(n_cells, n_modalities)), cells.names(draw, n_cells)
    setup: dict[str, Any] = {}
    story: dict[str, Any] = {"pattern": f"{has.sum(axis=0)} of {n_cells}"}
    modalities = {}
    for name, own in zip(names, has.T, strict=True):
        rows = [cell for cell, present in zip(cell_names, own, strict=True) if present]
        modalities[name], given, story[name] = draw(_modalities(name, rows))
        for argument, value in given.items():
            setup.setdefault(argument, {})[name] = value
    obs, own_obs = pd.DataFrame(index=pd.Index(cell_names)), {}
    complete = [name for name, own in zip(names, has.T, strict=True) if own.all() and ":" not in name]
    setup |= draw(_columns(names, n_cells, obs, own_obs, ["obs", "modalities", *complete], story))
    for place, frame in own_obs.items():
        for name in names if place == "modalities" else [place]:
            modalities[name].obs[list(frame)] = frame.loc[modalities[name].obs_names]
    known = {"labels"} & set(story) | ({"covariates"} if "prior_covariate_keys" in setup else set())
    graph = _graph(draw(st.integers(0, 2**32 - 1)), n_cells) if draw(st.integers(0, 3)) == 0 else None
    model = draw(models.models(names, known if graph is None else known | {"graph"}))
    return Drawn(modalities, obs, setup, model, draw(models.trainings()), story, graph, draw(st.booleans()))


@st.composite
def _modalities(draw: st.DrawFn, name: str, cell_names: list[str]) -> tuple[ad.AnnData, dict[str, Any], str]:
    """A modality of these cells, in an order of its own, what the set-up is told of it, and that in words."""
    kind = draw(st.sampled_from(matrices.KINDS))
    n_rows, n_columns = len(cell_names), draw(st.integers(1, 9))
    matrix, how = draw(matrices.matrices(n_rows, n_columns, kind))
    order = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).permutation(n_rows)
    prefix = draw(st.sampled_from([name, "CD"]))  # a gene and its protein may have one name
    adata = ad.AnnData(
        obs=pd.DataFrame(index=pd.Index(cell_names)[order]),
        var=pd.DataFrame(index=[f"{prefix} {i}" for i in range(n_columns)]),
    )
    place = draw(st.sampled_from(["X", "X", "layer", "layer, no X", "counts"]))
    given: dict[str, Any] = {"layers": {}}
    if place == "counts" and kind in (matrices.COUNTS, matrices.BINARY):
        adata.X, adata.layers["counts"] = np.full((n_rows, n_columns), 0.5, np.float32), matrix
    elif place.startswith("layer"):
        adata.layers[LAYER] = matrix
        given["layers"] = LAYER
        if place == "layer":
            adata.X = sp.csr_matrix((n_rows, n_columns), dtype=np.float32)
    else:
        adata.X = matrix
    given = {argument: value for argument, value in given.items() if value}
    # Values are looked for among layers unless a likelihood of real values says that X is meant.
    suitable = [n for n in SUITABLE[kind] if "counts" not in adata.layers or n not in SUITABLE[matrices.REALS]]
    if draw(st.booleans()):
        given["likelihoods"] = draw(st.sampled_from(suitable))
    return adata, given, f"{n_rows} x {n_columns} {kind}, {how}, {place}, {given.get('likelihoods')}"


@st.composite
def _columns(
    draw: st.DrawFn,
    names: list[str],
    n_cells: int,
    obs: pd.DataFrame,
    own_obs: dict[str, pd.DataFrame],
    places: list[str],
    story: dict[str, Any],
) -> dict[str, Any]:
    """Arguments of the set-up that name columns, which are put into ``obs`` or ``own_obs``."""

    def put(key: str, column: tuple[Any, str]) -> str:
        values, kind = column
        place = draw(st.sampled_from(places))
        frame = obs if place == "obs" else own_obs.setdefault(place, pd.DataFrame(index=obs.index))
        frame[key] = values
        story[key] = f"{kind} in {place}"
        return key if place in ("obs", "modalities") or draw(st.booleans()) else f"{place}:{key}"

    def several(key: str, columns: st.SearchStrategy) -> list[str]:
        return [put(f"{key} {i}", draw(columns)) for i in range(draw(st.integers(1, 2)))]

    few, numbers, setup = columns.categories(n_cells, 2), columns.numbers(n_cells), {}
    wanted = draw(st.sets(st.sampled_from(["batch", "batches", "labels", "categories", "numbers", "biology", "depth"])))
    if "batches" in wanted:
        setup["batch_key"] = several("batch", few)
    elif "batch" in wanted:
        setup["batch_key"] = put("batch", draw(columns.categories(n_cells)))
    if "labels" in wanted:
        setup["labels_key"] = put("labels", draw(columns.labels(n_cells)))
    if "categories" in wanted:
        setup["categorical_covariate_keys"] = several("category", few)
    if "numbers" in wanted:
        setup["continuous_covariate_keys"] = several("number", numbers)
    if "biology" in wanted:
        setup["prior_covariate_keys"] = several("biology", few)
    if "depth" in wanted:
        setup["size_factor_keys"] = {names[0]: put("depth", draw(columns.numbers(n_cells, positive=True)))}
    return setup


def _graph(seed: int, n_cells: int) -> sp.csr_matrix:
    """Neighbours of each other, of which some cells have none."""
    half = sp.random(n_cells, n_cells, 0.1, "csr", np.float32, np.random.default_rng(seed))
    half.setdiag(0)
    return sp.csr_matrix(half + half.T)
