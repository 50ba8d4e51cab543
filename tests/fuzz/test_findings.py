"""What the fuzzers found, each by itself."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

import mmvae
from mmvae import MultiVAE

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

QUIET = {"accelerator": "cpu", "enable_progress_bar": False, "logger": False, "enable_checkpointing": False}


def simulated(**arguments):
    return mmvae.datasets.simulate(30, modalities={"rna": 8, "protein": 4}, n_clusters=2, **arguments)


@pytest.mark.parametrize("form", ["MuData", "AnnData"])
def test_a_model_is_loaded_with_data_whose_values_are_in_a_layer_and_x_is_empty(form, tmp_path):
    """scvi-tools took them for minified data, which it would not load with a model of others."""
    data = simulated()
    rna = ad.AnnData(sp.csr_matrix((30, 8), dtype=np.float32), obs=data["rna"].obs, layers={"mine": data["rna"].X})
    if form == "MuData":
        data.mod["rna"] = rna
        MultiVAE.setup_mudata(data, layers={"rna": "mine"})
    else:
        data = rna
        MultiVAE.setup_anndata(data, layer="mine")
    model = MultiVAE(data, n_latent=2, n_hidden=4)
    model.train(1, **QUIET)
    model.save(tmp_path / "model", save_anndata=False)
    loaded = MultiVAE.load(tmp_path / "model", data, "cpu")
    np.testing.assert_allclose(loaded.get_latent_representation(), model.get_latent_representation(), atol=1e-6)


def test_where_all_cells_have_one_latent_no_distance_is_relative_to_it():
    """They were divided by 0, with a warning of numpy's."""
    data = simulated()
    MultiVAE.setup_mudata(data)
    model = MultiVAE(data, n_latent=1, n_hidden=4, fusion="poe")
    model.train(1, **QUIET)
    for encoder in model.module.encoders.values():
        encoder.loc.weight.data.zero_()
        encoder.log_var.weight.data.zero_()
    found = model.leave_one_out()
    assert found.xs("shift", axis=1, level="change").isna().all(axis=None)
    assert np.isfinite(found.xs("rna", axis=1, level="change")).all(axis=None)


@pytest.mark.parametrize("form", ["MuData", "AnnData"])
def test_data_that_are_saved_stay_as_they_are(form, tmp_path):
    """anndata makes categories of the texts in the data that it writes."""
    data = simulated()
    for rna in (data["rna"], data["rna"].copy()):
        rna.obs["donor"], rna.var["chromosome"] = ["one", *["two"] * 29], ["X", *["Y"] * 7]
        rna.raw = rna
    if form == "MuData":
        MultiVAE.setup_mudata(data)
    else:
        data = rna
        MultiVAE.setup_anndata(data)
    model = MultiVAE(data, n_latent=2, n_hidden=4)
    model.train(1, **QUIET)
    parts = list(data.mod.values()) if form == "MuData" else [data]
    frames = [frame for part in parts for frame in (part.obs, part.var, part.raw and part.raw.var) if frame is not None]
    before = [frame.copy() for frame in frames]
    model.save(tmp_path / "model", save_anndata=True)
    for frame, own in zip(frames, before, strict=True):
        assert dict(frame.dtypes) == dict(own.dtypes)
    for part, own in zip(parts, before[::3], strict=False):
        assert dict(part.obs.dtypes) == dict(own.dtypes)
