"""What the priors say: components, fit, draws, outliers."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

import mmvae
from mmvae import MultiVAE
from mmvae.model._reader import Reader

pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")
SIZES = {"rna": 200, "protein": 30}
CELLS = 400


def simulated(seed=0, **kwargs):
    return mmvae.datasets.simulate(CELLS, modalities=SIZES, n_clusters=4, n_batches=2, seed=seed, **kwargs)


def fitted(mdata, epochs, **kwargs):
    MultiVAE.setup_mudata(mdata, batch_key="batch", labels_key="cluster")
    model = MultiVAE(mdata, n_hidden=64, **kwargs)
    model.train(epochs, lr=4e-3, accelerator="cpu", enable_progress_bar=False)
    return model


@pytest.fixture(scope="module")
def model():
    """A model that learnt something of cells of which three tenths lack a modality."""
    return fitted(simulated(missing=0.3), epochs=50, seed=1)


@pytest.fixture(scope="module")
def joint():
    return fitted(simulated(missing=0.3), epochs=4, fusion="mopoe", prior="labels")


@pytest.fixture(scope="module")
def coupled():
    return fitted(simulated(missing=0.3), epochs=4, prior={"name": "coupled", "kind": "mog_full", "n_components": 3})


def test_summary_covers_cells_and_weights(model):
    summary = model.prior_summary(3)
    has = {name: model.get_responsibilities(modality=name).notna().all(axis=1).sum() for name in SIZES}
    for name in SIZES:
        rows = summary[summary["latent"] == name]
        assert rows["weight"].sum() == pytest.approx(1, abs=1e-4)
        assert rows["n_cells"].sum() == pytest.approx(has[name], abs=1e-2)
        assert rows["n_cells"].is_monotonic_decreasing
        assert 1 <= rows["effective_components"].iloc[0] <= len(rows)
    assert summary["batch_evenness"].dropna().between(0, 1 + 1e-6).all()
    assert set(summary["top_rna"].iloc[0].split(", ")) <= set(model.get_var_names()["rna"])


def test_top_features_are_higher_in_the_cells_of_the_component(model):
    first = model.prior_summary(5).query("latent == 'rna'").iloc[0]
    member = model.get_responsibilities(modality="rna")[first["component"]]
    values = model.get_normalized_expression(modality="rna", gene_list=first["top_rna"].split(", "))
    assert (values[member > 0.5].mean() > values[member < 0.1].mean()).all()


def test_a_prior_without_components_has_a_row():
    model = fitted(simulated(), epochs=1, prior={"rna": "normal", "protein": "gaussian"})
    summary = model.prior_summary()
    assert summary["prior"].tolist() == ["normal", "gaussian"]
    assert summary["n_cells"].tolist() == [CELLS, CELLS]
    with pytest.raises(ValueError, match="mixture"):
        model.get_responsibilities(modality="rna")
    with pytest.raises(ValueError, match="mixture"):
        mmvae.tl.responsibilities(model, model.adata)


def test_components_of_labels_bear_their_names(joint):
    summary = joint.prior_summary()
    assert set(summary["label"]) == set(joint.labels)
    assert set(joint.get_responsibilities().columns) == set(joint.labels)


def test_responsibilities_of_cells_without_the_modality_are_missing(model):
    found = model.get_responsibilities(modality="protein")
    lacks = np.asarray(model.adata.obsmap["protein"]).ravel() == 0
    assert lacks.any()
    assert (found.isna().all(axis=1) == lacks).all()
    assert found[~lacks].sum(axis=1).to_numpy() == pytest.approx(np.ones((~lacks).sum()), abs=1e-5)


def test_responsibilities_do_not_depend_on_the_cells_beside(model):
    every = model.get_responsibilities(modality="rna")
    some = model.get_responsibilities(indices=[7, 3], modality="rna")
    assert list(some.index) == list(every.index[[7, 3]])
    np.testing.assert_allclose(some, every.iloc[[7, 3]], atol=1e-5)


def test_a_coupled_prior_places_every_cell(coupled):
    found = coupled.get_responsibilities()
    assert found.shape == (CELLS, 3)
    assert found.notna().all().all()
    assert coupled.prior_summary()["latent"].unique().tolist() == ["coupled"]


def test_the_latent_must_be_named_where_there_are_several(model):
    with pytest.raises(ValueError, match="Give modality"):
        model.get_responsibilities()


def test_responsibilities_are_written_to_the_data(model, tmp_path):
    mdata = simulated(missing=0.3)
    mmvae.tl.responsibilities(model, mdata)
    shares, best = mdata.obsm["mmvae_components_protein"], mdata.obs["mmvae_component_protein"]
    has = shares.notna().all(axis=1)
    assert (best.isna() == ~has).all()
    assert (best[has].astype(str) == shares[has].idxmax(axis=1)).all()
    mdata.write_h5mu(tmp_path / "with.h5mu")


@contextmanager
def planted(model, shift):
    """The model with priors that are its latents' own distribution, moved by ``shift``: a Gaussian at every posterior."""
    own = model.module.priors
    ((_, posteriors),) = Reader(model).posteriors(batch_size=CELLS)
    of_cells = {
        name: (q.loc[has], q.scale[has]) for name, q in posteriors.normals.items() for has in [posteriors.mask(name)]
    }
    model.module.priors = torch.nn.ModuleDict(
        {name: Planted(loc + shift, scale) for name, (loc, scale) in of_cells.items()}
    )
    try:
        yield model
    finally:
        model.module.priors = own


class Planted(mmvae.priors.Prior):
    """A Gaussian around each of many places, all of equal weight."""

    def __init__(self, loc, scale):
        super().__init__(loc.shape[1])
        self.loc, self.scale = loc, scale

    def forward(self, context):
        mixing = Categorical(logits=torch.zeros(len(self.loc)))
        return MixtureSameFamily(mixing, Independent(Normal(self.loc, self.scale), 1), validate_args=False)


def test_check_prior_tells_a_prior_that_fits_from_one_that_does_not(model):
    with planted(model, 0.0):
        fits = model.check_prior().set_index("latent")
    with planted(model, 3.0):
        moved = model.check_prior().set_index("latent")
    for name in SIZES:
        assert fits["auc"][name] == pytest.approx(0.5, abs=0.08)
        assert fits["verdict"][name].startswith("close")
        assert moved["auc"][name] > 0.95
        assert moved["verdict"][name].startswith("differs")
    # Each fits by itself, but both modalities show the same clusters.
    assert fits["auc"]["joint"] > fits["auc"][list(SIZES)].max() + 0.1


def test_one_latent_is_checked_once(joint, coupled):
    assert joint.check_prior()["latent"].tolist() == ["joint"]
    assert coupled.check_prior()["latent"].tolist() == ["rna", "protein", "joint"]


@pytest.mark.parametrize(("modality", "source"), [("rna", None), ("protein", None), ("protein", "rna")])
def test_samples_resemble_the_data(model, modality, source):
    found = model.sample(200, modality, source=source)
    assert found.index[0] == "sample_0"
    expected = model.get_normalized_expression(modality=modality)
    assert np.corrcoef(np.log(found.mean()), np.log(expected.mean()))[0, 1] > 0.95
    # New cells differ from each other as cells do.
    assert found.std().mean() == pytest.approx(expected.std().mean(), rel=0.5)


def test_samples_repeat_and_take_batch_and_library(model):
    once = model.sample(20, "rna", seed=3)
    pd.testing.assert_frame_equal(once, model.sample(20, "rna", seed=3))
    assert not np.allclose(once, model.sample(20, "rna", seed=4))
    np.testing.assert_allclose(model.sample(20, "rna", seed=3, library_size=100), 100 * once, rtol=1e-4)
    batches = sorted(model.adata.obs["batch"].astype(str).unique())
    first, second = (model.sample(20, "rna", transform_batch=batch) for batch in batches)
    assert not np.allclose(first, second)
    assert np.allclose(first.sum(axis=1), 1, atol=1e-4)


@pytest.mark.parametrize("name", ["joint", "coupled"])
def test_samples_of_one_prior_for_all(name, request):
    model = request.getfixturevalue(name)
    assert model.sample(10, "protein").shape == (10, SIZES["protein"])


def test_sampling_refuses_nonsense(model):
    with pytest.raises(ValueError, match="n as a whole number above 0"):
        model.sample(0, "rna")
    with pytest.raises(ValueError, match="Expected a modality"):
        model.sample(5)
    with pytest.raises(ValueError, match="transform_batch|batch"):
        model.sample(5, "rna", transform_batch="nowhere")


def scrambled(seed=0):
    """The data with every cell's values dealt to its features at random."""
    mdata, rng = simulated(missing=0.3), np.random.default_rng(seed)
    for name in SIZES:
        values = mdata[name].X
        values = values.toarray() if hasattr(values, "toarray") else np.asarray(values)
        mdata[name].X = rng.permuted(values, axis=1)
    return mdata


def test_scrambled_cells_are_outliers(model):
    own, garbage = model.get_outlier_score(), model.get_outlier_score(scrambled())
    assert np.mean(own[model.train_indices_]) == pytest.approx(0.5, abs=0.05)
    assert own.min() >= 0
    assert garbage.max() <= 1
    assert np.mean(garbage) > 0.65
    assert np.mean(garbage > 0.95) > 4 * np.mean(own > 0.95)
    fresh = model.get_outlier_score(simulated(seed=0, missing=0.3), indices=[5, 2])
    np.testing.assert_allclose(fresh, own[[5, 2]], atol=5e-3)


def test_reading_does_not_stand_in_the_way_of_saving(model, tmp_path):
    model.prior_summary(), model.get_outlier_score()
    state = torch.get_rng_state()
    model.check_prior(100), model.sample(5, "rna")
    assert torch.equal(torch.get_rng_state(), state)
    model.save(tmp_path / "model")
    back = MultiVAE.load(tmp_path / "model", adata=model.adata)
    pd.testing.assert_frame_equal(back.prior_summary(), model.prior_summary())
    np.testing.assert_allclose(back.get_outlier_score(), model.get_outlier_score())
    bare = MultiVAE.load(tmp_path / "model", adata=False)
    for read in (bare.prior_summary, bare.check_prior, lambda: bare.sample(3, "rna"), bare.get_outlier_score):
        with pytest.raises(ValueError, match="without"):
            read()


def test_a_mapped_query_is_held_against_the_reference(model, tmp_path):
    model.save(tmp_path / "reference")
    query = scrambled(seed=1)
    query.obs["batch"] = "new"
    mapped = MultiVAE.load_query_data(query, str(tmp_path / "reference"))
    mapped.train(2, enable_progress_bar=False, accelerator="cpu")
    assert mapped.get_outlier_score(reference=simulated(missing=0.3)).mean() > 0.62
    assert mapped.get_outlier_score().mean() == pytest.approx(0.5, abs=0.1)
    assert len(mapped.prior_summary()) == len(model.prior_summary())
