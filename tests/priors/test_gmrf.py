"""The Markov random field against dense linear algebra."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from mmvae.graph import CellGraph
from mmvae.priors import GaussianMarkovField, PosteriorSample, PriorContext

D = 3


def grid(rows: int, columns: int) -> sp.csr_matrix:
    """Spots of a square lattice, each with its 2 to 4 neighbours."""
    row, column = (sp.diags([1.0, 1.0], [1, -1], shape=(n, n)) for n in (rows, columns))
    return sp.csr_matrix(sp.kron(row, sp.eye(columns)) + sp.kron(sp.eye(rows), column))


def posteriors(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, D, generator=generator), 0.1 + torch.rand(n, D, generator=generator)


def filled(graph: sp.csr_matrix, members: np.ndarray, mean: torch.Tensor, variance: torch.Tensor) -> CellGraph:
    found = CellGraph(graph, members)
    found.fill(mean, variance)
    return found


def field(graph: sp.csr_matrix, mean: torch.Tensor, variance: torch.Tensor) -> GaussianMarkovField:
    """A field under way, with parameters of its own in each dimension."""
    prior = GaussianMarkovField(D)
    prior.set_graph(filled(graph, np.ones(graph.shape[0], dtype=bool), mean, variance))
    prior.mark_initialised()
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
    prior.set_graph(filled(inside, members, mean, variance))
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
    prior.set_graph(filled(graph, np.ones(1600, dtype=bool), mean, torch.full_like(mean, 1e-4)))
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


def test_the_kl_asks_for_a_graph():
    prior = GaussianMarkovField(D)
    prior.mark_initialised()
    mean, variance = posteriors(4)
    with pytest.raises(ValueError, match=r"graph of neighbouring cells.*mmvae.pp.spatial"):
        charged(prior, mean, variance, torch.arange(4))


def test_the_kl_asks_for_the_cells_posteriors_and_reads_none_itself():
    prior = GaussianMarkovField(D)
    prior.set_graph(CellGraph(grid(2, 2), np.ones(4, dtype=bool)))
    mean, variance = posteriors(4)
    assert torch.isfinite(charged(prior, mean, variance, torch.arange(4))).all()  # N(0, I) asks for none
    prior.mark_initialised()
    with pytest.raises(ValueError, match=r"knows all cells' posteriors.*CellGraph.fill"):
        charged(prior, mean, variance, torch.arange(4))
    with pytest.raises(ValueError, match=r"CellGraph.fill"):
        prior.init_from(PosteriorSample(mean, variance))


def test_cells_that_are_not_charged_are_not_remembered():
    mean, variance = posteriors(25)
    prior = field(grid(5, 5), mean, variance)
    before = prior.graph.mean.clone()
    q = Independent(Normal(torch.zeros(4, D), torch.ones(4, D)), 1)
    mask = torch.tensor([True, False, True, False])
    prior.kl(q, q.sample(), PriorContext(cells=torch.tensor([3, 8, 1, 20]), mask=mask))
    assert torch.equal(prior.graph.mean[[8, 20]], before[[8, 20]])
    assert torch.equal(prior.graph.mean[[1, 3]], torch.zeros(2, D))


def test_reading_and_charging_leave_the_state_as_it_is():
    mean, variance = posteriors(25)
    prior = field(grid(5, 5), mean, variance).eval()
    before = {name: value.clone() for name, value in prior.state_dict().items()}
    prior.set_graph(filled(grid(3, 3), np.ones(9, dtype=bool), mean[:9], variance[:9]))
    charged(prior, mean, variance, torch.arange(9))
    prior.regularizer()
    assert all(torch.equal(value, before[name]) for name, value in prior.state_dict().items())


def test_the_variance_of_a_cell_is_saved_as_the_parameters_give_it():
    mean, variance = posteriors(25)
    graph = grid(5, 5)
    prior = field(graph, mean, variance)
    prior.refresh()
    saved = prior.state_dict()["variance"]
    laplacian = np.diag(graph.toarray().sum(axis=1)) - graph.toarray()
    precision, smoothness = (value.detach().numpy() for value in (prior.precision, prior.smoothness))
    for d in range(D):
        covariance = np.linalg.inv(precision[d] * np.eye(25) + smoothness[d] * laplacian)
        assert float(saved[d]) == pytest.approx(np.diag(covariance).mean(), rel=1e-4)
    bare = GaussianMarkovField(D)
    bare.load_state_dict(prior.state_dict())
    assert torch.allclose(bare(PriorContext()).variance, saved)
