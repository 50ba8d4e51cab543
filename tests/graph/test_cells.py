"""Graphs of cells with a memory, against loops over the cells."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from mmvae.graph import CellGraph

N, D = 12, 3


def star(weight: float = 2.0) -> sp.csr_matrix:
    """One cell that is a neighbour of all others, and a ring of these; the last has no neighbours."""
    graph = np.zeros((N, N))
    graph[0, 1 : N - 1] = graph[1 : N - 1, 0] = weight
    for i in range(1, N - 2):
        graph[i, i + 1] = graph[i + 1, i] = 1
    return sp.csr_matrix(graph)


def posteriors() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(N, D, generator=generator), 0.1 + torch.rand(N, D, generator=generator)


def filled(graph: sp.csr_matrix, members: np.ndarray | None = None) -> CellGraph:
    found = CellGraph(graph, np.ones(N, dtype=bool) if members is None else members)
    found.fill(*posteriors())
    return found


def test_edges_are_those_of_the_matrix_padded_with_weight_0():
    cells = torch.tensor([11, 0, 5, 1])
    targets, weights = filled(star()).edges(cells)
    assert targets.shape == weights.shape == (4, N - 2)
    for row, cell in enumerate(cells.tolist()):
        found = np.zeros(N)
        np.add.at(found, targets[row].numpy(), weights[row].numpy())
        np.testing.assert_allclose(found, star().toarray()[cell])


def test_a_graph_without_edges_has_none():
    targets, _ = filled(sp.csr_matrix((N, N))).edges(torch.arange(3))
    assert targets.shape == (3, 0)


def test_the_last_posteriors_seen_are_remembered():
    graph = filled(star())
    mean, variance = posteriors()
    graph.remember(torch.tensor([4, 2]), mean[:2] + 9, variance[:2] + 9)
    found_mean, found_variance = graph.posterior(torch.arange(N))
    mean[[4, 2]], variance[[4, 2]] = mean[:2] + 9, variance[:2] + 9
    assert torch.equal(found_mean, mean)
    assert torch.equal(found_variance, variance)


def test_what_is_filled_is_not_the_callers():
    mean, variance = posteriors()
    graph = CellGraph(star(), np.ones(N, dtype=bool))
    graph.fill(mean, variance)
    graph.remember(torch.tensor([0]), mean[1:2], variance[1:2])
    assert torch.equal(mean, posteriors()[0])


def test_roughness_is_a_sum_over_members_and_edges():
    members = np.arange(N) % 4 > 0
    inside = sp.csr_matrix(star().multiply(np.outer(members, members)))
    graph = filled(inside, members)
    # Neither what is given nor what is seen of a cell that is no member counts.
    graph.remember(torch.tensor([0, 4]), torch.ones(2, D), torch.ones(2, D))
    mean, variance = (part.double() for part in posteriors())
    square, rough = torch.zeros(D).double(), torch.zeros(D).double()
    for i in np.flatnonzero(members):
        square += mean[i].square() + variance[i]
        for j in range(i):
            rough += inside[i, j] * ((mean[i] - mean[j]).square() + variance[i] + variance[j])
    found_square, found_rough = graph.roughness()
    np.testing.assert_allclose(found_square, square / members.sum(), rtol=1e-5)
    np.testing.assert_allclose(found_rough, rough / members.sum(), rtol=1e-5)


@pytest.mark.parametrize("some", [False, True])
def test_morans_i_is_scanpys(some):
    scanpy = pytest.importorskip("scanpy")
    members = np.arange(N) % 4 > 0 if some else np.ones(N, dtype=bool)
    inside = sp.csr_matrix(star().multiply(np.outer(members, members)))
    values = posteriors()[0].numpy()[members].T.astype(np.float64)
    wanted = scanpy.metrics.morans_i(inside[members][:, members], values)
    np.testing.assert_allclose(filled(inside, members).morans_i(), wanted, atol=1e-5)


def test_it_is_filled_until_it_is_cleared():
    graph = CellGraph(star(), np.ones(N, dtype=bool))
    assert not graph.is_filled
    graph.fill(*posteriors())
    assert graph.is_filled
    spectrum = graph.spectrum
    graph.clear()
    assert not graph.is_filled
    assert graph.spectrum is spectrum


def test_it_moves_as_a_whole():
    graph = filled(star()).to(torch.device("meta"))
    targets, weights = graph.edges(torch.arange(3, device="meta"))
    tensors = [targets, weights, *graph.posterior(targets), *graph.spectrum]
    assert {tensor.device.type for tensor in tensors} == {"meta"}


def test_what_inference_mode_fills_can_be_trained_on():
    with torch.inference_mode():
        graph = CellGraph(star(), np.ones(N, dtype=bool))
        graph.fill(*posteriors())
    mean = posteriors()[0].requires_grad_()
    targets, weights = graph.edges(torch.arange(N))
    (weights[..., None] * (mean[:, None] - graph.posterior(targets)[0]) ** 2).sum().backward()
    (graph.spectrum.values * mean[0, 0]).sum().backward()
    graph.remember(torch.arange(N), mean, mean)
    assert torch.equal(graph.mean, mean)
