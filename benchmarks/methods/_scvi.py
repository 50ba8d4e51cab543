"""scVI, totalVI and MultiVI, with their defaults and the batch where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import inputs
from benchmarks.tasks import NotApplicableError, Problem
from benchmarks.training import train

from .outcome import TRAINING, Outcome

if TYPE_CHECKING:
    from mudata import MuData

LAYERS = {"rna": "rna_layer", "atac": "atac_layer", "protein": "protein_layer"}


def run_scvi(problem: Problem) -> Outcome:
    """The rna alone."""
    from scvi.model import SCVI

    _require(problem, "rna")
    adata = inputs.padded(problem.mdata, problem.mdata)["rna"]
    SCVI.setup_anndata(adata, batch_key=problem.data_set.batch)
    return _trained(SCVI, adata, problem, "rna alone")


def run_totalvi(problem: Problem) -> Outcome:
    """Rna and protein; cells of batches without protein are given zeros, which it takes as missing."""
    from scvi.model import TOTALVI

    _require(problem, "rna", "protein")
    mdata = _joined(problem.mdata, problem.mdata, "rna", "protein")
    layers = {LAYERS[name]: name for name in mdata.mod}
    TOTALVI.setup_mudata(mdata, batch_key=problem.data_set.batch, modalities=layers)
    left_out = [name for name in problem.mdata.mod if name not in mdata.mod]
    return _trained(TOTALVI, mdata, problem, *[f"{name} left out" for name in left_out])


def run_multivi(problem: Problem) -> Outcome:
    """All modalities; zeros where a cell lacks one, which it takes as missing."""
    from scvi.model import MULTIVI

    _require(problem)
    mdata = _joined(problem.mdata, problem.mdata, *LAYERS)
    layers = {LAYERS[name]: name for name in mdata.mod}
    MULTIVI.setup_mudata(mdata, batch_key=problem.data_set.batch, modalities=layers)
    return _trained(MULTIVI, mdata, problem)


def _trained(model_class: type, data: Any, problem: Problem, *notes: str) -> Outcome:
    import scvi

    scvi.settings.seed = problem.seed
    model = model_class(data)
    outcome = Outcome()
    with outcome.timing(TRAINING):
        outcome.note = train(model, problem.budget)
    for note in notes:
        outcome.add_note(note)
    with outcome.timing("latent"):
        outcome.readouts = {"latent": model.get_latent_representation()}
    if problem.held:
        alone = {name: _joined(cells, problem.mdata, *LAYERS) for name, cells in problem.held.items()}
        outcome.single = {"latent": {name: model.get_latent_representation(mdata) for name, mdata in alone.items()}}
    return outcome


def _joined(mdata: MuData, like: MuData, *names: str) -> MuData:
    """These modalities of ``like`` for all cells; with the column that MultiVI adds to the data it is trained on."""
    padded = inputs.padded(mdata, like)
    if "protein" in padded:
        inputs.dense(padded["protein"])
    joined = inputs.joined({name: padded[name] for name in names if name in padded})
    joined.obs["_indices"] = np.arange(joined.n_obs)
    return joined


def _require(problem: Problem, *names: str) -> None:
    mdata = problem.mdata
    if not inputs.is_counts(mdata):
        msg = "needs counts"
        raise NotApplicableError(msg)
    if missing := [name for name in names if name not in mdata.mod]:
        msg = f"needs {' and '.join(missing)}"
        raise NotApplicableError(msg)
