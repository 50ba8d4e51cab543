"""What scvi-tools and its users expect of a model."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from pairs import PAIRS

import mmvae
from mmvae import MultiVAE
from mmvae._compat import unpulled

# A few epochs on a hundred cells teach a model little, and it says so.
pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")


@pytest.fixture(scope="module")
def mdata():
    return mmvae.datasets.simulate(120, modalities={"rna": 40, "atac": 50, "protein": 8}, missing=0.4, seed=1)


@pytest.fixture(scope="module")
def model(mdata):
    MultiVAE.setup_mudata(mdata, batch_key="batch", labels_key="cluster")
    model = MultiVAE(mdata, n_hidden=32)
    model.train(max_epochs=15, enable_progress_bar=False)
    return model


def trained(mdata, epochs: int = 2, **kwargs) -> MultiVAE:
    model = MultiVAE(mdata, n_hidden=16, n_latent=4, **kwargs)
    model.train(max_epochs=epochs, enable_progress_bar=False)
    return model


def test_every_cell_has_a_finite_latent(model, mdata):
    for representation in ("fused", "shared", "rna", "atac", "protein"):
        latent = model.get_latent_representation(modality=representation)
        assert len(latent) == mdata.n_obs
        assert np.isfinite(latent).all()


def test_fused_latent_is_the_modalities_side_by_side(model):
    parts = [model.get_latent_representation(modality=name) for name in model.modalities]
    unweighted = model.get_latent_representation(modality="unweighted")
    assert np.allclose(unweighted, np.concatenate(parts, axis=1), atol=1e-6)


def test_indices_choose_cells_in_their_order(model):
    whole = model.get_latent_representation()
    assert np.allclose(model.get_latent_representation(indices=[7, 2, 30]), whole[[7, 2, 30]], atol=1e-5)


def test_distribution_has_mean_and_variance(model):
    mean, variance = model.get_latent_representation(return_dist=True)
    assert np.allclose(mean, model.get_latent_representation())
    assert (variance > 0).all()


def test_unknown_representation_lists_the_known_ones(model):
    with pytest.raises(ValueError, match=r"one of \['fused', 'unweighted', 'shared', 'rna'"):
        model.get_latent_representation(modality="rnaa")


def test_elbo_is_the_sum_of_its_parts(model):
    torch.manual_seed(0)
    elbo = model.get_elbo(return_mean=False)
    assert elbo.shape == (120,)
    errors = model.get_reconstruction_error()
    assert set(errors) == {"rna", "atac", "protein"}
    assert all(np.isfinite(float(v)) for v in errors.values())


def test_history_names_every_modality(model):
    assert {"elbo_train", "elbo_validation", "kl_rna_train", "kl_protein_validation"} <= set(model.history_)


def test_saved_model_gives_the_same_latents(model, mdata, tmp_path):
    expected = model.get_latent_representation()
    shared = model.get_latent_representation(modality="shared")
    model.save(tmp_path / "model")
    again = MultiVAE.load(tmp_path / "model", mdata)
    assert np.allclose(again.get_latent_representation(), expected, atol=1e-5)
    assert np.allclose(again.get_latent_representation(modality="shared"), shared, atol=1e-4)


def test_model_loads_without_data_and_saves_again(model, mdata, tmp_path):
    expected = model.get_latent_representation()
    model.save(tmp_path / "model")
    bare = MultiVAE.load(tmp_path / "model", adata=False)
    assert "no data" in repr(bare)
    bare.save(tmp_path / "again")
    back = MultiVAE.load(tmp_path / "again", mdata)
    assert np.allclose(back.get_latent_representation(), expected, atol=1e-5)


def test_repr_says_what_the_model_holds(model):
    text = repr(model)
    for word in ("rna: 40 features", "likelihood nb", "prior mog", "fusion concat", "120 cells", "trained"):
        assert word in text


def test_expression_is_a_frame_of_cells_by_features(model, mdata):
    frame = model.get_normalized_expression(modality="rna", indices=[3, 1])
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.index) == list(mdata.obs_names[[3, 1]])
    assert list(frame.columns) == list(mdata["rna"].var_names)
    assert np.allclose(frame.sum(axis=1), 1, atol=1e-4)


def test_library_size_multiplies_shares(model):
    one = model.get_normalized_expression(modality="rna", indices=[0])
    assert np.allclose(model.get_normalized_expression(modality="rna", indices=[0], library_size=100.0), 100 * one)


def test_chosen_features_are_those_of_the_whole(model, mdata):
    names = list(mdata["atac"].var_names[[4, 2]])
    whole = model.get_normalized_expression(modality="atac", indices=[5, 6])
    assert np.allclose(model.get_normalized_expression(modality="atac", indices=[5, 6], gene_list=names), whole[names])


def test_more_samples_average_rates(model):
    frame = model.get_normalized_expression(modality="rna", indices=[0, 1], n_samples=5)
    assert np.allclose(frame.sum(axis=1), 1, atol=1e-4)


def test_another_batch_changes_the_values(model):
    own = model.get_normalized_expression(modality="rna", transform_batch="batch_0")
    other = model.get_normalized_expression(modality="rna", transform_batch="batch_1")
    assert not np.allclose(own, other)


def test_imputation_covers_the_cells_that_lack_the_modality(model, mdata):
    frame = model.impute("protein")
    assert set(frame.index) == set(mdata.obs_names) - set(mdata["protein"].obs_names)
    assert np.isfinite(frame.to_numpy()).all()


def test_imputation_withholds_the_own_measurement(mdata, model):
    cells = np.flatnonzero((mdata.obs["pattern"] == "rna+atac+protein").to_numpy())[:4]
    withheld = model.impute("protein", indices=cells)
    assert not np.allclose(withheld, model.get_normalized_expression(modality="protein", indices=cells))
    with unpulled():
        changed = mdata.copy()
    changed.mod["protein"].X = changed["protein"].X * 3
    assert np.allclose(model.impute("protein", indices=cells, adata=changed), withheld, atol=1e-4)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda m: m.impute("proteins"), "one of"),
        (lambda m: m.get_normalized_expression(modality="rna", gene_list=["nope"]), "unknown, such as 'nope'"),
        (lambda m: m.get_normalized_expression(modality="rna", transform_batch="nope"), "transform_batch among"),
        (lambda m: m.get_latent_representation(modality="shared", return_dist=True), "return_dist=False"),
    ],
    ids=["unknown modality", "unknown feature", "unknown batch", "shared has no distribution"],
)
def test_bad_requests_say_what_is_known(model, call, match):
    with pytest.raises(ValueError, match=match):
        call(model)


def test_same_seed_gives_the_same_model(mdata):
    MultiVAE.setup_mudata(mdata, batch_key="batch")
    np.random.seed(1)
    one = trained(mdata, seed=5).get_latent_representation()
    torch.manual_seed(99)
    assert np.array_equal(trained(mdata, seed=5).get_latent_representation(), one)
    assert not np.allclose(trained(mdata, seed=6).get_latent_representation(), one)


def test_training_leaves_the_random_generators_alone(mdata):
    MultiVAE.setup_mudata(mdata)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    trained(mdata)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize(("fusion", "prior"), PAIRS)
def test_every_prior_trains_with_every_fusion(mdata, prior, fusion, tmp_path, in_a_ring):
    if mmvae.priors.Prior.registry[prior].needs_graph:
        in_a_ring(mdata)
    MultiVAE.setup_mudata(mdata, batch_key="batch", labels_key="cluster", prior_covariate_keys=["cluster"])
    if fusion in ("poe", "moe", "mopoe") and prior in ("vamp", "coupled", "mmvm"):
        with pytest.raises(ValueError, match=f"{prior}|one latent"):
            MultiVAE(mdata, prior=prior, fusion=fusion)
        return
    model = MultiVAE(mdata, n_hidden=16, n_latent=4, prior=prior, fusion=fusion)
    model.train(max_epochs=6, enable_progress_bar=False, early_stopping=False)
    latent = model.get_latent_representation()
    assert np.isfinite(latent).all()
    model.save(tmp_path / "m")
    assert np.allclose(MultiVAE.load(tmp_path / "m", mdata).get_latent_representation(), latent, atol=1e-5)


def test_priors_are_chosen_by_modality(mdata):
    MultiVAE.setup_mudata(mdata)
    model = MultiVAE(mdata, prior={"rna": "normal", "protein": {"name": "mog", "n_components": 5}})
    assert model.module.priors["rna"].name == "normal"
    assert model.module.priors["protein"].n_components == 5
    assert model.module.priors["atac"].name == "mog"


def test_an_object_serves_as_prior_and_survives_saving(mdata, tmp_path):
    MultiVAE.setup_mudata(mdata)
    model = trained(mdata, prior=mmvae.priors.MixtureOfGaussians(4, n_components=3))
    model.save(tmp_path / "m")
    again = MultiVAE.load(tmp_path / "m", mdata)
    assert again.module.priors["rna"].n_components == 3


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"prior": "mogg"}, "Did you mean 'mog'"),
        ({"fusion": "concatt"}, "Did you mean 'concat'"),
        ({"prior": {"rnaa": "mog"}}, "rnaa"),
        ({"n_latent": 0}, "above 0"),
        ({"n_latent": {"rna": 3}}, "n_latent"),
        ({"modality_weights": {"nope": 2.0}}, "nope"),
        ({"modality_weights": {"rna": -1.0}}, "above 0"),
        ({"modality_dropout": 1.5}, "modality_dropout"),
        ({"dropout_rate": -0.1}, "dropout_rate"),
        ({"fusion": "poe", "n_latent": {"rna": 3, "atac": 4, "protein": 3}}, "one n_latent"),
        ({"fusion": "poe", "prior": {"rna": "mog"}}, "joint"),
        ({"fusion": "moe", "prior": "mmvm"}, "a latent for each modality"),
        ({"prior": {"rna": "mmvm"}, "n_latent": {"rna": 3, "atac": 4, "protein": 3}}, "which compares their latents"),
        ({"prior": "conditional"}, "prior_covariate_keys"),
        ({"prior": "flow", "n_latent": 1}, "at least 2"),
    ],
)
def test_bad_choices_are_refused_by_name(mdata, arguments, match):
    MultiVAE.setup_mudata(mdata)
    with pytest.raises(ValueError, match=match):
        MultiVAE(mdata, **arguments)


def test_one_modality_is_enough(mdata):
    rna = mdata["rna"].copy()
    rna.obs["b"] = pd.Categorical(np.where(np.arange(rna.n_obs) % 2, "x", "y"))
    MultiVAE.setup_anndata(rna, batch_key="b")
    model = trained(rna)
    assert model.get_latent_representation().shape == (rna.n_obs, 4)
    assert model.get_normalized_expression().shape == rna.shape
    with pytest.raises(ValueError, match="two or more modalities"):
        model.get_latent_representation(modality="shared")


def test_size_factors_of_any_scale_train(mdata):
    total = np.asarray(mdata["rna"].X.sum(1)).ravel()
    mdata.obs["depth"] = 1.0
    mdata.obs.loc[mdata["rna"].obs_names, "depth"] = total / 1000
    MultiVAE.setup_mudata(mdata, size_factor_keys={"rna": "depth"})
    model = trained(mdata)
    MultiVAE.setup_mudata(mdata)
    expected = trained(mdata)
    scale = float(model.module.size_factor_scale["rna"])
    assert scale == pytest.approx(
        1000 * float(expected.module.likelihoods["rna"].size_factor) / np.median(total), rel=1e-3
    )
    del mdata.obs["depth"]


def test_size_factors_may_stand_in_the_modality_of_a_mosaic(mdata):
    with unpulled():
        mdata.mod["rna"].obs["depth"] = np.asarray(mdata["rna"].X.sum(1)).ravel() / 1000
        MultiVAE.setup_mudata(mdata, size_factor_keys={"rna": "depth"})
    assert np.isfinite(trained(mdata).get_latent_representation()).all()


def test_a_joint_latent_is_what_stands_in_for_a_missing_modality(mdata):
    MultiVAE.setup_mudata(mdata)
    model = trained(mdata, fusion="poe")
    lacks = ~mdata.obs_names.isin(mdata["protein"].obs_names)
    own, fused = model.get_latent_representation(modality="protein"), model.get_latent_representation()
    assert np.allclose(own[lacks], fused[lacks], atol=1e-6)


def test_covariates_reach_the_decoders(mdata):
    mdata.obs["sex"] = pd.Categorical(np.where(np.arange(mdata.n_obs) % 2, "f", "m"))
    mdata.obs["age"] = np.linspace(20, 80, mdata.n_obs)
    MultiVAE.setup_mudata(mdata, categorical_covariate_keys=["sex"], continuous_covariate_keys=["age"])
    model = trained(mdata)
    decoder = model.module.decoders["rna"]
    assert decoder.input.in_features == model.module.fusion.n_output + 1
    # One table for the batch, of which there is one, and one for the categories.
    assert [table.weight.shape[1] for table in decoder.tables] == [1, 2]
    assert np.isfinite(model.get_latent_representation()).all()


def test_features_are_hidden_from_encoders_in_training_alone(mdata):
    MultiVAE.setup_mudata(mdata)
    assert MultiVAE(mdata).module.encoders["rna"].input_dropout.p == 0.0
    chosen = {"rna": 0.5, "protein": 0.1}
    model = MultiVAE(mdata, n_hidden=16, n_latent=4, input_dropout=chosen)
    assert {name: encoder.input_dropout.p for name, encoder in model.module.encoders.items()} == chosen | {"atac": 0.0}
    values = torch.ones(3, mdata["rna"].n_vars)
    encoder = model.module.encoders["rna"].eval()
    assert torch.equal(encoder(values).loc, encoder(values).loc)
    assert not torch.equal(encoder.train()(values).loc, encoder(values).loc)


def test_input_dropout_is_named_where_it_is_wrong(mdata):
    MultiVAE.setup_mudata(mdata)
    with pytest.raises(ValueError, match="input_dropout of 'atac'.*1.5"):
        MultiVAE(mdata, input_dropout={"rna": 0.5, "atac": 1.5})
    with pytest.raises(ValueError, match="for some of.*got it for \\['proteins'\\]"):
        MultiVAE(mdata, input_dropout={"proteins": 0.1})
