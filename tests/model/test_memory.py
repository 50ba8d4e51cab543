"""Memory that numpy takes beside the data: no second copy of a matrix, whether it is in memory or in a file."""

from __future__ import annotations

import tracemalloc
from contextlib import contextmanager

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

from mmvae import MultiVAE
from mmvae.data import BLOCK_VALUES, _splitter
from mmvae.model._reader import READOUT_BATCH

N_CELLS, N_FEATURES, N_STORED = 20_000, 1_500, 500
# Enough to read all over the data.
FEW = {"batch_size": 1_024, "train_size": 0.3, "validation_size": 0.1}


def counts() -> sp.csr_matrix:
    """So many that nothing else is as large: 76 MiB, each cell with a third of the features."""
    rng = np.random.default_rng(0)
    third = N_FEATURES // N_STORED
    columns = np.arange(0, N_FEATURES, third) + rng.integers(0, third, (N_CELLS, N_STORED))
    values = rng.integers(1, 8, columns.size).astype(np.float32)
    starts = np.arange(0, columns.size + 1, N_STORED)
    return sp.csr_matrix((values, columns.astype(np.int32).ravel(), starts), shape=(N_CELLS, N_FEATURES))


@contextmanager
def within(most: float):
    """Fail if numpy holds more at any time than at the start, by so many bytes."""
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    yield
    assert tracemalloc.get_traced_memory()[1] - before < most


@pytest.fixture
def traced():
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")
@pytest.mark.parametrize(
    ("form", "backed", "n_copies"),
    [("csr", False, 0), ("csr", True, 0), ("csc", True, 1)],
    ids=["in memory", "in a file", "in a file, by columns"],
)
def test_no_copy_of_the_values_is_made(form, backed, n_copies, tmp_path, traced, monkeypatch):
    # Cells of a file that are mixed in memory: by default more than these data have.
    monkeypatch.setattr(_splitter, "BUFFER_CELLS", 512)
    matrix = counts()
    n_bytes = matrix.data.nbytes + matrix.indices.nbytes
    adata = ad.AnnData(matrix.asformat(form))
    del matrix
    if backed:
        adata.write_h5ad(tmp_path / "data.h5ad")
        adata = ad.read_h5ad(tmp_path / "data.h5ad", backed="r")
    # A block of a pass over the values, or of the sparse values of a minibatch, takes 80 bytes a value at the most.
    block = 80 * max(BLOCK_VALUES, READOUT_BATCH * N_STORED / 2)
    most = (0.2 + n_copies) * n_bytes + block
    assert block + 0.2 * n_bytes < n_bytes / 2  # the values alone, or where they are, would be too much
    with within(most):
        MultiVAE.setup_anndata(adata)
    with within(most):
        model = MultiVAE(adata, n_latent=4, n_hidden=16, n_layers=1)
        model.train(1, **FEW, enable_progress_bar=False, accelerator="cpu")
    most -= n_copies * n_bytes  # which is kept
    with within(most):
        model.get_latent_representation()
    with within(most):
        model.get_normalized_expression(out=tmp_path / "values.h5ad")
    model.save(tmp_path / "model")
    with within(most + n_copies * n_bytes):
        MultiVAE.load(tmp_path / "model", adata, accelerator="cpu")
