"""Deviance, and the mean model that it is held against."""

from __future__ import annotations

import pytest
import torch
from scvi.distributions import NegativeBinomial
from torch.distributions import Bernoulli, Normal, Poisson

from mmvae.analysis import MeanModel, explained, unit_deviance

COUNTS = torch.tensor([[0.0, 1.0, 7.0], [3.0, 0.0, 40.0]])
BINARY = torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
MEAN = torch.tensor([[0.2, 0.6, 0.9], [0.5, 0.3, 0.1]])
THETA = torch.tensor([0.5, 2.0, 10.0])


@pytest.mark.parametrize(
    ("kind", "values", "mean", "theta", "family"),
    [
        ("counts", COUNTS, 5 * MEAN, None, lambda mean: Poisson(mean)),
        ("counts", COUNTS, 5 * MEAN, THETA, lambda mean: NegativeBinomial(mu=mean, theta=THETA)),
        ("binary", BINARY, MEAN, None, lambda mean: Bernoulli(mean)),
        ("real", COUNTS, MEAN, None, lambda mean: Normal(mean, 1.0)),
    ],
    ids=["poisson", "nb", "bernoulli", "normal"],
)
def test_deviance_is_twice_what_the_likelihood_lacks_of_that_of_an_exact_fit(kind, values, mean, theta, family):
    exact = values.clamp(1e-7, 1 - 1e-7) if kind == "binary" else values.clamp_min(1e-7)
    lacking = family(exact).log_prob(values) - family(mean).log_prob(values)
    torch.testing.assert_close(unit_deviance(kind, values, mean, theta), 2 * lacking, atol=2e-5, rtol=1e-4)


def test_the_mean_model_has_the_mean_of_each_batch_by_exposure():
    model, generator = MeanModel(3, 4), torch.Generator().manual_seed(0)
    exposure, batch = 1 + torch.rand(8_000, 1, generator=generator), torch.arange(8_000)[:, None] % 2
    rates = torch.tensor([[1.0, 2.0, 0.0, 5.0], [3.0, 1.0, 0.0, 5.0]])
    for cells in torch.arange(8_000).split(3_000):
        model.add(exposure[cells] * rates[batch[cells, 0]], exposure[cells], batch[cells])
    torch.testing.assert_close(model.means()[:2], rates, rtol=0.01, atol=0.01)
    # A batch that no cell is of has the mean of all.
    torch.testing.assert_close(model.means()[2], rates.mean(dim=0), rtol=0.01, atol=0.01)


def test_a_batch_of_few_cells_is_drawn_to_the_mean_of_all():
    model, one = MeanModel(2, 1), torch.ones(1, 1)
    model.add(torch.full((999, 1), 2.0), one.expand(999, 1), torch.zeros(999, 1))
    model.add(torch.full((1, 1), 100.0), one, one)
    assert 2 < float(model.means()[1]) < 10


def test_what_is_explained_is_a_share_of_the_mean_models_deviance():
    shares = explained(torch.tensor([0.0, 2.0, 3.0, 0.0]), torch.tensor([2.0, 2.0, 2.0, 0.0]))
    assert shares[:3].tolist() == [1.0, 0.0, -0.5]
    assert shares[3].isnan()


def test_of_a_feature_that_no_cell_has_nothing_can_be_explained():
    assert explained(torch.tensor(1.0), torch.tensor(1e-8)).isnan()
    assert explained(torch.tensor(1.0), torch.tensor(4.0)) == 0.75
