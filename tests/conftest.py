from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import scipy.sparse as sp
import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from mudata import MuData

    from mmvae import MultiVAE

# before anything imports pyplot
os.environ["MPLBACKEND"] = "Agg"

# The networks of tests are tiny: threads gain nothing, and where other programs want the cores they wait for each other
# at every operation, which was measured to be fifty times slower.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Take back the threads that numba gives torch when scanpy first uses it."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def in_a_ring() -> Callable[[MuData], None]:
    """Function that makes each cell the neighbour of the next, for priors that look at neighbours."""

    def link(mdata: MuData) -> None:
        n = mdata.n_obs
        mdata.obsp["spatial_connectivities"] = sp.diags([1.0] * 4, [1, -1, n - 1, 1 - n], shape=(n, n), format="csr")

    return link


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real data sets; tests that need it are skipped where it is absent."""
    beside_repository = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("MMVAE_DATA", beside_repository))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is not a folder; set MMVAE_DATA to one")
    return folder


@pytest.fixture(scope="session")
def trained() -> tuple[MultiVAE, MuData]:
    """A model that saw ``simulate(200, missing=0.3)`` for three epochs, and these data. Do not change either."""
    import mmvae

    mdata = mmvae.datasets.simulate(200, missing=0.3)
    mmvae.MultiVAE.setup_mudata(mdata, batch_key="batch")
    model = mmvae.MultiVAE(mdata, n_latent=5, n_hidden=32)
    with warnings.catch_warnings():
        # three epochs are too few to learn anything, and the model says so
        warnings.simplefilter("ignore")
        model.train(3, accelerator="cpu", enable_progress_bar=False)
    return model, mdata
