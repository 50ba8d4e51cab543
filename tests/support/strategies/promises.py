"""What holds of every case: a fault is refused in words, and a model of anything else can be relied on."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import strategies as st

from mmvae import MultiVAE, SetupError

from .contents import contents
from .readings import MAY_LACK, READINGS, numbers_of
from .rearranged import rearranged

if TYPE_CHECKING:
    from mudata import MuData

    from .faults import Case

QUIET = {"accelerator": "cpu", "enable_progress_bar": False, "logger": False, "enable_checkpointing": False}
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


@dataclass
class Look:
    """How a model is read: of which latent, how many cells at a time, which of them, and what else."""

    seed: int
    batch_size: int | None
    latent: str
    reading: str
    saves_data: bool

    def some(self, n_cells: int) -> np.ndarray:
        """Numbers of some cells, in any order."""
        rng = np.random.default_rng(self.seed)
        return rng.permutation(n_cells)[: rng.integers(1, n_cells + 1)]


@st.composite
def looks(draw: st.DrawFn) -> Look:
    """A look; the latent may be ``"own"``, that of the first modality."""
    batch_size = draw(st.sampled_from([None, 1, 3, 10]))
    latent = draw(st.sampled_from(["fused", "own", "unweighted", "shared"]))
    reading, saves_data = draw(st.sampled_from(sorted(READINGS))), draw(st.booleans())
    return Look(draw(st.integers(0, 2**32 - 1)), batch_size, latent, reading, saves_data)


def fitted(case: Case) -> MultiVAE:
    """A model of the case."""
    model = MultiVAE(case.mdata, **case.model)
    model.train(**case.train, **QUIET)
    return model


def check_refusal(case: Case) -> None:
    """The fault is named, in the set-up or later, and the data are as they were."""
    before, everything = contents(case.mdata), contents(case.mdata, with_ours=True)
    try:
        MultiVAE.setup_mudata(case.mdata, **case.setup)
    except SetupError:
        assert contents(case.mdata, with_ours=True) == everything
        return
    with pytest.raises((ValueError, TypeError), match="Expected"):
        fitted(case)
    assert contents(case.mdata) == before


def check_model(case: Case, look: Look) -> None:
    """Latents are finite, the same whatever cells are read beside, in whatever order, and after saving and loading."""
    before = contents(case.mdata)
    MultiVAE.setup_mudata(case.mdata, **case.setup)
    model, n_cells = fitted(case), case.mdata.n_obs
    name = next(iter(case.mdata.mod))
    latent = {"modality": name if look.latent == "own" else look.latent}
    try:
        found = model.get_latent_representation(**latent)
    except ValueError as error:
        # Too few cells, or modalities, to say what they share.
        assert (look.latent, str(error)[:8]) == ("shared", "Expected")
        latent = {}
        found = model.get_latent_representation()
    assert len(found) == n_cells
    assert np.isfinite(found).all()
    some, order = look.some(n_cells), np.random.default_rng(look.seed).permutation(n_cells)

    by_number = model.get_latent_representation(indices=some, batch_size=look.batch_size, **latent)
    np.testing.assert_allclose(by_number, found[some], **CLOSE, err_msg="by number")
    shuffled = model.get_latent_representation(rearranged(case.mdata, order, look.seed), **latent)
    np.testing.assert_allclose(shuffled, found[order], **CLOSE, err_msg="in another order")
    alone = model.get_latent_representation(rearranged(case.mdata, some, look.seed), **latent)
    np.testing.assert_allclose(alone, found[some], **CLOSE, err_msg="some alone")

    check_reading(model, look, name, some)
    with tempfile.TemporaryDirectory() as folder:
        saves_data = look.saves_data and can_be_written(case.mdata)
        model.save(Path(folder) / "model", save_anndata=saves_data)
        loaded = MultiVAE.load(Path(folder) / "model", None if saves_data else case.mdata, accelerator="cpu")
    np.testing.assert_allclose(loaded.get_latent_representation(**latent), found, **CLOSE, err_msg="loaded")
    assert contents(case.mdata) == before


def can_be_written(mdata: MuData) -> bool:
    """Whether all versions of anndata can write its columns."""
    frames = [mdata.obs, *(adata.obs for adata in mdata.mod.values())]
    columns = [column for frame in frames for _, column in frame.items()]
    is_text = [all(isinstance(value, str) for value in column) for column in columns if column.dtype == object]
    return all(is_text) and not any(str(column.dtype).startswith(("datetime", "Float")) for column in columns)


def check_reading(model: MultiVAE, look: Look, name: str, cells: np.ndarray) -> None:
    """What is read is finite, or refused in words."""
    try:
        found = READINGS[look.reading](model, name, cells)
    except (ValueError, TypeError) as error:
        assert "Expected" in str(error), look.reading
        return
    for numbers in numbers_of(found):
        known = ~np.isnan(numbers) if look.reading in MAY_LACK else ...
        assert np.isfinite(numbers[known]).all(), look.reading
