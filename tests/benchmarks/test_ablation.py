"""The ladder of priors measures what it says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import mmvae
from mmvae._compat import unpulled
from mmvae.fusion import ObservedDims
from mmvae.priors import CoupledPrior, PosteriorSample, PriorContext

pytest.importorskip("benchmarks", reason="run as `python -m pytest` from the root of the repository")
from benchmarks import ablation_arms as arms
from benchmarks import ablation_bounds as fit
from benchmarks import ablation_imputation as imputed
from benchmarks import ablation_verdicts as verdicts
from benchmarks.ablation import COLUMNS, update

# A few epochs on a hundred cells teach a model little, and it says so.
pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")


@pytest.fixture(scope="module")
def mosaic():
    return mmvae.datasets.simulate(150, modalities={"rna": 30, "protein": 8}, missing=0.4, seed=0)


def trained(mosaic, arm: str, epochs: int = 4) -> mmvae.MultiVAE:
    model = arms.build(arm, mosaic, "batch", seed=0, kl_scale=1.0)
    model.train(max_epochs=epochs, accelerator="cpu", enable_progress_bar=False)
    return model


def test_a_tied_mixture_is_one_object_that_starts_from_all_modalities_pooled(mosaic):
    model = arms.build("A3", mosaic, "batch", seed=0, kl_scale=1.0)
    first, second = model.module.priors.values()
    assert first is second
    low = PosteriorSample(torch.randn(200, 10) - 5, torch.full((200, 10), 0.1))
    high = PosteriorSample(torch.randn(200, 10) + 5, torch.full((200, 10), 0.1))
    first.init_from(low)
    first.init_from(high)
    weighted = (first.logits.softmax(0)[:, None] * first.loc).sum(0)
    assert weighted.abs().max() < 0.5


def test_arms_differ_in_the_prior_alone(mosaic):
    models = [arms.build(arm, mosaic, "batch", seed=0, kl_scale=1.0) for arm in ("A0", "A2", "A3", "A4g")]
    states = [{n: p for n, p in model.module.state_dict().items() if n.startswith("encoders")} for model in models]
    for state in states[1:]:
        assert all(torch.equal(state[name], value) for name, value in states[0].items())


def test_without_its_coupling_a_prior_is_the_product_of_its_marginals():
    prior = CoupledPrior(5, "mog_full", 3)
    torch.manual_seed(0)
    with torch.no_grad():
        prior.loc.normal_()
        prior.lower.normal_()
        prior.mark_initialised()
    cut = arms.UncoupledPrior(5, "mog_full", 3)
    cut.load_state_dict(prior.state_dict())
    cut.blocks = [slice(0, 2), slice(2, 5)]
    q = torch.distributions.Independent(torch.distributions.Normal(torch.zeros(4, 5), torch.ones(4, 5)), 1)
    z = q.sample()
    known = torch.ones(4, 5, dtype=torch.bool)
    known[:2, 2:] = False
    observed = ObservedDims(known, ((known[0], torch.arange(2)), (known[2], torch.arange(2, 4))))
    got = cut.log_ratio(q, z, PriorContext(observed_dims=observed))
    blocks = q.base_dist.log_prob(z)
    first = blocks[:, :2].sum(1) - prior.marginal(slice(0, 2)).log_prob(z[:, :2])
    second = blocks[:, 2:].sum(1) - prior.marginal(slice(2, 5)).log_prob(z[:, 2:])
    torch.testing.assert_close(got, first + second * known[:, 2])
    filled = cut.impute_missing(z, observed)
    torch.testing.assert_close(filled.loc[0, 2:], prior.marginal(slice(2, 5)).mean)
    assert torch.equal(filled.loc[2:], z[2:])
    assert torch.equal(cut.sample_missing(z, observed)[2:], z[2:])


def test_taking_the_coupling_out_changes_what_is_filled_in_and_nothing_else(mosaic):
    coupled = trained(mosaic, "A4f")
    complete = mosaic.obs["pattern"].to_numpy() == "rna+protein"
    before = coupled.get_latent_representation()
    arms.uncouple(coupled)
    after = coupled.get_latent_representation()
    np.testing.assert_array_equal(before[complete], after[complete])
    assert np.abs(before[~complete] - after[~complete]).max() > 1e-3
    rna_alone = mosaic.obs["pattern"].to_numpy() == "rna"
    assert np.ptp(after[rna_alone][:, 10:], axis=0).max() < 1e-5


@pytest.mark.parametrize("arm", ["A0", "A2", "A4f"])
def test_the_bounds_are_in_order_and_tighten(mosaic, arm):
    model = trained(mosaic, arm)
    torch.manual_seed(0)
    few, many = fit.bounds(model, mosaic, 8), fit.bounds(model, mosaic, 64)
    assert many["elbo"] < few["iwae"] < many["iwae"]


def test_the_elbo_agrees_with_that_of_training(mosaic):
    model = trained(mosaic, "A0")
    torch.manual_seed(0)
    closed = np.mean([float(model.get_elbo()) for _ in range(100)])
    assert fit.bounds(model, mosaic, 100)["elbo"] == pytest.approx(closed, abs=0.5)


def test_the_bound_is_that_of_the_module(mosaic):
    for model in (trained(mosaic, "A4f"), trained(mosaic, "A2")):
        (tensors,) = fit.minibatches(model, mosaic)
        torch.manual_seed(0)
        expected = model.module.marginal_ll(tensors, 200, return_mean=True)
        assert fit.bounds(model, mosaic, 200)["iwae"] == pytest.approx(expected, abs=0.3)


def test_a_prior_of_mismatched_spread_does_not_fit(mosaic):
    model = trained(mosaic, "A1")
    found = fit.prior_fit(model, mosaic)
    assert set(found) == {"c2st_rna", "c2st_protein", "c2st", "c2st_joint"}
    with torch.no_grad():
        model.module.priors["rna"].loc.fill_(5)
    assert fit.prior_fit(model, mosaic)["c2st_rna"] > 0.95


def test_predictions_do_not_see_what_they_predict(mosaic):
    model = trained(mosaic, "A0")
    with unpulled():
        changed = mosaic.copy()
    changed.mod["protein"].X = changed.mod["protein"].X[::-1].copy()
    found = []
    for mdata in (mosaic, changed):
        torch.manual_seed(0)
        found.append(imputed.predict(model, mdata, "protein", keep=False, n_draws=2))
    np.testing.assert_allclose(found[0].rates, found[1].rates, rtol=1e-5)
    assert (mosaic.obs["pattern"].to_numpy()[found[0].rows] == "rna+protein").all()


def test_correlation_and_coverage_of_known_cases():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(400, 3))
    noisy = truth + rng.normal(size=truth.shape)
    assert imputed.pearson(truth, truth) == pytest.approx(1)
    assert imputed.pearson(np.ones_like(truth), truth) == 0
    draws = noisy + rng.normal(size=(200, *truth.shape))
    assert imputed.coverage(draws, truth) == pytest.approx(0.9, abs=0.03)


def test_verdicts_want_an_interval_without_zero():
    assert verdicts.verdict(np.array([1.0, 1.1, 0.9]), 1) == "yes"
    assert verdicts.verdict(np.array([1.0, 1.1, 0.9]), -1) == "no, worse"
    assert verdicts.verdict(np.array([1.0, -1.1, 0.9]), 1) == "within noise"
    assert verdicts.verdict(np.array([1.0]), 1) == "one seed"


def test_rows_of_a_run_take_the_place_of_earlier_ones(tmp_path):
    path = tmp_path / "table.csv"
    update(path, pd.DataFrame([["sim", "A0", 0, "elbo", 1.0], ["sim", "A1", 0, "elbo", 2.0]], columns=COLUMNS))
    update(path, pd.DataFrame([["sim", "A0", 0, "elbo", 3.0]], columns=COLUMNS))
    assert pd.read_csv(path).set_index("arm")["value"].to_dict() == {"A0": 3.0, "A1": 2.0}
