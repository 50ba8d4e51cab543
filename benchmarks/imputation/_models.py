"""mmvae, totalVI and MultiVI, with their defaults. C held-out cells, G features of the target, S draws."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import inputs
from benchmarks.training import train

from ._intervals import scores
from ._task import SOURCE, Prediction

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._task import Task

N_SAMPLES = 25
MEASURED, HIDDEN = "measured", "hidden"


def mmvae(task: Task) -> Prediction:
    """At the posterior mean."""
    from mmvae import MultiVAE

    MultiVAE.setup_mudata(task.mdata, batch_key=task.data_set.batch)
    model, note = _trained(lambda: MultiVAE(task.mdata, seed=task.seed), MultiVAE, task)
    shares = model.impute(task.target, indices=np.flatnonzero(task.held)).to_numpy()
    return _predicted(task, shares, note, scores(model, task))


def totalvi(task: Task) -> Prediction:
    """Cells without protein are a batch of their own, decoded as if of the batch with protein; mean over 25 draws."""
    import scvi
    from scvi.model import TOTALVI

    scvi.settings.seed = task.seed
    data = _padded(task)
    inputs.dense(data["protein"])
    batch = np.full(data.n_obs, "") if task.data_set.batch is None else data.obs[task.data_set.batch].astype(str)
    data.obs["panel"] = np.char.add(np.asarray(batch, dtype=str), np.where(task.held, HIDDEN, MEASURED))
    TOTALVI.setup_mudata(
        data, batch_key="panel", modalities={"rna_layer": "rna", "protein_layer": "protein", "batch_key": None}
    )
    model, note = _trained(lambda: TOTALVI(data), TOTALVI, task)
    values = np.zeros((task.held.sum(), data["protein"].n_vars), dtype=np.float32)
    own = np.asarray(batch, dtype=str)[task.held]
    for name in np.unique(own):
        cells = np.flatnonzero(task.held)[own == name]
        _, protein = model.get_normalized_expression(
            indices=cells, transform_batch=f"{name}{MEASURED}", n_samples=N_SAMPLES, include_protein_background=True
        )
        values[own == name] = protein.to_numpy()
    return _predicted(task, values / values.sum(axis=1, keepdims=True), note)


def multivi_fast(task: Task) -> Prediction:
    """As :func:`multivi`, at ten times the default learning rate: of few cells 500 epochs are too few steps for that."""
    return multivi(task, lr=1e-3)


def multivi(task: Task, **options: Any) -> Prediction:
    """Probabilities with the factors of peaks, at the mean of the latent; ``options`` are arguments of training."""
    import scvi
    from scvi.model import MULTIVI

    scvi.settings.seed = task.seed
    data = _padded(task)
    layers = {"rna_layer": "rna", "atac_layer": "atac"}
    MULTIVI.setup_mudata(data, batch_key=task.data_set.batch, modalities=layers)
    model, note = _trained(lambda: MULTIVI(data), MULTIVI, task, **options)
    read = getattr(model, "get_normalized_accessibility", None) or model.get_accessibility_estimates
    chances = read(indices=np.flatnonzero(task.held), normalize_regions=True, return_numpy=True)
    return _predicted(task, chances / chances.sum(axis=1, keepdims=True), note)


def _predicted(task: Task, shares: np.ndarray, note: str, own: dict[str, float] | None = None) -> Prediction:
    return Prediction(np.log1p(np.float32(task.depth) * shares), shares, own or {}, note)


def _padded(task: Task) -> Any:
    """Both modalities of all cells; zeros where the target is hidden."""
    padded = inputs.padded(task.mdata, task.mdata)
    joined = inputs.joined({name: padded[name] for name in (SOURCE, task.target)})
    joined.obs["_indices"] = np.arange(joined.n_obs)
    return joined


def _trained(make: Callable[[], Any], model_class: type[Any], task: Task, **options: Any) -> tuple[Any, str]:
    """A model, trained within the budget, or as it was kept before; and what to note."""
    kept = None if task.kept is None else Path(task.kept)
    if kept is not None and (kept / "model.pt").exists():
        model = make()
        return model_class.load(kept, adata=model.adata, accelerator="cpu"), ""
    model = make()
    note = train(model, task.budget, **options)
    if kept is not None and not note:
        model.save(kept, overwrite=True)
    return model, note
