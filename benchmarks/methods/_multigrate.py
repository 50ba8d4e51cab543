"""multigrate, set up as its tutorials do: rna as counts, the other modalities normalised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from benchmarks import inputs
from benchmarks.training import train

from .normalised import DEPTH_TOTAL
from .outcome import Outcome

if TYPE_CHECKING:
    import anndata as ad
    import pandas as pd
    from mudata import MuData

    from benchmarks.tasks import Problem

PATTERN = "pattern"
# The tutorial on mosaics sets these, for the embedding of cells with one modality too.
MOSAIC = {"alignment_type": "marginal", "modality_alignment": "MMD", "loss_coefs": {"integ": 500}}
LATENT = "X_multigrate"


def run_multigrate(problem: Problem) -> Outcome:
    """One latent; missing patterns and batches are covariates, and in mosaics the patterns are aligned."""
    import scvi
    from multigrate.model import MultiVAE

    mdata, batch = problem.mdata, problem.data_set.batch
    counts = inputs.is_counts(mdata)
    mosaic = inputs.is_mosaic(mdata)
    adata = _organised(mdata, mdata)
    covariates = [PATTERN] * mosaic + [batch] * (batch is not None)
    n_first = mdata.mod[_names(mdata)[0]].n_vars
    MultiVAE.setup_anndata(adata, rna_indices_end=n_first, categorical_covariate_keys=covariates or None)
    scvi.settings.seed = problem.seed
    losses = ["nb" if counts and name == "rna" else "mse" for name in _names(mdata)]
    model = MultiVAE(adata, losses=losses, **({"integrate_on": PATTERN, **MOSAIC} if mosaic else {}))
    outcome = Outcome(note=train(model, problem.budget))
    outcome.readouts = {"latent": _embedded(model, adata, mdata.obs_names)}
    for name, cells in problem.held.items():
        outcome.single.setdefault("latent", {})[name] = _embedded_alone(model, cells, problem, outcome)
    return outcome


def _names(mdata: MuData) -> list[str]:
    """Modalities with the rna first, where multigrate looks for the size factor."""
    return sorted(mdata.mod, key=lambda name: name != "rna")


def _organised(mdata: MuData, like: MuData, pattern: np.ndarray | None = None) -> ad.AnnData:
    """All modalities of ``like`` side by side, for all cells of ``mdata``."""
    from multigrate.data import organize_multimodal_anndatas

    blocks = inputs.padded(mdata, like)
    for m, (name, block) in enumerate(blocks.items()):
        has = inputs.rows(mdata, name) >= 0 if name in mdata.mod else np.zeros(mdata.n_obs, dtype=bool)
        block.X = _normalised(name, block.X.toarray(), like.mod[name]) * has[:, None]
        block.var_names = [f"{m}:{feature}" for feature in block.var_names]
        block.obs[PATTERN] = inputs.patterns(mdata) if pattern is None else pattern
    return organize_multimodal_anndatas([[blocks[name]] for name in _names(like)])


def _normalised(name: str, values: np.ndarray, fitted_on: ad.AnnData) -> np.ndarray:
    """Counts of rna, log-normalised atac, centred log-ratios over cells of protein; z-scores of what is not counts.

    multigrate takes a cell whose values sum to no more than 0 for one that lacks the modality, so z-scores are shifted
    by the least that keeps the sums of all cells above 0.
    """
    known = sp.csr_matrix(fitted_on.X).toarray()
    if not np.array_equal(known, np.round(known)):
        spread = np.where(known.std(axis=0) > 0, known.std(axis=0), 1)
        lowest = ((known - known.mean(axis=0)) / spread).mean(axis=1).min()
        return (values - known.mean(axis=0)) / spread - lowest + 1e-3
    if name == "protein":
        return np.log1p(values / np.exp(np.log1p(known).mean(axis=0)))
    if name == "atac":
        totals = values.sum(axis=1, keepdims=True)
        return np.log1p(values / np.maximum(totals, 1) * DEPTH_TOTAL)
    return values


def _embedded(model: Any, adata: ad.AnnData, cells: pd.Index) -> np.ndarray:
    """The latent, in the order of ``cells``."""
    model.get_model_output(adata)
    return np.asarray(adata.obsm[LATENT])[adata.obs_names.get_indexer(cells)]


def _embedded_alone(model: Any, cells: MuData, problem: Problem, outcome: Outcome) -> np.ndarray:
    """The latent of held-out cells of one modality; a pattern that was not trained passes for a complete one."""
    trained = set(inputs.patterns(problem.mdata))
    (pattern,) = set(inputs.patterns(cells))
    if pattern not in trained:
        outcome.add_note(f"cells of {pattern} alone have the covariate of complete cells")
        pattern = "+".join(problem.mdata.mod)
    adata = _organised(cells, problem.mdata, np.array([pattern] * cells.n_obs))
    adata.obs["size_factors"] = np.asarray(adata.X[:, : problem.mdata.mod[_names(problem.mdata)[0]].n_vars].sum(axis=1))
    return _embedded(model, adata, cells.obs_names)
