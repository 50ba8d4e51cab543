"""The Markov random field against dense linear algebra."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from mmvae.priors import CellGraph, GaussianMarkovField, PosteriorSample, PriorContext, _spectrum
from mmvae.priors._spectrum import spectrum_of

D = 3


def grid(rows: int, columns: int) -> sp.csr_matrix:
    """Spots of a square lattice, each with its 2 to 4 neighbours."""
    row, column = (sp.diags([1.0, 1.0], [1, -1], shape=(n, n)) for n in (rows, columns))
    return sp.csr_matrix(sp.kron(row, sp.eye(columns)) + sp.kron(sp.eye(rows), column))


def posteriors(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, D, generator=generator), 0.1 + torch.rand(n, D, generator=generator)


def field(graph: sp.csr_matrix, mean: torch.Tensor, variance: torch.Tensor) -> GaussianMarkovField:
    """A field under way, with parameters of its own in each dimension."""
    prior = GaussianMarkovField(D)
    prior.link(CellGraph(graph, np.ones(graph.shape[0], dtype=bool), lambda: (mean, variance)))
    prior.ready.fill_(True)
    with torch.no_grad():
        prior.log_precision.copy_(torch.tensor([-1.0, 0.0, 0.5]))
        prior.log_smoothness.copy_(torch.tensor([0.7, -1.0, -3.0]))
    return prior


def charged(
    prior: GaussianMarkovField, mean: torch.Tensor, variance: torch.Tensor, cells: torch.Tensor
) -> torch.Tensor:
    q = Independent(Normal(mean[cells], variance[cells].sqrt()), 1)
    return prior.kl(q, q.sample(), PriorContext(cells=cells))


def dense_kl(
    graph: sp.csr_matrix, prior: GaussianMarkovField, mean: torch.Tensor, variance: torch.Tensor
) -> torch.Tensor:
    adjacency = torch.as_tensor(graph.toarray()).double()
    laplacian = torch.diag(adjacency.sum(dim=1)) - adjacency
    eye = torch.eye(len(mean), dtype=torch.float64)
    total = torch.zeros((), dtype=torch.float64)
    for d in range(D):
        precision = prior.precision[d].double() * eye + prior.smoothness[d].double() * laplacian
        q = MultivariateNormal(mean[:, d].double(), torch.diag(variance[:, d].double()))
        total = total + kl_divergence(
            q, MultivariateNormal(torch.zeros(len(mean)).double(), precision_matrix=precision)
        )
    return total


@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(grid(5, 5), id="grid"),
        pytest.param(sp.block_diag([grid(3, 4), grid(2, 5)], format="csr"), id="two_slides"),
        pytest.param(sp.block_diag([grid(3, 4), sp.csr_matrix((3, 3))], format="csr"), id="lone_spots"),
        pytest.param(grid(4, 6) * 0.3, id="weights"),
    ],
)
def test_charges_add_up_to_the_exact_kl(graph):
    mean, variance = posteriors(graph.shape[0])
    prior = field(graph, mean, variance)
    total = charged(prior, mean, variance, torch.arange(len(mean))).sum()
    assert float(total.detach()) == pytest.approx(
        float(dense_kl(graph, prior, mean, variance).detach()), rel=1e-4, abs=1e-4
    )


def test_minibatches_charge_what_the_whole_does():
    graph = grid(5, 5)
    mean, variance = posteriors(25)
    prior = field(graph, mean, variance)
    whole = charged(prior, mean, variance, torch.arange(25))
    shuffled = torch.randperm(25)
    parts = torch.cat([charged(prior, mean, variance, cells) for cells in shuffled.split(7)])
    assert torch.allclose(parts, whole[shuffled], atol=1e-5)


def test_gradient_of_one_cell_is_that_of_the_whole():
    graph = grid(5, 5)
    mean, variance = posteriors(25)
    prior = field(graph, mean.clone(), variance.clone())
    whole_mean, whole_variance = mean.clone().requires_grad_(), variance.clone().requires_grad_()
    dense_kl(graph, prior, whole_mean, whole_variance).backward()
    wanted = {name: p.grad.clone() for name, p in prior.named_parameters()}
    prior.zero_grad()
    own_mean, own_variance = mean.clone().requires_grad_(), variance.clone().requires_grad_()
    charged(prior, own_mean, own_variance, torch.arange(25)).sum().backward()
    assert torch.allclose(own_mean.grad, whole_mean.grad, atol=1e-4)
    assert torch.allclose(own_variance.grad, whole_variance.grad, atol=1e-4)
    for name, parameter in prior.named_parameters():
        assert torch.allclose(parameter.grad, wanted[name], rtol=1e-4, atol=1e-4), name


def test_without_coupling_it_is_the_standard_normal():
    mean, variance = posteriors(25)
    prior = field(grid(5, 5), mean, variance)
    with torch.no_grad():
        prior.log_precision.zero_()
        prior.log_smoothness.fill_(-100.0)
    q = Independent(Normal(mean, variance.sqrt()), 1)
    standard = kl_divergence(q, Independent(Normal(torch.zeros(D), torch.ones(D)), 1))
    assert torch.allclose(charged(prior, mean, variance, torch.arange(25)), standard, atol=0.02)
    assert torch.allclose(prior.neighbor_correlation(), torch.zeros(D), atol=0.01)


def test_a_latent_that_some_cells_lack_is_priced_over_the_others():
    graph = grid(5, 5)
    mean, variance = posteriors(25)
    members = np.arange(25) % 3 > 0
    inside = sp.csr_matrix(graph.multiply(np.outer(members, members)))
    prior = field(graph, mean, variance)
    prior.link(CellGraph(inside, members, lambda: (mean, variance)))
    total = charged(prior, mean, variance, torch.as_tensor(np.flatnonzero(members))).sum()
    few = dense_kl(graph[members][:, members], prior, mean[members], variance[members])
    assert float(total.detach()) == pytest.approx(float(few.detach()), rel=1e-4)


def test_it_starts_where_the_field_that_made_the_latents_is():
    torch.manual_seed(0)
    graph = grid(40, 40)
    adjacency = torch.as_tensor(graph.toarray())
    laplacian = torch.diag(adjacency.sum(dim=1)) - adjacency
    truth = [(0.5, 2.0), (1.0, 1e-3), (2.0, 0.5)]
    eye = torch.eye(1600, dtype=torch.float64)
    columns = [
        MultivariateNormal(torch.zeros(1600).double(), precision_matrix=k * eye + t * laplacian).sample()
        for k, t in truth
    ]
    mean = torch.stack(columns, dim=1).float()
    prior = GaussianMarkovField(D)
    prior.link(CellGraph(graph, np.ones(1600, dtype=bool), lambda: (mean, torch.full_like(mean, 1e-4))))
    prior.init_from(PosteriorSample(mean, torch.full_like(mean, 1e-2)))
    precision, smoothness = (v.detach().numpy() for v in (prior.precision, prior.smoothness))
    np.testing.assert_allclose(precision, [k for k, _ in truth], rtol=0.35)
    np.testing.assert_allclose(smoothness[[0, 2]], [2.0, 0.5], rtol=0.35)
    assert smoothness[1] < 0.1
    # Where the density is highest, moments of the field are those of the latents.
    spectrum = prior.graph.spectrum
    spread = 1 / (precision + smoothness * spectrum.values[:, None].numpy())
    square, rough = prior.graph.roughness()
    np.testing.assert_allclose(square, spectrum.shares.numpy() @ spread, rtol=0.02)
    moment = spectrum.shares.numpy() @ (spectrum.values[:, None].numpy() * spread)
    np.testing.assert_allclose(rough[[0, 2]], moment[[0, 2]], rtol=0.02)
    order = prior.neighbor_correlation()
    assert order[0] > order[2] > order[1]


def test_correlation_of_neighbours_on_a_ring_is_exact():
    n = 30
    graph = sp.diags([1.0, 1.0, 1.0, 1.0], [1, -1, n - 1, 1 - n], shape=(n, n), format="csr")
    mean, variance = posteriors(n)
    prior = field(graph, mean, variance)
    laplacian = 2 * np.eye(n) - graph.toarray()
    precision, smoothness = (value.detach().numpy() for value in (prior.precision, prior.smoothness))
    for d, found in enumerate(prior.neighbor_correlation()):
        covariance = np.linalg.inv(precision[d] * np.eye(n) + smoothness[d] * laplacian)
        assert float(found) == pytest.approx(covariance[0, 1] / covariance[0, 0], abs=1e-4)


@pytest.mark.parametrize(("precision", "smoothness"), [(1.0, 1.0), (0.05, 1.0), (0.2, 5.0)])
def test_large_graphs_have_nearly_the_exact_log_determinant(monkeypatch, precision, smoothness):
    graph = grid(60, 70)
    exact = spectrum_of(graph)
    monkeypatch.setattr(_spectrum, "EXACT_UP_TO", 100)
    _spectrum._of_part.cache_clear()
    rough = spectrum_of(graph)
    _spectrum._of_part.cache_clear()
    assert len(rough.values) < len(exact.values)
    assert float(rough.shares.sum()) == pytest.approx(1.0, abs=1e-4)
    found, wanted = (s.mean((precision + smoothness * s.values).log()) for s in (rough, exact))
    assert float(found) == pytest.approx(float(wanted), abs=0.01)


def test_merging_many_eigenvalues_changes_little(monkeypatch):
    graph = grid(50, 50)
    exact = spectrum_of(graph)
    monkeypatch.setattr(_spectrum, "N_VALUES", 256)
    merged = spectrum_of(graph)
    assert len(merged.values) <= 256
    assert float(merged.shares.sum()) == pytest.approx(1.0, abs=1e-5)
    for precision in (0.01, 1.0):
        found, wanted = (s.mean((precision + s.values).log()) for s in (merged, exact))
        assert float(found) == pytest.approx(float(wanted), abs=1e-3)


def test_eigenvalues_are_those_of_the_laplacian():
    graph = sp.block_diag([grid(6, 7), sp.csr_matrix((2, 2)), grid(3, 3)], format="csr")
    shuffled = np.random.default_rng(0).permutation(graph.shape[0])
    graph = graph[shuffled][:, shuffled]
    dense = np.diag(graph.toarray().sum(axis=1)) - graph.toarray()
    np.testing.assert_allclose(np.sort(spectrum_of(graph).values), np.linalg.eigvalsh(dense), atol=1e-4)


def test_the_kl_asks_for_a_graph():
    prior = GaussianMarkovField(D)
    prior.ready.fill_(True)
    mean, variance = posteriors(4)
    with pytest.raises(ValueError, match=r"graph of neighbouring cells.*mmvae.pp.spatial"):
        charged(prior, mean, variance, torch.arange(4))
