"""Rows by their non-zeros give what dense ones do."""

import pytest
import torch

from mmvae.nn import InputLayer, Places, SparseRows, dense
from mmvae.nn._sparse import sparse_product

C, G, H = 9, 40, 4


def some_rows(share: float) -> tuple[SparseRows, torch.Tensor]:
    """Rows of which about that share is stored, one of them empty, and the same as a matrix."""
    torch.manual_seed(0)
    full = torch.rand(C, G) * (torch.rand(C, G) < share)
    full[3] = 0
    row, column = full.nonzero(as_tuple=True)
    starts = torch.cat([torch.zeros(1), (full != 0).sum(dim=1)]).cumsum(0).long()
    return SparseRows(full[row, column], Places(column, starts, G)), full


@pytest.fixture(params=[0.01, 0.3], ids=["few", "many"])
def rows(request):
    return some_rows(request.param)


def test_they_are_the_matrix(rows):
    sparse, full = rows
    assert torch.equal(dense(sparse), full)
    assert torch.allclose(sparse.row_sums(), full.sum(dim=1))
    assert torch.allclose(sparse.apply(torch.sqrt).dense(), full.sqrt())
    assert torch.allclose(sparse.apply(sparse.columns.mul).dense(), full * torch.arange(G))
    assert sparse.density == pytest.approx(float((full != 0).float().mean()))


def test_no_rows_are_a_matrix_without_rows():
    none = SparseRows(torch.zeros(0), Places(torch.zeros(0, dtype=torch.long), torch.zeros(1, dtype=torch.long), G))
    assert len(none) == 0
    assert none.dense().shape == (0, G)
    assert none.row_sums().shape == (0,)
    assert sparse_product(none, torch.zeros(G, H)).shape == (0, H)


def test_products_and_their_gradients_are_those_of_the_matrix(rows):
    sparse, full = rows
    weight, back = torch.randn(G, H, requires_grad=True), torch.randn(C, H)
    product = sparse_product(sparse, weight)
    assert torch.allclose(product, full @ weight, atol=1e-6)
    (gradient,) = torch.autograd.grad(product, weight, back)
    assert torch.allclose(gradient, full.mT @ back, atol=1e-6)
    assert torch.allclose(sparse.transposed_product(back), full.mT @ back, atol=1e-6)


def test_the_first_layer_reads_either(rows):
    sparse, full = rows
    layer = InputLayer(G, H)
    assert torch.allclose(layer(sparse), layer(full), atol=1e-6)
