from __future__ import annotations

import os
from pathlib import Path

import pytest

# before anything imports pyplot
os.environ["MPLBACKEND"] = "Agg"


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real data sets; tests that need it are skipped where it is absent."""
    beside_repository = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("MMVAE_DATA", beside_repository))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is not a folder; set MMVAE_DATA to one")
    return folder
