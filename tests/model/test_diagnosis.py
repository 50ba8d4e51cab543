"""What is said of a trained model: each fault is named, and a model without faults has none."""

from __future__ import annotations

import copy
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from mudata import MuData

import mmvae
from mmvae import Diagnosis, MultiVAE
from mmvae.model.readouts._verdict import (
    explained_notes,
    few_cells_notes,
    filled_notes,
    inactive_notes,
    prior_fit_notes,
    separation_notes,
    weight_notes,
)


def fitted(mdata, epochs, **options):
    MultiVAE.setup_mudata(mdata, batch_key="batch")
    model = MultiVAE(mdata, **{"n_latent": 4, "n_hidden": 32} | options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.train(epochs, lr=1e-2, accelerator="cpu", enable_progress_bar=False)
    return model


def two_modalities(n_cells=240, **options):
    sizes = {"rna": 40, "protein": 15}
    return mmvae.datasets.simulate(n_cells, modalities=sizes, n_clusters=4, **{"seed": 0, "n_batches": 2} | options)


@pytest.fixture(scope="module")
def healthy():
    """A model that has learnt. Its weights are put back after each test that takes ``model``."""
    return fitted(two_modalities(), 30)


@pytest.fixture
def model(healthy):
    before = copy.deepcopy(healthy.module.state_dict())
    yield healthy
    healthy.module.load_state_dict(before)


def findings(model, *words):
    """The findings with any of these words."""
    return [line for line in model.diagnose().verdict if any(word in line for word in words)]


def test_nothing_is_amiss_in_a_healthy_model(healthy):
    attributes = set(vars(healthy))
    found = healthy.diagnose()
    assert found.verdict == ()
    assert set(vars(healthy)) == attributes
    assert list(found.modalities.index) == healthy.modalities
    assert (found.modalities["n_cells"] == 24).all()
    assert (found.modalities["active"] == 4).all()
    assert (found.modalities[["explained", "explained_of_a_feature"]] > 0.05).all(axis=None)
    assert found.modalities["weight"].max() == 1
    assert len(found.features) == 55
    assert len(found.dimensions) == 8
    nats = healthy.get_modality_information(indices=healthy.validation_indices_).mean()
    np.testing.assert_allclose(found.modalities["nats"], nats, rtol=1e-5)
    pd.testing.assert_series_equal(
        found.modalities["explained"], healthy.get_deviance_explained().loc["all"], check_names=False
    )


def test_a_diagnosis_can_be_printed(healthy):
    found = healthy.diagnose()
    assert "Nothing amiss" in str(found)
    assert "<ol><li>Nothing amiss" in found._repr_html_()
    faulty = Diagnosis(("a < b", "c"), *(getattr(found, name) for name in list(Diagnosis.__annotations__)[1:]))
    assert "1. a < b\n2. c" in str(faulty)
    assert "<li>a &lt; b</li>" in faulty._repr_html_()
    with pytest.raises(AttributeError):
        found.verdict = ()


def test_the_short_form_ends_a_training(capsys):
    model = fitted(two_modalities(40), 1)
    assert "model.diagnose()" not in capsys.readouterr().out
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.train(1, train_size=0.4, accelerator="cpu")
    nats = ", ".join(f"{name} {value:.1f}" for name, value in model.diagnose().modalities["nats"].items())
    assert f"Nats per cell that its latents carry, in 24 held-out cells: {nats}." in capsys.readouterr().out


def test_a_collapsed_latent_is_named():
    model = fitted(two_modalities(60), 12, kl_scale=200.0)
    found = model.diagnose()
    assert sum("less than 1: the model learnt next to nothing" in line for line in found.verdict) == 2
    assert (found.modalities["nats"] < 1).all()


def test_dimensions_that_are_not_used_are_named(model):
    with torch.no_grad():
        model.module.encoders["rna"].loc.weight[1:] = 0.0
    (line,) = findings(model, "are active")
    assert line.startswith("Of the 4 dimensions of 'rna' 1 are active")


def test_what_is_explained_no_better_than_by_the_mean_is_named(model):
    with torch.no_grad():
        model.module.likelihoods["protein"].profile.weight.mul_(-1.0)
    (line,) = findings(model, "deviance explained")
    assert line.startswith("Of 'protein' the model explains no more than each feature's mean (deviance explained -")


@pytest.mark.parametrize(("power", "words"), [(4.0, "surer than right"), (-4.0, "less sure than it could be")])
def test_fills_of_the_wrong_certainty_are_named(model, power, words):
    with torch.no_grad():
        model.module.fusion.predictor.log_power += power
    lines = findings(model, "squared standardised residual")
    assert len(lines) == 2
    assert all(words in line for line in lines)


def test_batches_that_lie_apart_are_named():
    mdata = two_modalities(120)
    in_second = (mdata.obs["batch"] == "batch_1").to_numpy()
    # In the second batch features stand in another order: no cell of one batch is like any of the other.
    for adata in mdata.mod.values():
        values = adata.X.toarray() if sp.issparse(adata.X) else adata.X
        adata.X = np.where(in_second[:, None], values[:, ::-1], values)
    (line,) = findings(fitted(mdata, 8, batch_adversary=0.0), "Batches lie apart")
    assert "raise batch_adversary" in line


def test_patterns_that_lie_apart_and_coincide_with_batches_are_named():
    model = fitted(two_modalities(120, missing={"batch_1": "protein"}), 2)
    with torch.no_grad():
        model.module.fusion.predictor.bias["protein"][..., :4] += 20.0
    lines = findings(model, "Cells that lack different modalities", "coincides")
    assert len(lines) == 2
    assert "Compare such cells in modality='shared'" in lines[0]
    assert "batch 'batch' coincides with what is missing" in lines[1]


def test_a_training_that_never_improved_is_named(model, monkeypatch):
    worse = pd.DataFrame({"objective_validation": np.arange(10.0, 40.0)})
    monkeypatch.setattr(model, "history_", model.history_ | {"objective_validation": worse})
    assert any("never improved on its first epoch" in line for line in findings(model, "never improved"))


def test_learning_by_heart_is_named(model, monkeypatch):
    curve = pd.DataFrame({"objective_validation": [100.0, 60.0, *[90.0] * 28]})
    monkeypatch.setattr(model, "history_", model.history_ | {"objective_validation": curve})
    (line,) = findings(model, "learnt by heart")
    assert line.startswith(
        "The validation ELBO was best in epoch 1, before those to choose from, and is 30.0 nats worse"
    )


def test_that_nothing_was_held_out_is_named(model, monkeypatch):
    monkeypatch.setattr(model, "validation_indices_", np.array([], dtype=int))
    monkeypatch.setattr(model, "test_indices_", np.array([], dtype=int))
    found = model.diagnose()
    assert [line[:22] for line in found.verdict] == ["Fewer than 20 cells of"]
    assert (found.modalities["n_cells"] == 240).all()


def test_of_a_modality_in_few_of_the_cells_nothing_else_is_said():
    mdata = two_modalities(200)
    mdata = MuData({"rna": mdata["rna"], "protein": mdata["protein"][:30].copy()})
    mdata.obs["batch"] = "a"
    found = fitted(mdata, 4).diagnose()
    n_cells = found.modalities.loc["protein", "n_cells"]
    assert 0 < n_cells < 20
    (line,) = (line for line in found.verdict if "'protein'" in line)
    assert line.startswith(f"Only {n_cells} of the cells")


def test_that_the_data_are_others_is_named(healthy, tmp_path):
    healthy.save(tmp_path / "model")
    verdict = MultiVAE.load(tmp_path / "model", two_modalities(60, seed=3)).diagnose().verdict
    assert verdict[0].startswith("These data are not those that the model was trained with")
    assert not any("were held out in training" in line for line in verdict)


def with_values(change):
    """The data of the healthy model, of which the values are changed."""
    mdata = two_modalities()
    for adata in mdata.mod.values():
        adata.X = change(sp.csr_matrix(adata.X).toarray())
    return mdata


def in_mixed_rows():
    mdata = two_modalities()
    rna = mdata["rna"][np.random.default_rng(0).permutation(mdata.n_obs)].copy()
    mixed = MuData({"rna": rna, "protein": mdata["protein"]})[mdata.obs_names].copy()
    mixed.obs["batch"] = mdata.obs["batch"].reindex(mixed.obs_names)
    return mixed


def without_protein():
    mdata = two_modalities()
    fewer = MuData({"rna": mdata["rna"]})
    fewer.obs["batch"] = mdata.obs["batch"]
    return fewer


@pytest.mark.parametrize(
    ("made", "is_same"),
    [
        (two_modalities, True),
        (lambda: with_values(lambda x: sp.csc_matrix(x, dtype=np.float64)), True),
        (in_mixed_rows, True),
        (lambda: with_values(lambda x: np.roll(x, 1, axis=0)), False),
        (lambda: with_values(lambda x: x + (np.arange(x.size).reshape(x.shape) % 50 == 0)), False),
        (without_protein, False),
    ],
    ids=["the same", "by columns", "rows in another order", "other cells", "other counts", "a modality less"],
)
def test_data_of_the_same_cells_are_the_training_data_if_values_are_the_same(healthy, tmp_path, made, is_same):
    healthy.save(tmp_path / "model")
    model = MultiVAE.load(tmp_path / "model", made())
    named = [line for line in model.diagnose().verdict if line.startswith("These data are not those")]
    assert bool(named) is not is_same
    if not is_same:
        with pytest.raises(ValueError, match="data that the model was trained with; got others"):
            model.get_outlier_score()


def test_cells_to_test_on_go_before_those_that_chose_the_epoch(model, monkeypatch):
    monkeypatch.setattr(model, "test_indices_", np.arange(30))
    assert (model.diagnose().modalities["n_cells"] == 30).all()


def test_a_prior_that_never_started_is_named(model, monkeypatch):
    monkeypatch.setattr(model.module.priors["rna"], "_is_initialised", False)
    assert any("is still N(0, I)" in line for line in findings(model, "prior of 'rna'"))


def test_a_prior_that_does_not_fit_is_named_in_the_words_of_its_own_test(model):
    with torch.no_grad():
        model.module.encoders["rna"].loc.bias += 20.0
    found, own = model.diagnose(), model.check_prior()
    pd.testing.assert_frame_equal(found.priors, own)
    (line,) = (line for line in found.verdict if line.startswith("Prior of"))
    word, _, sentence = own.set_index("latent").loc["rna", "verdict"].partition(": ")
    assert word == "differs"
    assert line.startswith(f"Prior of 'rna': {sentence} ")
    assert "told from cells (AUC, from 0.5 to 1): rna 1.00, protein" in str(found)


def test_a_modality_that_hardly_counts_is_named(model, monkeypatch):
    low = model.memory_ | {"reliability": {"rna": 0.01, "protein": 0.9}, "agreement": {"rna": 0.0, "protein": 0.0}}
    monkeypatch.setattr(model, "memory_", low)
    (line,) = findings(model, "hardly counts")
    assert line.startswith("'rna' hardly counts in the fused latent (weight 0.01")


@pytest.mark.parametrize(
    "notes",
    [
        few_cells_notes({"rna": 20}),
        explained_notes({"rna": 0.02, "atac": float("nan")}),
        inactive_notes({"rna": 5}, {"rna": 10}),
        weight_notes({"rna": 0.1, "joint": float("nan")}),
        separation_notes({"batch": 0.45, "pattern": float("nan")}),
        prior_fit_notes([("rna", 500, 0.74, "roughly: "), ("atac", 40, float("nan"), "not tested: ")]),
        filled_notes([("rna", "atac", 500, 1.9), ("atac", "rna", 500, 0.6), ("rna", "protein", 19, 9.0)]),
    ],
    ids=["few cells", "explained", "active", "weight", "separation", "priors", "fills"],
)
def test_what_is_as_it_should_be_or_not_known_is_not_named(notes):
    assert notes == []


@pytest.mark.parametrize(
    "options", [{"fusion": "poe"}, {"fusion": "attention"}, {"prior": "coupled"}, {"prior": "normal"}], ids=str
)
def test_models_of_every_kind_are_diagnosed(options):
    model = fitted(two_modalities(60, missing=0.3), 2, **options)
    found = model.diagnose()
    assert np.isfinite(found.modalities["explained"]).all()
    assert found.filled.empty == (model.module.fusion.name == "poe")
    assert found.modalities["weight"].isna().all() == (model.module.fusion.name == "poe")
    assert "rna" in str(found)


def test_other_likelihoods_and_one_modality_are_diagnosed():
    mdata = two_modalities(60)
    adata = mdata["rna"]
    adata.obs["batch"] = mdata.obs["batch"]
    for likelihood, change in {"normal": np.log1p, "bernoulli": lambda x: x > 2, "nb_mixture": lambda x: x}.items():
        own = adata.copy()
        own.X = np.asarray(change(adata.X.toarray() if sp.issparse(adata.X) else adata.X), dtype=np.float32)
        MultiVAE.setup_anndata(own, likelihood=likelihood)
        model = MultiVAE(own, n_latent=2, n_hidden=8)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.train(3, accelerator="cpu", enable_progress_bar=False)
        found = model.diagnose()
        assert np.isfinite(found.modalities["explained"]).all()
        assert found.filled.empty
        assert found.separation.isna().all()
