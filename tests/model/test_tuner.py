"""scvi-tools' tuner tunes a MultiVAE; it needs ``pip install "mmvae[autotune]"``."""

from __future__ import annotations

import numpy as np
import pytest

import mmvae
from mmvae import MultiVAE

ray = pytest.importorskip("ray", reason='scvi-tools\' tuner needs ray: pip install "mmvae[autotune]"')
pytest.importorskip("hyperopt", reason='scvi-tools\' tuner needs hyperopt: pip install "mmvae[autotune]"')
pytest.importorskip("scib_metrics", reason='scvi-tools\' tuner needs scib-metrics: pip install "mmvae[autotune]"')
pytest.importorskip("muon", reason='scvi-tools\' tuner reads a MuData by muon: pip install "mmvae[autotune]"')

# Ray and what it starts say much; the trials are in processes of their own.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def registered():
    mdata = mmvae.datasets.simulate(100, modalities={"rna": 40, "protein": 8}, n_clusters=3, missing=0.3, seed=1)
    MultiVAE.setup_mudata(mdata, batch_key="batch", labels_key="cluster")
    return mdata


@pytest.fixture(scope="module")
def one_core():
    ray.init(num_cpus=1, include_dashboard=False, object_store_memory=100 * 2**20)
    yield
    ray.shutdown()


@pytest.mark.parametrize(
    ("metric", "mode"),
    [("elbo_validation", "min"), pytest.param("Silhouette label", "max", marks=pytest.mark.slow)],
)
def test_a_model_is_tuned(registered, one_core, tmp_path, metric, mode):
    from scvi.autotune import run_autotune

    found = run_autotune(
        MultiVAE,
        registered,
        metrics=metric,
        mode=mode,
        search_space={
            "model_params": {"n_latent": ray.tune.choice([2, 3]), "n_hidden": 8},
            "train_params": {"max_epochs": 2, "accelerator": "cpu"},
        },
        num_samples=1,
        scheduler="fifo",
        searcher="random",
        resources={"cpu": 1},
        solver="randomized",  # of scib-metrics' PCA of values, which scvi-tools gives it as zeros
        logging_dir=str(tmp_path),
        ignore_reinit_error=True,
    )
    best = found.result_grid.get_best_result(metric, mode)
    assert not found.result_grid.errors
    assert np.isfinite(best.metrics[metric])
    assert best.config["model_params"]["n_latent"] in (2, 3)
