"""Modalities predicted from others: intervals, one source alone, and how well it is done."""

from __future__ import annotations

from collections import Counter

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import mmvae
from mmvae import MultiVAE

# Of a few cells that were seen a few times ridge regression learns more, and the model says so.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*is predicted no better by the model", "ignore:The validation ELBO", "ignore:The latent of"
)

N_TRAINED, N_HELD = 300, 200


def simulated(n_cells, seed=0, **options):
    return mmvae.datasets.simulate(n_cells, modalities={"rna": 40, "atac": 60}, n_batches=1, seed=seed, **options)


@pytest.fixture(scope="module")
def cells():
    return simulated(N_TRAINED + N_HELD)


@pytest.fixture(scope="module")
def model(cells):
    mdata = cells[:N_TRAINED].copy()
    MultiVAE.setup_mudata(mdata)
    model = MultiVAE(mdata, n_latent=6, n_hidden=32)
    model.train(30, train_size=0.8, enable_progress_bar=False)
    return model


@pytest.fixture(scope="module")
def held(cells):
    return cells[N_TRAINED:].copy()


def counts(mdata, name):
    values = mdata[name].X
    return values.toarray() if sp.issparse(values) else np.asarray(values)


@pytest.mark.parametrize(("name", "interval"), [("rna", 0.9), ("atac", 0.9), ("rna", 0.5)])
def test_intervals_hold_the_counts_of_held_out_cells(model, held, name, interval):
    found = model.impute(name, held, np.arange(N_HELD), interval=interval)
    inside = (counts(held, name) >= found.lower_count) & (counts(held, name) <= found.upper_count)
    # whole counts hold more than asked for; the rest is what a single training may miss
    assert interval - 0.05 < inside.to_numpy().mean() < interval + 0.08


def test_intervals_are_in_order_and_named(model, held):
    found = model.impute("atac", held, [5, 3], gene_list=["peak_3", "peak_0"], interval=0.8, library_size=1e3)
    assert found._fields == ("mean", "lower", "upper", "lower_count", "upper_count")
    for frame in found:
        assert list(frame.index) == list(held.obs_names[[5, 3]])
        assert list(frame.columns) == ["peak_3", "peak_0"]
    assert (found.lower <= found.mean).all(axis=None)
    assert (found.mean <= found.upper).all(axis=None)
    assert (found.lower_count == found.lower_count.round()).all(axis=None)
    one = model.impute("atac", held, [5, 3], gene_list=["peak_3", "peak_0"], library_size=1e3)
    np.testing.assert_allclose(found.mean, one, rtol=0.5)


def test_intervals_of_probabilities_stay_probabilities():
    mdata = simulated(100)
    mdata["atac"].X = (mdata["atac"].X > 0).astype(np.float32)
    MultiVAE.setup_mudata(mdata, likelihoods={"atac": "bernoulli"})
    model = MultiVAE(mdata, n_latent=3, n_hidden=8)
    model.train(5, train_size=0.7, enable_progress_bar=False)
    model.impute("atac", indices=[0], interval=0.9)
    model.memory.imputation["atac"]["rate_spread"] = 20.0
    found = model.impute("atac", indices=np.arange(20), interval=0.9)
    assert (found.upper <= 1).all(axis=None)
    assert (found.lower >= 0).all(axis=None)
    assert (found.lower <= found.mean + 1e-6).all(axis=None)
    assert (found.mean <= found.upper + 1e-6).all(axis=None)


@pytest.mark.parametrize("batches", [None, ["batch_0", "batch_1"]], ids=str)
def test_each_draw_is_decoded_once_in_each_batch_and_cells_are_encoded_once(trained, batches, monkeypatch):
    model, _ = trained
    monkeypatch.setattr(model, "memory_", dict(model.memory_))
    asked = {"interval": 0.5, "transform_batch": batches, "indices": range(20)}
    model.impute("protein", **asked)  # what the intervals are calibrated by is measured by now
    called = Counter()
    parts = {"decoder": model.module.decoders["protein"], "encoder": model.module.encoders["rna"]}
    hooks = [part.register_forward_hook(lambda *_, name=name: called.update([name])) for name, part in parts.items()]
    model.impute("protein", **asked)
    for hook in hooks:
        hook.remove()
    assert called == {"decoder": 100 * len(batches or [None]), "encoder": 1}


def test_wider_intervals_hold_narrower_ones(model, held):
    narrow, wide = (model.impute("rna", held, np.arange(50), interval=share) for share in (0.5, 0.95))
    width = [(found.upper_count - found.lower_count).to_numpy().mean() for found in (narrow, wide)]
    assert 1.5 * width[0] < width[1]


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_intervals_are_layers_of_a_file(model, held, tmp_path, suffix):
    path = tmp_path / f"atac{suffix}"
    assert model.impute("atac", held, [7, 1, 4], interval=0.9, out=path, batch_size=2) == path
    stored = ad.read_zarr(path) if suffix == ".zarr" else ad.read_h5ad(path)
    assert set(stored.layers) >= {"lower", "upper", "lower_count", "upper_count"}
    assert stored.shape == (3, 60)
    assert (stored.layers["lower"] <= stored.X).all()
    assert (stored.X <= stored.layers["upper"]).all()
    assert (stored.layers["lower_count"] <= stored.layers["upper_count"]).all()


def test_what_intervals_were_calibrated_by_is_saved(model, tmp_path, held):
    model.impute("rna", held, [0], interval=0.9)
    model.save(tmp_path / "model", save_anndata=False)
    again = MultiVAE.load(tmp_path / "model", held)
    assert again.impute("rna", indices=[0, 1], interval=0.9).mean.shape == (2, 40)


def test_intervals_of_a_model_that_lacks_its_data_are_refused_in_words(model, tmp_path, held):
    model.save(tmp_path / "model", save_anndata=False)
    again = MultiVAE.load(tmp_path / "model", held)
    again.remember(imputation=None)
    with pytest.raises(ValueError, match="data that the model was trained with"):
        again.impute("rna", indices=[0], interval=0.9)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"interval": 90}, "interval as a share above 0, below 1; got 90"),
        ({"interval": 0.9, "n_samples": 10}, "n_samples of at least 19 for interval=0.9; got 10"),
        ({"indices": [0], "n_samples": 0}, "n_samples as a whole number above 0; got 0"),
    ],
)
def test_what_cannot_be_an_interval_is_refused(model, chosen, words):
    with pytest.raises(ValueError, match=words):
        model.impute("rna", **chosen)


def test_a_translation_knows_its_source_alone(trained):
    model, mdata = trained
    cells = np.flatnonzero((mdata.obsm["rna"] > 0) & (mdata.obsm["protein"] > 0))[:5]
    changed = mdata.copy()
    changed["atac"].X = changed["atac"].X * 3
    found = model.translate("rna", "protein", mdata, cells)
    same = changed.obs_names.get_indexer(found.index)  # mudata 0.3 copies in an order of its own
    np.testing.assert_allclose(model.translate(["rna"], "protein", changed, same), found, rtol=1e-5)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(model.impute("protein", mdata, cells), found, rtol=1e-5)
    both = model.translate(["rna", "atac"], "protein", mdata, cells)
    np.testing.assert_allclose(both, model.impute("protein", mdata, cells), rtol=1e-5)


def test_by_default_all_cells_with_the_source_are_translated(trained):
    model, mdata = trained
    assert model.translate("rna", "atac").shape == mdata["rna"].shape[:1] + mdata["atac"].shape[1:]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("rna", "rna"), "target that is none of the sources"),
        (("rna", "proteins"), "a modality, one of"),
        (("metabolites", "rna"), "a modality, one of"),
        (([], "rna"), r"source as one or more modalities, of \['rna'.*got \[\]. Name what"),
        ((None, "rna"), r"source as one or more modalities, of \['rna'.*got None. Name what"),
    ],
)
def test_translations_that_cannot_be_are_refused(trained, arguments, words):
    with pytest.raises(ValueError, match=words):
        trained[0].translate(*arguments)


def test_cells_without_the_source_are_named(trained):
    model, mdata = trained
    lacking = np.flatnonzero(mdata.obsm["rna"] == 0)[0]
    with pytest.raises(ValueError, match=f"such as '{mdata.obs_names[lacking]}', lack it"):
        model.translate("rna", "protein", indices=[lacking])


def test_predictions_are_compared_with_plain_ones(model):
    found = model.check_imputation("atac")
    assert list(found.columns.get_level_values(1).unique()) == ["mmvae", "ridge", "neighbors"]
    assert found.shape == (60, 6)
    assert found["correlation"].mean()["mmvae"] > 0.05
    assert (found["error"] > 0).all(axis=None)
    pd.testing.assert_frame_equal(model.check_imputation("atac"), found)


def test_means_of_labels_are_compared_where_there_are_labels():
    mdata = simulated(120)
    MultiVAE.setup_mudata(mdata, labels_key="cluster")
    model = MultiVAE(mdata, n_latent=3, n_hidden=8)
    with pytest.warns(UserWarning, match="The validation ELBO|The latent of"):
        model.train(2, train_size=0.7, enable_progress_bar=False)
    assert "label" in model.check_imputation("rna")["error"]
    with pytest.warns(UserWarning, match="'rna' of 36 validation cells is predicted no better by the model than by"):
        model.impute("rna", indices=[0])


def test_too_few_validation_cells_tell_nothing(trained):
    model, _ = trained
    with pytest.raises(ValueError, match="validation_size that leaves 20 such cells"):
        model.check_imputation("protein")


def test_a_training_forgets_what_was_measured_before():
    mdata = simulated(150)
    MultiVAE.setup_mudata(mdata)
    model = MultiVAE(mdata, n_latent=3, n_hidden=8)
    with pytest.warns(UserWarning, match="The validation ELBO|The latent of"):
        model.train(2, train_size=0.7, enable_progress_bar=False)
        model.check_imputation("rna")
        assert "rna" in model.memory.imputation_quality
        model.train(1, train_size=0.7, enable_progress_bar=False)
    assert model.memory.imputation_quality is None
