"""Closed forms of count likelihoods against the distributions themselves."""

import pytest
import torch
from scvi.distributions import NegativeBinomial as NegativeBinomialDistribution
from torch.distributions import Poisson as PoissonDistribution

from mmvae.likelihoods._profile import (
    negative_binomial_log_likelihood,
    poisson_log_likelihood,
    sampled_poisson_log_likelihood,
)
from mmvae.nn import Places, SparseRows

C, G, H = 6, 30, 5


@pytest.fixture
def counts() -> torch.Tensor:
    torch.manual_seed(0)
    values = torch.poisson(2 * torch.rand(C, G)).double()
    values[2] = 0
    return values


def stored(values: torch.Tensor) -> SparseRows:
    row, column = values.nonzero(as_tuple=True)
    starts = torch.cat([torch.zeros(1), (values != 0).sum(dim=1)]).cumsum(0).long()
    return SparseRows(values[row, column], Places(column, starts, values.shape[1]))


def total_of(values: torch.Tensor) -> torch.Tensor:
    return values.sum(dim=1, keepdim=True).clamp_min(1)


def every(values: torch.Tensor) -> SparseRows:
    """With zeros stored, too."""
    numbers, n_columns = torch.arange(values.numel() + 1), values.shape[1]
    return SparseRows(values.flatten(), Places(numbers[:-1] % n_columns, numbers[::n_columns].clone(), n_columns))


@pytest.fixture(params=[stored, every])
def form(request):
    return request.param


def compare(found, expected, parameters):
    # scvi-tools adds 1e-8 to means and dispersions.
    assert torch.allclose(found, expected, atol=1e-5)
    weight = torch.randn(C, dtype=torch.double)
    ours, theirs = (
        torch.autograd.grad((weight * value).sum(), parameters, retain_graph=True) for value in (found, expected)
    )
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(ours, theirs, strict=True))


def test_poisson(counts, form):
    logits, total = torch.randn(C, G, dtype=torch.double, requires_grad=True), total_of(counts)
    expected = PoissonDistribution(total * logits.softmax(dim=1)).log_prob(counts).sum(dim=1)
    compare(poisson_log_likelihood(logits, total, form(counts)), expected, [logits])


def test_negative_binomial(counts, form):
    logits, total = torch.randn(C, G, dtype=torch.double, requires_grad=True), total_of(counts)
    log_theta = torch.randn(G, dtype=torch.double, requires_grad=True)
    theta = log_theta.exp()
    expected = NegativeBinomialDistribution(mu=total * logits.softmax(dim=1), theta=theta).log_prob(counts).sum(dim=1)
    compare(negative_binomial_log_likelihood(logits, theta, total, form(counts)), expected, [logits, log_theta])


def test_shares_too_small_for_a_number_stay_finite(counts):
    logits = torch.zeros(C, G)
    logits[:, 0] = 200.0
    for value in (
        poisson_log_likelihood(logits, total_of(counts).float(), stored(counts.float())),
        negative_binomial_log_likelihood(logits, torch.ones(G), total_of(counts).float(), stored(counts.float())),
    ):
        assert value.isfinite().all()


LIKELIHOODS = {
    "poisson": poisson_log_likelihood,
    "nb": lambda logits, total, counts: negative_binomial_log_likelihood(
        logits, total.new_ones(logits.shape[1]), total, counts
    ),
}


@pytest.mark.parametrize("likelihood", LIKELIHOODS.values(), ids=LIKELIHOODS)
def test_a_second_gradient_is_refused_not_wrong(counts, likelihood):
    with torch.autograd.graph.save_on_cpu():  # under which torch does not look for what has changed
        value = likelihood(torch.randn(C, G, requires_grad=True).double(), total_of(counts), stored(counts)).sum()
    value.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="Expected one backward pass"):
        value.backward()


@pytest.mark.parametrize("likelihood", LIKELIHOODS.values(), ids=LIKELIHOODS)
@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16], ids=str)
def test_logits_of_half_precision_are_normalised_in_single(counts, likelihood, precision):
    """Else every count pays for the rounding of the normaliser, and a deep cell's zeros exceed what a half can hold."""
    deep = 10_000 * counts.float()
    logits, total = torch.randn(C, G).to(precision), total_of(deep)
    with torch.autocast("cpu", precision):
        found = likelihood(logits, total, stored(deep))
    assert torch.equal(found, likelihood(logits.float(), total, stored(deep)))


@pytest.mark.parametrize("likelihood", LIKELIHOODS.values(), ids=LIKELIHOODS)
def test_deep_counts_of_many_features_keep_their_digits(likelihood):
    torch.manual_seed(0)
    shares = torch.randn(C, 3_000).softmax(dim=1)
    deep, logits = torch.poisson(2e5 * shares), shares.log() + 1e-3 * torch.randn_like(shares)
    single, double = (
        likelihood(logits.to(dtype), total_of(deep).to(dtype), stored(deep.to(dtype)))
        for dtype in (torch.float, torch.double)
    )
    assert torch.allclose(single.double(), double, rtol=0, atol=0.5)


def sampled(counts: torch.Tensor, n_sampled: int, n_draws: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean log-likelihood and gradient of several draws, and those of all features."""
    torch.manual_seed(1)
    hidden, bias = torch.randn(C, H, dtype=torch.double), torch.randn(G, dtype=torch.double)
    weight = (0.5 * torch.randn(G, H, dtype=torch.double)).requires_grad_()
    proposal = (counts.sum(dim=0) + 1) / (counts.sum() + G)
    arguments = hidden, weight, bias, proposal, n_sampled, total_of(counts), stored(counts)
    values = torch.stack([sampled_poisson_log_likelihood(*arguments) for _ in range(n_draws)]).mean(dim=0)
    exact = poisson_log_likelihood(hidden @ weight.mT + bias, total_of(counts), stored(counts))
    (ours,), (theirs,) = (torch.autograd.grad(value.sum(), weight) for value in (values, exact))
    return values.detach() - exact.detach(), ours, theirs


def test_many_sampled_features_give_the_poisson(counts):
    difference, ours, theirs = sampled(counts, 200_000, 1)
    assert difference.abs().max() < 0.02 * counts.sum(dim=1).max()
    assert torch.nn.functional.cosine_similarity(ours.flatten(), theirs.flatten(), dim=0) > 0.999


def test_the_bias_of_few_sampled_features_is_the_one_stated(counts):
    """Half of the squared relative error of the normaliser for each count, and so half as large for twice the draws."""
    few, many = (sampled(counts, n, 4_000)[0] / counts.sum(dim=1).clamp_min(1) for n in (10, 20))
    some = counts.sum(dim=1) > 0
    assert (few[some] > 0).all()
    assert float(few[some].mean() / many[some].mean()) == pytest.approx(2.0, rel=0.3)


def test_gradients_of_few_sampled_features_point_where_those_of_all_do(counts):
    few, many = (
        torch.nn.functional.cosine_similarity(ours.flatten(), theirs.flatten(), dim=0)
        for _, ours, theirs in (sampled(counts, n, 4_000) for n in (10, 100))
    )
    assert 0.8 < few < many
    assert many > 0.995


@pytest.mark.parametrize("likelihood", [poisson_log_likelihood, negative_binomial_log_likelihood])
def test_second_derivatives_are_refused_not_wrong(counts, likelihood):
    logits = torch.zeros(C, G, dtype=torch.double, requires_grad=True)
    theta = () if likelihood is poisson_log_likelihood else (torch.ones(G, dtype=torch.double),)
    weight = torch.ones(C, dtype=torch.double, requires_grad=True)
    value = (weight * likelihood(logits, *theta, total_of(counts), stored(counts))).sum()
    (first,) = torch.autograd.grad(value, logits, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()
