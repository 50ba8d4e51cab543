"""Methods without neural networks: principal components, weighted nearest neighbours, MOFA+."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import anndata as ad
import mudata
import numpy as np
import scipy.sparse as sp

from benchmarks import inputs
from benchmarks.scores.neighbours import Neighbours
from benchmarks.tasks import NotApplicableError, Problem

from .normalised import components, concatenated, normalised, standardised
from .outcome import NO_SINGLE, Outcome

if TYPE_CHECKING:
    from mudata import MuData

N_WNN_NEIGHBORS = 90
N_FACTORS = 15
N_PEAKS = 5_000


def run_pca(problem: Problem) -> Outcome:
    """Principal components of each modality, side by side."""
    mdata = problem.mdata
    outcome = Outcome({"concatenated": concatenated(mdata, components(mdata))})
    if inputs.is_mosaic(mdata):
        outcome.add_note("missing blocks filled with the block's mean")
    if problem.held:
        outcome.add_note(NO_SINGLE + "the modalities' components have nothing in common")
    return outcome


def run_harmony(problem: Problem) -> Outcome:
    """The components of :func:`run_pca`, from which Harmony takes the batches."""
    from harmonypy import run_harmony as corrected

    outcome, batch = run_pca(problem), problem.data_set.batch
    components, obs = outcome.readouts["concatenated"], problem.mdata.obs[[batch]].astype(str)
    found = corrected(components, obs, batch, random_state=problem.seed, verbose=False)
    outcome.readouts = {"corrected": np.asarray(found.Z_corr)}
    return outcome


def run_wnn(problem: Problem) -> Outcome:
    """Weighted nearest neighbours, from the same components as :func:`run_pca`.

    Raises
    ------
    NotApplicableError
        If some cell lacks a modality.
    """
    import muon as mu
    import scanpy as sc

    mdata = problem.mdata
    if inputs.is_mosaic(mdata):
        msg = "needs complete cells"
        raise NotApplicableError(msg)
    small = mudata.MuData({n: _unit(block, mdata, n) for n, block in components(mdata).items()})
    for adata in small.mod.values():
        sc.pp.neighbors(adata, use_rep="X", n_neighbors=20, random_state=0)
    mu.pp.neighbors(small, n_neighbors=N_WNN_NEIGHBORS, random_state=0)
    return Outcome({"graph": _neighbours(small)})


def run_mofa(problem: Problem) -> Outcome:
    """Factors of z-scored values; a modality that a cell lacks is missing for it, as MOFA+ allows."""
    from mofapy2.run.entry_point import entry_point

    mdata = problem.mdata
    views, outcome = [[_view(mdata, name)] for name in mdata.mod], Outcome()
    engine = entry_point()
    engine.set_data_options()
    engine.set_data_matrix(views, likelihoods=["gaussian"] * len(views))
    engine.set_model_options(factors=N_FACTORS)
    engine.set_train_options(seed=problem.seed, quiet=True)
    engine.build()
    if problem.budget:
        _stop_in_time(engine.model, problem.budget, outcome)
    engine.run()
    outcome.readouts = {"factors": np.asarray(engine.model.getExpectations()["Z"]["E"])}
    if problem.held:
        outcome.add_note(NO_SINGLE + "new cells can't be embedded")
    return outcome


def _unit(block: np.ndarray, mdata: MuData, name: str) -> ad.AnnData:
    """A block in the order of ``mdata``, each row of length 1, as WNN wants it."""
    lengths = np.linalg.norm(block, axis=1, keepdims=True)
    unit = (block / np.where(lengths > 0, lengths, 1))[inputs.rows(mdata, name)]
    return ad.AnnData(unit, obs=mdata.obs[[]].copy())


def _neighbours(small: MuData) -> Neighbours:
    graph = small.obsp["distances"].tocsr()
    n_cells = graph.shape[0]
    distances, indices = graph.data.reshape(n_cells, -1), graph.indices.reshape(n_cells, -1)
    order = np.argsort(distances, axis=1, kind="stable")
    return Neighbours(np.take_along_axis(indices, order, axis=1), np.take_along_axis(distances, order, axis=1))


def _view(mdata: MuData, name: str) -> np.ndarray:
    """A modality's z-scores in the order of the cells, NaN where a cell lacks it."""
    values = normalised(name, mdata.mod[name])
    if sp.issparse(values):
        values = _most_variable(values).toarray()
    own = inputs.rows(mdata, name)
    view = np.full((mdata.n_obs, values.shape[1]), np.nan)
    view[own >= 0] = standardised(values)[own[own >= 0]]
    return view


def _most_variable(values: sp.csr_matrix) -> sp.csr_matrix:
    mean = np.asarray(values.mean(axis=0)).ravel()
    variance = np.asarray(values.multiply(values).mean(axis=0)).ravel() - mean**2
    return values[:, np.sort(np.argsort(-variance)[:N_PEAKS])]


def _stop_in_time(model: Any, minutes: float, outcome: Outcome) -> None:
    """Let the test of convergence, which runs every few iterations, end training when time is up."""
    end, assess, count = time.perf_counter() + 60 * minutes, model.assess_convergence, [0]

    def assess_or_stop(*arguments: Any) -> tuple[int, bool]:
        count[0] += 1
        token, converged = assess(*arguments)
        if not converged and time.perf_counter() > end:
            outcome.add_note(f"stopped after {count[0]} tests of convergence by the budget of {minutes:g} minutes")
            return token, True
        return token, converged

    model.assess_convergence = assess_or_stop
