"""mmvae with its defaults, the same call for all data."""

from __future__ import annotations

from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.training import train

from .outcome import TRAINING, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mudata import MuData

    from benchmarks.tasks import Problem
    from mmvae import MultiVAE

LATENT = "X_mmvae"
READOUTS = ("fused", "shared")


def run_mmvae(
    problem: Problem, settings: Mapping[str, Any] | None = None, readouts: Sequence[str] = READOUTS
) -> Outcome:
    """The ``readouts``, of which ``fused`` is the default one; ``settings`` are arguments of the model, and ``likelihoods``."""
    from mmvae import MultiVAE

    mdata, settings = problem.mdata, dict(settings or {})
    MultiVAE.setup_mudata(mdata, batch_key=problem.data_set.batch, likelihoods=settings.pop("likelihoods", None))
    model = MultiVAE(mdata, seed=problem.seed, **settings)
    outcome = Outcome()
    with outcome.timing(TRAINING):
        outcome.note = train(model, problem.budget)
    for readout in readouts:
        _read(model, problem, readout, outcome)
    outcome.check = lambda: _check(model, mdata, outcome.readouts["fused"])
    return outcome


def _read(model: MultiVAE, problem: Problem, readout: str, outcome: Outcome) -> None:
    try:
        with outcome.timing(readout):
            outcome.readouts[readout] = model.get_latent_representation(modality=readout)
        outcome.single[readout] = {
            name: model.get_latent_representation(cells, modality=readout) for name, cells in problem.held.items()
        }
    except ValueError as error:
        outcome.add_note(f"{readout}: {error}")


def _check(model: MultiVAE, mdata: MuData, latent: np.ndarray) -> None:
    """What a user does next: neighbours, UMAP, save, load; a loaded model gives the same latents."""
    import scanpy as sc

    assert latent.shape[0] == mdata.n_obs
    assert np.isfinite(latent).all()
    mdata.obsm[LATENT] = latent
    sc.pp.neighbors(mdata, use_rep=LATENT)
    sc.tl.umap(mdata)
    assert np.isfinite(mdata.obsm["X_umap"]).all()
    with TemporaryDirectory() as folder:
        model.save(folder, overwrite=True)
        loaded = type(model).load(folder, adata=mdata)
    np.testing.assert_allclose(loaded.get_latent_representation(), latent, atol=1e-5)
