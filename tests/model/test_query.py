"""Mapping new batches onto a trained model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mudata import MuData

import mmvae
from mmvae import MultiVAE, SetupError

pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")
SIZES = {"rna": 20, "protein": 6}


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    mdata = mmvae.datasets.simulate(100, modalities=SIZES, n_clusters=3, n_batches=2)
    MultiVAE.setup_mudata(mdata, batch_key="batch")
    model = MultiVAE(mdata, n_hidden=16, n_latent=4)
    model.train(max_epochs=8, enable_progress_bar=False)
    folder = tmp_path_factory.mktemp("reference") / "model"
    model.save(folder)
    return model, folder


@pytest.fixture
def query():
    mdata = mmvae.datasets.simulate(80, modalities=SIZES, n_clusters=3, n_batches=2, missing=0.5, seed=1)
    mdata.obs["batch"] = "new " + mdata.obs["batch"].astype(str)
    return mdata


def test_a_query_of_new_batches_trains_their_weights_alone(reference, query):
    model, folder = reference
    mapped = MultiVAE.load_query_data(query, folder)
    mapped.train(max_epochs=3, enable_progress_bar=False)
    old, new = model.module.state_dict(), mapped.module.state_dict()
    for name, value in old.items():
        kept = new[name][..., : value.shape[-1]] if value.ndim else new[name]
        assert torch.equal(kept, value), name
    grown = {name for name in old if old[name].shape != new[name].shape}
    assert {"decoders.rna.tables.0.weight", "decoders.protein.tables.0.weight"} <= grown
    fresh = MultiVAE.load_query_data(query, folder).module.state_dict()
    assert not torch.equal(new["decoders.rna.tables.0.weight"][:, 2:], fresh["decoders.rna.tables.0.weight"][:, 2:])
    assert np.isfinite(mapped.get_latent_representation()).all()


def test_cells_of_the_reference_are_read_by_a_trained_query_as_by_the_reference(reference, query):
    model, folder = reference
    mapped = MultiVAE.load_query_data(query, folder)
    mapped.train(max_epochs=3, enable_progress_bar=False)
    cells = model.adata
    np.testing.assert_array_equal(mapped.get_latent_representation(cells), model.get_latent_representation())
    for name in SIZES:
        np.testing.assert_array_equal(
            mapped.get_normalized_expression(cells, modality=name), model.get_normalized_expression(modality=name)
        )
    assert mapped.module.priors["rna"].is_initialised


COVARIATES = {"categorical_covariate_keys": ["donor", "site"], "continuous_covariate_keys": ["age"]}


def with_covariates(mdata, donors, sites):
    mdata.obs["donor"], mdata.obs["site"] = np.resize(donors, mdata.n_obs), np.resize(sites, mdata.n_obs)
    mdata.obs["age"] = np.linspace(20.0, 60.0, mdata.n_obs)
    return mdata


@pytest.mark.parametrize(
    ("donors", "sites", "batches"),
    [
        (["a", "b", "c"], ["x", "y"], 2),
        (["a", "d", "e"], ["x", "y"], 0),
        (["b", "z", "a"], ["w", "y", "v"], 1),
    ],
    ids=["new batches", "new donors", "new everything"],
)
@pytest.mark.parametrize("likelihood", ["nb", "nb_mixture"])
def test_new_categories_leave_the_reference_s_rates_bit_equal(donors, sites, batches, likelihood):
    mdata = mmvae.datasets.simulate(100, modalities=SIZES, n_clusters=3, n_batches=2)
    with_covariates(mdata, ["a", "b", "c"], ["x", "y"])
    MultiVAE.setup_mudata(mdata, batch_key="batch", likelihoods={"protein": likelihood}, **COVARIATES)
    model = MultiVAE(mdata, n_hidden=16, n_latent=4)
    model.train(max_epochs=3, enable_progress_bar=False)
    query = mmvae.datasets.simulate(60, modalities=SIZES, n_clusters=3, n_batches=2, seed=1)
    if batches:
        query.obs["batch"] = [f"{b} new" if i % batches == 0 else b for i, b in enumerate(query.obs["batch"])]
    mapped = MultiVAE.load_query_data(with_covariates(query, donors, sites), model)
    for _ in range(2):
        mapped.train(max_epochs=1, enable_progress_bar=False)
        for name in SIZES:
            np.testing.assert_array_equal(
                mapped.get_normalized_expression(mdata, modality=name), model.get_normalized_expression(modality=name)
            )


def test_a_query_learns_the_background_of_its_batches(query):
    mdata = mmvae.datasets.simulate(100, modalities=SIZES, n_clusters=3, n_batches=2)
    MultiVAE.setup_mudata(mdata, batch_key="batch", likelihoods={"protein": "nb_mixture"})
    model = MultiVAE(mdata, n_hidden=16, n_latent=4)
    model.train(max_epochs=3, enable_progress_bar=False)
    mapped = MultiVAE.load_query_data(query, model)
    before = mapped.module.likelihoods["protein"].prior_loc.weight.detach().clone()
    mapped.train(max_epochs=2, enable_progress_bar=False)
    after = mapped.module.likelihoods["protein"].prior_loc.weight
    assert torch.equal(after[:, :2], before[:, :2])
    assert (after[:, 2:] != before[:, 2:]).all()


def test_a_saved_query_is_loaded_as_a_query(reference, query, tmp_path):
    _, folder = reference
    mapped = MultiVAE.load_query_data(query, folder, freeze_dropout=True)
    mapped.train(max_epochs=2, enable_progress_bar=False)
    mapped.save(tmp_path / "query")
    loaded = MultiVAE.load(tmp_path / "query", query)
    assert loaded.memory.is_query
    assert loaded.memory.reliability == mapped.memory.reliability
    trainable = {name: p.requires_grad for name, p in mapped.module.named_parameters()}
    assert {name: p.requires_grad for name, p in loaded.module.named_parameters()} == trainable
    rates = [part.p for part in loaded.module.modules() if isinstance(part, torch.nn.Dropout)]
    assert rates == [0.0] * len(rates)
    before = {name: value.clone() for name, value in loaded.module.state_dict().items()}
    loaded.train(max_epochs=2, enable_progress_bar=False)
    for name, value in loaded.module.state_dict().items():
        # Two batches are the reference's, the others the query's.
        frozen = value[:, :2] if "tables.0" in name else value
        assert torch.equal(frozen, before[name][:, :2] if "tables.0" in name else before[name]), name
    assert loaded.memory.reliability == mapped.memory.reliability


def test_an_unfrozen_query_is_a_model_of_its_own(reference, query):
    model, folder = reference
    mapped = MultiVAE.load_query_data(query, folder, unfrozen=True)
    assert not mapped.memory.is_query
    mapped.train(max_epochs=2, enable_progress_bar=False)
    old, new = (m.module.encoders["rna"].loc.weight for m in (model, mapped))
    assert not torch.equal(old, new)


def test_a_query_of_a_query_leaves_both_as_they_are(reference, query):
    _, folder = reference
    first = MultiVAE.load_query_data(query, folder)
    first.train(max_epochs=2, enable_progress_bar=False)
    other = mmvae.datasets.simulate(60, modalities=SIZES, n_clusters=3, seed=2)
    other.obs["batch"] = "third"
    second = MultiVAE.load_query_data(other, first)
    second.train(max_epochs=2, enable_progress_bar=False)
    for name in SIZES:
        np.testing.assert_array_equal(
            second.get_normalized_expression(query, modality=name), first.get_normalized_expression(modality=name)
        )


def test_an_untrained_reference_is_refused(query):
    mdata = mmvae.datasets.simulate(100, modalities=SIZES, n_clusters=3, n_batches=2)
    MultiVAE.setup_mudata(mdata, batch_key="batch")
    columns = list(query.obs)
    with pytest.raises(ValueError, match="trained reference"):
        MultiVAE.load_query_data(query, MultiVAE(mdata, n_hidden=16, n_latent=4))
    assert list(query.obs) == columns


def test_training_again_goes_on_from_the_priors(reference):
    model, _ = reference
    again = MultiVAE.load(reference[1], model.adata)
    before = again.module.priors["rna"].loc.detach().clone()
    again.train(max_epochs=1, lr=1e-12, enable_progress_bar=False)
    assert torch.allclose(again.module.priors["rna"].loc, before, atol=1e-6)


def staged(mdata, stages):
    mdata.obs["stage"] = np.resize(stages, mdata.n_obs)
    return mdata


def test_a_query_of_a_category_that_the_prior_does_not_know_expects_what_none_does(query, tmp_path):
    mdata = staged(mmvae.datasets.simulate(100, modalities=SIZES, n_clusters=3, n_batches=2), ["early", "late"])
    MultiVAE.setup_mudata(mdata, batch_key="batch", prior_covariate_keys=["stage"])
    model = MultiVAE(mdata, n_hidden=16, n_latent=4, prior="conditional")
    model.train(max_epochs=8, enable_progress_bar=False)
    model.save(tmp_path / "m")
    mapped = MultiVAE.load_query_data(staged(query, ["late", "adult", "early"]), str(tmp_path / "m"))
    mapped.train(max_epochs=3, enable_progress_bar=False)
    old, new = (m.module.priors["rna"].tables[0] for m in (model, mapped))
    assert torch.equal(new[..., :2], old)
    assert new.shape[-1] == 3
    assert (new[..., 2] == 0).all()
    assert np.isfinite(mapped.get_latent_representation()).all()
    assert np.isfinite(float(mapped.get_elbo()))


def test_a_query_that_lacks_a_modality_is_mapped_saved_and_imputed(reference, query, tmp_path):
    model, _ = reference
    half = MuData({"rna": query["rna"].copy()})
    half.obs["batch"] = query.obs["batch"].reindex(half.obs_names)
    mapped = MultiVAE.load_query_data(half, model)
    mapped.train(max_epochs=2, enable_progress_bar=False)
    expected = mapped.get_latent_representation()
    assert np.isfinite(expected).all()
    assert mapped.impute("protein").shape == (half.n_obs, SIZES["protein"])
    assert list(mapped.get_var_names()) == list(SIZES)
    mapped.save(tmp_path / "mapped")
    loaded = MultiVAE.load(tmp_path / "mapped", adata=half)
    np.testing.assert_allclose(loaded.get_latent_representation(), expected, atol=1e-6)
    both = query[query.obs_names.isin(half.obs_names) & query.obs_names.isin(query["protein"].obs_names)].copy()
    seen, unseen = (loaded.get_latent_representation(data, modality="protein") for data in (both, half))
    assert not np.allclose(seen, unseen[half.obs_names.get_indexer(both.obs_names)], atol=1e-2)


def test_a_query_may_lack_the_modality_of_a_size_factor(query):
    mdata = mmvae.datasets.simulate(100, modalities=SIZES, n_clusters=3)
    mdata["protein"].obs["depth"] = mdata["protein"].X.sum(axis=1) + 1.0
    MultiVAE.setup_mudata(mdata, size_factor_keys={"protein": "depth"})
    model = MultiVAE(mdata, n_hidden=8, n_latent=2)
    model.train(max_epochs=2, enable_progress_bar=False)
    half = MuData({"rna": query["rna"].copy()})
    assert len(model.get_latent_representation(half)) == half.n_obs
    assert len(MultiVAE.load_query_data(half, model).adata.obs) == half.n_obs


def test_a_query_with_a_modality_that_the_reference_has_not_says_so(reference, query):
    _, folder = reference
    lipids = query["rna"].copy()
    lipids.var_names = "lipid " + lipids.var_names
    more = MuData({"rna": query["rna"].copy(), "protein": query["protein"].copy(), "lipids": lipids})
    with pytest.raises(SetupError, match="modality 'lipids' is not one of the reference's"):
        MultiVAE.load_query_data(more, folder, "cpu")
    renamed = MuData({"gex": query["rna"].copy(), "protein": query["protein"].copy()})
    with pytest.raises(SetupError, match="'gex' has the features of 'rna': name it so"):
        MultiVAE.load_query_data(renamed, folder, "cpu")


def test_a_model_of_an_anndata_is_loaded_with_its_data_and_takes_queries(query, tmp_path):
    adata = mmvae.datasets.simulate(100, modalities=SIZES, n_clusters=3)["rna"].copy()
    MultiVAE.setup_anndata(adata)
    model = MultiVAE(adata, n_hidden=8, n_latent=2)
    model.train(max_epochs=2, enable_progress_bar=False)
    model.save(tmp_path / "model")
    loaded = MultiVAE.load(tmp_path / "model", adata, "cpu")
    np.testing.assert_allclose(loaded.get_latent_representation(), model.get_latent_representation(), atol=1e-6)
    mapped = MultiVAE.load_query_data(query["rna"].copy(), tmp_path / "model")
    mapped.train(max_epochs=1, enable_progress_bar=False)
    assert list(mapped.get_var_names()) == list(adata.var_names)
    assert len(mapped.get_normalized_expression(indices=[0, 1])) == 2


@pytest.mark.parametrize("unfrozen", [False, True])
def test_new_categories_start_at_the_mean_of_those_that_are_known(reference, query, unfrozen):
    model, folder = reference
    start = MultiVAE.load_query_data(query, folder, unfrozen=unfrozen).module.state_dict()
    for name, old in model.module.state_dict().items():
        if name.endswith("weight") and start[name].shape != old.shape:
            known = old.shape[1]
            assert torch.allclose(start[name][:, known:], old.mean(dim=1, keepdim=True), atol=1e-6), name


def test_proteins_of_a_new_batch_are_explained_as_well_as_those_of_the_reference():
    mdata = mmvae.datasets.simulate(
        300, modalities={"rna": 20, "protein": 10}, n_clusters=3, n_batches=2, batch_strength=0.1
    )
    batches = mdata.obs["batch"].astype(str)
    known, new = (mdata[(batches == name).to_numpy()].copy() for name in sorted(batches.unique()))
    MultiVAE.setup_mudata(known, batch_key="batch", likelihoods={"protein": "nb_mixture"})
    model = MultiVAE(known, n_hidden=16, n_latent=4)
    model.train(max_epochs=30, enable_progress_bar=False)
    mapped = MultiVAE.load_query_data(new, model)
    mapped.train(max_epochs=5, enable_progress_bar=False)
    errors = [m.get_reconstruction_error()["protein"] for m in (model, mapped)]
    assert errors[1] < 1.2 * errors[0]


def test_a_query_does_not_start_the_priors_of_its_reference(query):
    mdata = mmvae.datasets.simulate(60, modalities=SIZES, n_clusters=3, n_batches=2)
    MultiVAE.setup_mudata(mdata, batch_key="batch")
    model = MultiVAE(mdata, n_hidden=8, n_latent=3)
    model.train(max_epochs=1, enable_progress_bar=False)
    for prior in model.module.priors.values():
        prior.ready.fill_(False)
        prior._is_initialised = False
    mapped = MultiVAE.load_query_data(query, model)
    with pytest.warns(UserWarning, match="is still N"):
        mapped.train(max_epochs=3, enable_progress_bar=False)
    assert not any(prior.is_initialised for prior in mapped.module.priors.values())


def test_without_dropout_is_without_that_of_modalities(reference, query):
    mapped = MultiVAE.load_query_data(query, reference[1], freeze_dropout=True)
    assert mapped.module.dropout.rate == 0


def test_a_model_made_of_a_query_learns_from_its_own_jointly_profiled_cells():
    sizes = {"rna": 20, "atac": 20, "protein": 6}
    patterns = {"rna+atac": 0.5, "rna+protein": 0.5}
    apart, joint = (
        mmvae.datasets.simulate(80, modalities=sizes, n_batches=2, missing=missing) for missing in (patterns, None)
    )
    MultiVAE.setup_mudata(apart, batch_key="batch")
    model = MultiVAE(apart, n_hidden=8, n_latent=3)
    model.train(max_epochs=1, enable_progress_bar=False)
    pair = 1, 2
    assert not model.module.fusion.predictor.linked[pair]
    assert not MultiVAE.load_query_data(joint, model).module.fusion.predictor.linked[pair]
    assert MultiVAE.load_query_data(joint, model, unfrozen=True).module.fusion.predictor.linked[pair]
