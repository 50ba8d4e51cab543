"""Arms of the ladder differ in what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.ablation._arms import build
from benchmarks.ablation._model import UncoupledPrior, uncouple
from mmvae.fusion import ObservedDims
from mmvae.priors import CoupledPrior, PosteriorSample, PriorContext

# A few epochs on a hundred cells teach a model little, and it says so.
pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")


def test_a_tied_mixture_is_one_object_that_starts_from_all_modalities_pooled(mosaic):
    model = build("A3", mosaic, "batch", seed=0, kl_scale=1.0)
    first, second = model.module.priors.values()
    assert first is second
    low = PosteriorSample(torch.randn(200, 10) - 5, torch.full((200, 10), 0.1))
    high = PosteriorSample(torch.randn(200, 10) + 5, torch.full((200, 10), 0.1))
    first.init_from(low)
    first.init_from(high)
    weighted = (first.logits.softmax(0)[:, None] * first.loc).sum(0)
    assert weighted.abs().max() < 0.5


def test_arms_differ_in_the_prior_alone(mosaic):
    models = [build(arm, mosaic, "batch", seed=0, kl_scale=1.0) for arm in ("A0", "A2", "A3", "A4g")]
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
    cut = UncoupledPrior(5, "mog_full", 3)
    cut.load_state_dict(prior.state_dict())
    cut.blocks = [slice(0, 2), slice(2, 5)]
    q = torch.distributions.Independent(torch.distributions.Normal(torch.zeros(4, 5), torch.ones(4, 5)), 1)
    z = q.sample()
    known = torch.ones(4, 5, dtype=torch.bool)
    known[:2, 2:] = False
    dims = ObservedDims(known, known[[0, 2]], torch.tensor([0, 0, 1, 1]))
    got = cut.log_ratio(q, z, PriorContext(observed_dims=dims))
    blocks = q.base_dist.log_prob(z)
    first = blocks[:, :2].sum(1) - prior.marginal(slice(0, 2)).log_prob(z[:, :2])
    second = blocks[:, 2:].sum(1) - prior.marginal(slice(2, 5)).log_prob(z[:, 2:])
    torch.testing.assert_close(got, first + second * known[:, 2])
    filled = cut.impute_missing(z, dims)
    torch.testing.assert_close(filled.loc[0, 2:], prior.marginal(slice(2, 5)).mean)
    assert torch.equal(filled.loc[2:], z[2:])
    assert torch.equal(cut.sample_missing(z, dims)[2:], z[2:])


def test_taking_the_coupling_out_changes_what_is_filled_in_and_nothing_else(mosaic, trained):
    coupled = trained("A4f")
    complete = mosaic.obs["pattern"].to_numpy() == "rna+protein"
    before = coupled.get_latent_representation()
    uncouple(coupled)
    after = coupled.get_latent_representation()
    np.testing.assert_array_equal(before[complete], after[complete])
    assert np.abs(before[~complete] - after[~complete]).max() > 1e-4
    rna_alone = mosaic.obs["pattern"].to_numpy() == "rna"
    assert np.ptp(after[rna_alone][:, 10:], axis=0).max() < 1e-5
