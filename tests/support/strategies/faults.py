"""What can be wrong with data or arguments. Each makes a case without a fault one that must be refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from mudata import MuData

from mmvae._compat import unpulled

from .cases import LAYER, Drawn

FAULTS: dict[str, Callable[[Case], Any]] = {}


@dataclass
class Case:
    """A MuData and arguments that go with it."""

    mdata: MuData
    setup: dict[str, Any]
    model: dict[str, Any]
    train: dict[str, Any]


def made(drawn: Drawn, fault: str | None = None) -> Case:
    """The case that was drawn, with a fault if one is named."""
    case = Case(drawn.mudata(), dict(drawn.setup), dict(drawn.model), dict(drawn.train))
    if fault is not None:
        FAULTS[fault](case)
    return case


def fault(function: Callable[[Case], Any]) -> Callable[[Case], Any]:
    """Add a fault, under the name of the function, in words."""
    FAULTS[function.__name__.replace("_", " ")] = function
    return function


def _first(case: Case) -> str:
    return next(iter(case.mdata.mod))


def _put(case: Case, value: float, likelihood: str) -> None:
    """One other value in what is modelled of the first modality."""
    name = _first(case)
    adata, layer = case.mdata[name], case.setup.get("layers", {}).get(name)
    layer = "counts" if layer is None and "counts" in adata.layers else layer
    matrix = adata.X if layer is None else adata.layers[layer]
    values = np.array(matrix.toarray() if sp.issparse(matrix) else matrix, dtype=np.float64)
    values[-1, -1] = value
    if layer is None:
        adata.X = values
    else:
        adata.layers[layer] = values
    case.setup["layers"] = case.setup.get("layers", {}) | {name: layer}
    case.setup["likelihoods"] = case.setup.get("likelihoods", {}) | {name: likelihood}


@fault
def not_a_number(case: Case) -> None:
    _put(case, np.nan, "normal")


@fault
def infinite(case: Case) -> None:
    _put(case, -np.inf, "student_t")


@fault
def beyond_single_precision(case: Case) -> None:
    _put(case, 1e39, "normal")


@fault
def negative_count(case: Case) -> None:
    _put(case, -1.0, "nb")


@fault
def half_a_count(case: Case) -> None:
    _put(case, 0.5, "poisson")


@fault
def several_under_bernoulli(case: Case) -> None:
    _put(case, 2.0, "bernoulli")


@fault
def nothing_but_zeros(case: Case) -> None:
    adata = case.mdata[_first(case)]
    adata.layers[LAYER] = np.zeros(adata.shape)
    case.setup["layers"] = case.setup.get("layers", {}) | {_first(case): LAYER}


@fault
def text_for_values(case: Case) -> None:
    adata = case.mdata[_first(case)]
    adata.layers[LAYER] = np.full(adata.shape, "1").astype(object)
    case.setup["layers"] = case.setup.get("layers", {}) | {_first(case): LAYER}


@fault
def cells_of_one_name(case: Case) -> None:
    adata = case.mdata[_first(case)]
    adata.obs_names = [adata.obs_names[0]] * 2 + list(adata.obs_names[2:]) if adata.n_obs > 1 else ["other"]


@fault
def rows_in_another_order(case: Case) -> None:
    adata = case.mdata[_first(case)]
    case.mdata.mod[_first(case)] = adata[::-1].copy() if adata.n_obs > 1 else adata[:0].copy()


@fault
def features_of_one_name(case: Case) -> None:
    adata = case.mdata[_first(case)]
    if adata.n_vars > 1:
        adata.var_names = ["same"] * adata.n_vars
    else:
        _rebuild(case, {_first(case): adata[:, :0].copy()})


@fault
def no_features(case: Case) -> None:
    _rebuild(case, {_first(case): case.mdata[_first(case)][:, :0].copy()})


@fault
def too_few_cells(case: Case) -> None:
    with unpulled():
        case.mdata = case.mdata[:9].copy()


@fault
def a_view(case: Case) -> None:
    case.mdata = case.mdata[np.arange(case.mdata.n_obs)]


@fault
def nothing_in_common(case: Case) -> None:
    other = case.mdata[_first(case)].copy()
    other.obs_names = "other " + other.obs_names
    _rebuild(case, {"more": other})


@fault
def a_name_with_a_dot(case: Case) -> None:
    _rebuild(case, {"rna.1": case.mdata[_first(case)].copy()})


@fault
def a_name_that_is_taken(case: Case) -> None:
    _rebuild(case, {"shared": case.mdata[_first(case)].copy()})


@fault
def no_value_for_a_cell(case: Case) -> None:
    values = np.full(case.mdata.n_obs, "a", dtype=object)
    values[-1] = None
    case.mdata.obs["holes"] = values
    case.setup["batch_key"] = "holes"


@fault
def as_many_batches_as_cells(case: Case) -> None:
    case.mdata.obs["each"] = list(map(str, range(case.mdata.n_obs)))
    case.setup["batch_key"] = "each"


@fault
def an_unknown_key(case: Case) -> None:
    case.setup["categorical_covariate_keys"] = ["no such key"]


@fault
def words_for_numbers(case: Case) -> None:
    case.mdata.obs["words"] = np.array(["1", "two"] * case.mdata.n_obs, dtype=object)[: case.mdata.n_obs]
    case.setup["continuous_covariate_keys"] = ["words"]


@fault
def an_infinite_covariate(case: Case) -> None:
    case.mdata.obs["endless"] = np.r_[np.inf, np.ones(case.mdata.n_obs - 1)]
    case.setup["continuous_covariate_keys"] = ["endless"]


@fault
def a_size_factor_of_0(case: Case) -> None:
    case.mdata.obs["none"] = 0.0
    case.setup["size_factor_keys"] = {_first(case): "none"}


@fault
def an_unknown_layer(case: Case) -> None:
    case.setup["layers"] = {_first(case): "no such layer"}


@fault
def an_unknown_likelihood(case: Case) -> None:
    case.setup["likelihoods"] = {_first(case): "gamma"}


@fault
def an_unknown_modality(case: Case) -> None:
    case.setup["likelihoods"] = {"no such modality": "normal"}


@fault
def an_unknown_prior(case: Case) -> None:
    case.model["prior"] = "no such prior"


@fault
def no_latent_dimensions(case: Case) -> None:
    case.model["n_latent"] = 0


@fault
def all_units_dropped(case: Case) -> None:
    case.model["dropout_rate"] = 1.0


@fault
def no_epochs(case: Case) -> None:
    case.train["max_epochs"] = 0


@fault
def no_cells_in_a_batch(case: Case) -> None:
    case.train["batch_size"] = 0


@fault
def a_negative_learning_rate(case: Case) -> None:
    case.train["lr"] = -1.0


def _rebuild(case: Case, more: dict[str, Any]) -> None:
    """A MuData that has other modalities, too, or in place of some."""
    obs = case.mdata.obs
    with unpulled():
        made = MuData(dict(case.mdata.mod) | more)
    for key in obs:
        made.obs[key] = obs[key].reindex(made.obs_names)
    case.mdata = made
