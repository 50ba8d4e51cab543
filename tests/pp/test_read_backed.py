"""Data are opened as they are in their files, without their values."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData

import mmvae
from mmvae._compat import unpulled
from mmvae.data import is_on_disk

if TYPE_CHECKING:
    from pathlib import Path

    from mudata import MuData


@pytest.fixture(scope="module")
def mosaic() -> MuData:
    mdata = mmvae.datasets.simulate(60, modalities={"rna": 20, "protein": 6}, missing=0.5, spatial=True)
    mdata.obsp["spatial_connectivities"] = sp.eye(60, k=1, format="csr") + sp.eye(60, k=-1, format="csr")
    mdata.uns["source"] = "simulated"
    mdata["rna"].layers["counts"] = mdata["rna"].X.copy()
    mdata["protein"].layers["counts"] = mdata["protein"].X.copy()
    mdata["protein"].uns["panel"] = "b"
    return mdata


@pytest.fixture(scope="module")
def folder(mosaic, tmp_path_factory) -> Path:
    """The mosaic in every form."""
    folder = tmp_path_factory.mktemp("mosaic")
    with unpulled(), warnings.catch_warnings():
        # anndata and mudata announce changes of the files' format
        warnings.simplefilter("ignore")
        mosaic.write_h5mu(folder / "m.h5mu")
        mosaic.write_zarr(folder / "m.zarr")
        for name, adata in mosaic.mod.items():
            adata.write_h5ad(folder / f"{name}.h5ad")
            adata.write_zarr(folder / f"{name}.zarr")
    return folder


@pytest.mark.parametrize("name", ["m.h5mu", "m.zarr"])
def test_a_mudata_is_the_one_that_was_written(folder, mosaic, name):
    found = mmvae.pp.read_backed(folder / name)
    assert found.obs_names.equals(mosaic.obs_names)
    assert list(found.mod) == list(mosaic.mod)
    assert (found.obs["batch"] == mosaic.obs["batch"]).all()
    assert np.array_equal(found.obsm["spatial"], mosaic.obsm["spatial"])
    assert (found.obsp["spatial_connectivities"] != mosaic.obsp["spatial_connectivities"]).nnz == 0
    assert found.uns["source"] == "simulated"
    assert_same_modalities(found, mosaic)


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_files_of_modalities_are_joined_by_the_names_of_cells(folder, mosaic, form):
    found = mmvae.pp.read_backed({name: str(folder / f"{name}.{form}") for name in mosaic.mod})
    assert set(found.obs_names) == set(mosaic.obs_names)
    assert_same_modalities(found, mosaic)


def assert_same_modalities(found: MuData, mosaic: MuData) -> None:
    for name, adata in mosaic.mod.items():
        own = found[name]
        assert own.obs_names.equals(adata.obs_names)
        assert list(own.var_names) == list(adata.var_names)
        for values, expected in ((own.X, adata.X), (own.layers["counts"], adata.layers["counts"])):
            assert is_on_disk(values)
            read, expected = (x.toarray() if sp.issparse(x) else np.asarray(x) for x in (values[:], expected))
            assert np.array_equal(read, expected)
    assert found["protein"].uns["panel"] == "b"


def test_layers_in_files_can_be_registered(folder):
    mdata = mmvae.pp.read_backed(folder / "m.h5mu")
    mmvae.MultiVAE.setup_mudata(mdata, layers={"rna": "counts", "protein": "counts"})
    assert mmvae.MultiVAE(mdata, n_hidden=8, n_latent=2).adata is mdata


@pytest.mark.parametrize("name", ["rna.h5ad", "rna.zarr"])
def test_the_file_of_one_modality_is_no_mudata(folder, name):
    with pytest.raises(ValueError, match="Expected the file of a MuData; got .*rna"):
        mmvae.pp.read_backed(folder / name)


def test_a_file_without_values_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5ad", "w") as file:
        file.create_group("obs")
    with pytest.raises(ValueError, match="Expected an AnnData with X in .*a.h5ad; got a group of \\['obs'\\]"):
        mmvae.pp.read_backed({"rna": tmp_path / "a.h5ad"})


def test_stores_that_annbatch_writes_are_read(tmp_path, mosaic):
    annbatch = pytest.importorskip("annbatch")
    zarr = pytest.importorskip("zarr")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        annbatch.write_sharded(zarr.open_group(tmp_path / "rna.zarr", mode="w"), mosaic["rna"].copy())
    found = mmvae.pp.read_backed({"rna": tmp_path / "rna.zarr"})
    assert (found["rna"].X[:] != mosaic["rna"].X).nnz == 0


@pytest.mark.filterwarnings("ignore:Writing zarr v2")
@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_values_are_found_from_another_working_folder(tmp_path, monkeypatch, suffix):
    adata = AnnData(np.ones((5, 3), dtype=np.float32))
    (adata.write_h5ad if suffix == "h5ad" else adata.write_zarr)(tmp_path / f"dense.{suffix}")
    monkeypatch.chdir(tmp_path)
    mdata = mmvae.pp.read_backed({"protein": f"dense.{suffix}"})
    monkeypatch.chdir(tmp_path.parent)
    assert (mdata["protein"].X[:] == 1).all()


@pytest.mark.filterwarnings("ignore:Writing zarr v2")
def test_a_store_that_is_gone_is_missed(tmp_path, mosaic):
    dense = mosaic["rna"].copy()
    dense.X = dense.X.toarray()
    dense.write_zarr(tmp_path / "rna.zarr")
    mdata = mmvae.pp.read_backed({"rna": tmp_path / "rna.zarr"})
    mmvae.MultiVAE.setup_mudata(mdata)
    (tmp_path / "rna.zarr").rename(tmp_path / "elsewhere.zarr")
    with pytest.raises(mmvae.SetupError, match=r"the Zarr store '.*rna.zarr' is gone.*Put it back"):
        mmvae.MultiVAE(mdata)
