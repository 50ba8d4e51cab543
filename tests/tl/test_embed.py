from __future__ import annotations

import warnings

import mudata
import numpy as np
import pandas as pd
import pytest

import mmvae

READOUTS = {"X_mmvae": "fused", "X_mmvae_rna": "rna", "X_mmvae_atac": "atac", "X_mmvae_protein": "protein"}


@pytest.fixture
def embedded(trained):
    model, _ = trained
    # not a copy of its data: mudata's copies hold the cells in another order
    mdata = mmvae.datasets.simulate(200, missing=0.3)
    mmvae.tl.embed(model, mdata)
    return model, mdata


def test_every_readout_is_written(embedded):
    model, mdata = embedded
    for key, representation in READOUTS.items():
        expected = model.get_latent_representation(modality=representation)
        np.testing.assert_allclose(mdata.obsm[key], expected, atol=1e-5)
    shared = model.get_latent_representation(modality="shared")
    np.testing.assert_allclose(mdata.obsm["X_mmvae_shared"], shared, atol=1e-4)


def test_provenance_names_what_was_written(embedded):
    model, mdata = embedded
    provenance = mdata.uns["mmvae"]
    assert set(provenance["embeddings"]) == {*READOUTS, "X_mmvae_shared"}
    assert provenance["versions"]["mmvae"] == mmvae.__version__
    assert provenance["model"] == {
        "fusion": "concat",
        "n_latent": {"rna": 5, "atac": 5, "protein": 5},
        "n_fused": 15,
        "likelihoods": {"rna": "nb", "atac": "poisson", "protein": "nb"},
        "priors": {"rna": "mog", "atac": "mog", "protein": "mog"},
        "seed": 0,
        "best_epoch": model.best_epoch_,
        "n_epochs": 3,
    }
    assert "left_out" not in provenance


def test_result_survives_a_file(embedded, tmp_path):
    _, mdata = embedded
    mdata.write_h5mu(tmp_path / "out.h5mu")
    back = mudata.read_h5mu(tmp_path / "out.h5mu")
    assert back.uns["mmvae"]["model"] == mdata.uns["mmvae"]["model"]
    # mudata 0.3 reads the cells in another order
    order = back.obs_names.get_indexer(mdata.obs_names)
    np.testing.assert_array_equal(back.obsm["X_mmvae"][order], mdata.obsm["X_mmvae"])


@pytest.mark.filterwarnings("ignore:The modalities agree on nothing")
def test_what_is_added_can_be_written_whatever_pandas_holds_text_in(tmp_path):
    mdata = mmvae.datasets.simulate(100, modalities={"rna": 20, "protein": 6})
    with pd.option_context("future.infer_string", True):
        mdata.obs["site"] = pd.array(["a", "b"] * 50, dtype="string")
        mdata["rna"].obs["site"] = mdata.obs["site"]
        mmvae.MultiVAE.setup_mudata(
            mdata,
            batch_key="site",
            labels_key="cluster",
            categorical_covariate_keys=["rna:site"],
            prior_covariate_keys=["batch"],
        )
        model = mmvae.MultiVAE(mdata, n_latent=3, n_hidden=16)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.train(8, accelerator="cpu", enable_progress_bar=False)
        mmvae.tl.embed(model, mdata)
        mmvae.tl.responsibilities(model, mdata)
        added = [key for key in mdata.obs if key.startswith(("_mmvae", "_scvi", "mmvae"))]
        assert len(added) >= 7
        for key in added:
            assert not isinstance(mdata.obs[key].dtype, pd.StringDtype)
            if isinstance(mdata.obs[key].dtype, pd.CategoricalDtype):
                assert mdata.obs[key].cat.categories.dtype == object
        mdata.write_h5mu(tmp_path / "out.h5mu")


def test_other_data_of_the_same_features(trained):
    model, _ = trained
    other = mmvae.datasets.simulate(60, missing=0.3, seed=1)
    mmvae.tl.embed(model, other)
    assert other.obsm["X_mmvae"].shape == (60, 15)


def test_what_cannot_be_estimated_is_left_out_with_its_reason():
    adata = mmvae.datasets.simulate(100, modalities=("rna",))["rna"].copy()
    mmvae.MultiVAE.setup_anndata(adata)
    model = mmvae.MultiVAE(adata, n_latent=3, n_hidden=16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.train(1, accelerator="cpu", enable_progress_bar=False)
    # as a model before has left it
    adata.obsm["X_mmvae_shared"] = np.zeros((100, 2))
    mmvae.tl.embed(model, adata)
    assert set(adata.obsm) == {"X_mmvae", "X_mmvae_rna"}
    assert "two or more modalities" in adata.uns["mmvae"]["left_out"]["X_mmvae_shared"]


def test_nothing_is_written_if_a_readout_fails(trained, monkeypatch):
    model, _ = trained
    mdata = mmvae.datasets.simulate(60, missing=0.3)
    before = set(mdata.obsm)
    real = model.get_latent_representation

    def fail_late(*args, **kwargs):
        if kwargs["modality"] == "protein":
            raise OSError("out of luck")
        return real(*args, **kwargs)

    monkeypatch.setattr(model, "get_latent_representation", fail_late)
    with pytest.raises(OSError, match="out of luck"):
        mmvae.tl.embed(model, mdata)
    assert set(mdata.obsm) == before
    assert "mmvae" not in mdata.uns


def test_untrained_model_is_refused():
    mdata = mmvae.datasets.simulate(50)
    mmvae.MultiVAE.setup_mudata(mdata)
    with pytest.raises(RuntimeError, match="train"):
        mmvae.tl.embed(mmvae.MultiVAE(mdata), mdata)
    assert not [key for key in mdata.obsm if key.startswith("X_mmvae")]
