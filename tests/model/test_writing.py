"""Values that are written to a file as they are decoded."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import anndata as ad
import h5py
import numpy as np
import pytest

import mmvae
from mmvae import MultiVAE, _files
from mmvae.data import new_matrix
from mmvae.nn import Decoder

READERS = {".h5ad": ad.read_h5ad, ".zarr": ad.read_zarr}


@pytest.fixture(params=READERS)
def path(request, tmp_path) -> Path:
    return tmp_path / f"values{request.param}"


def read(path: Path) -> ad.AnnData:
    return READERS[path.suffix](path)


def interrupted_after(monkeypatch, n_minibatches: int) -> None:
    """Let decoding end as a user ends it."""
    decode, left = Decoder.forward, iter(range(n_minibatches))

    def some(*args, **kwargs):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return decode(*args, **kwargs)

    monkeypatch.setattr(Decoder, "forward", some)


def test_imputations_are_the_same_in_a_file(trained, path):
    model, _ = trained
    expected = model.impute("protein")
    assert model.impute("protein", out=path, batch_size=7) == path
    written = read(path)
    assert written.X.dtype == np.float32
    np.testing.assert_allclose(written.to_df(), expected, rtol=1e-5)
    assert list(written.obs_names) == list(expected.index)
    assert list(written.var_names) == list(expected.columns)
    assert os.listdir(path.parent) == [path.name]


def test_expected_values_of_chosen_cells_and_features_are_the_same_in_a_file(trained, path):
    model, mdata = trained
    chosen = {"modality": "rna", "indices": [9, 3, 150], "gene_list": list(mdata["rna"].var_names[[4, 0]])}
    model.get_normalized_expression(**chosen, out=str(path), library_size=1e4)
    expected = model.get_normalized_expression(**chosen, library_size=1e4)
    np.testing.assert_allclose(read(path).to_df(), expected, rtol=1e-5)


@pytest.mark.parametrize("chosen", [{"indices": []}, {"gene_list": []}], ids=["no cells", "no features"])
def test_nothing_is_written_as_nothing(trained, path, chosen):
    model, mdata = trained
    expected = model.get_normalized_expression(modality="rna", **chosen)
    assert expected.size == 0
    model.get_normalized_expression(modality="rna", out=path, **chosen)
    assert read(path).shape == expected.shape


def test_a_file_can_be_read_without_loading_it(trained, tmp_path):
    model, _ = trained
    backed = ad.read_h5ad(model.impute("rna", out=tmp_path / "rna.h5ad"), backed="r")
    assert isinstance(backed.X, h5py.Dataset)
    np.testing.assert_allclose(backed.X[3:5], model.impute("rna").iloc[3:5], rtol=1e-5)
    backed.file.close()


def test_chunks_hold_few_cells_and_need_not_fit_the_pieces(path):
    cells, features = (np.array([f"{kind}{i}" for i in range(n)]) for kind, n in (("c", 300), ("g", 9_000)))
    values = np.random.default_rng(0).normal(size=(300, 9_000)).astype(np.float32)
    with new_matrix(path, cells, features) as matrix:
        assert matrix.chunks == (128, 8_192)
        for start in range(0, 300, 70):
            matrix[start : start + 70] = values[start : start + 70]
    np.testing.assert_array_equal(read(path).X, values)


def test_an_existing_file_is_replaced_on_demand_alone(trained, path):
    model, _ = trained
    model.impute("protein", out=path)
    with pytest.raises(FileExistsError, match="exists. Give another or overwrite=True"):
        model.impute("rna", out=path)
    assert read(path).n_vars == model.impute("protein").shape[1]
    model.impute("rna", out=path, overwrite=True)
    np.testing.assert_allclose(read(path).to_df(), model.impute("rna"), rtol=1e-5)
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("n_minibatches", [0, 2])
def test_a_decoding_that_ends_early_leaves_no_file(trained, path, monkeypatch, n_minibatches):
    interrupted_after(monkeypatch, n_minibatches)
    with pytest.raises(KeyboardInterrupt):
        trained[0].impute("protein", out=path, batch_size=5)
    assert os.listdir(path.parent) == []


def test_a_decoding_that_ends_early_leaves_the_file_of_before(trained, path, monkeypatch):
    model, _ = trained
    before = read(model.impute("protein", out=path)).to_df()
    interrupted_after(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        model.impute("rna", out=path, batch_size=5, overwrite=True)
    assert read(path).to_df().equals(before)
    assert os.listdir(path.parent) == [path.name]


def test_a_file_that_cannot_be_moved_to_its_name_leaves_that_of_before(trained, path, monkeypatch):
    model, _ = trained
    before = read(model.impute("protein", out=path)).to_df()

    def fail(*_):
        raise OSError("no")

    monkeypatch.setattr(os, "replace", fail)
    monkeypatch.setattr(_files, "_swap", fail)
    with pytest.raises(OSError, match="no"):
        model.impute("rna", out=path, overwrite=True)
    assert read(path).to_df().equals(before)
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("name", ["values.csv", "values", "values.h5mu", "values.H5AD"])
def test_another_suffix_is_refused_before_any_work(trained, tmp_path, monkeypatch, name):
    interrupted_after(monkeypatch, 0)
    for method in ("impute", "get_normalized_expression"):
        with pytest.raises(ValueError, match=f"out to end in .h5ad or .zarr; got '.*{name}'"):
            getattr(trained[0], method)(modality="no such modality", out=tmp_path / name)


def test_a_folder_that_is_missing_is_found_before_any_work(trained, path, monkeypatch):
    interrupted_after(monkeypatch, 0)
    with pytest.raises(FileNotFoundError, match="absent' is not one. Make it first"):
        trained[0].impute("protein", out=path.parent / "absent" / path.name)


def test_a_folder_that_cannot_be_written_to_is_found_before_the_decoding(trained, path, monkeypatch):
    interrupted_after(monkeypatch, 0)

    def mkdir(name, *_):
        raise PermissionError(13, "Permission denied", name)

    monkeypatch.setattr(os, "mkdir", mkdir)
    with pytest.raises(PermissionError, match="Expected to write to '.*'; got 'Permission denied'. Make it writable"):
        trained[0].impute("protein", out=path)


def test_what_is_not_of_its_kind_is_never_replaced(trained, tmp_path):
    (tmp_path / "mine.zarr").mkdir()
    (tmp_path / "mine.zarr" / "thesis.txt").write_text("years")
    (tmp_path / "mine.h5ad").mkdir()
    for name in ("mine.zarr", "mine.h5ad"):
        with pytest.raises(FileExistsError, match="exists. Give another.$"):
            trained[0].impute("protein", out=tmp_path / name, overwrite=True)
    assert (tmp_path / "mine.zarr" / "thesis.txt").read_text() == "years"


@pytest.mark.filterwarnings("ignore:Writing zarr v2")
@pytest.mark.parametrize("suffix", READERS)
def test_the_file_that_values_are_read_from_is_never_replaced(suffix, tmp_path):
    mdata = mmvae.datasets.simulate(60, modalities=("rna", "protein"), seed=0)
    files = {name: tmp_path / f"{name}{suffix}" for name in mdata.mod}
    for name, path in files.items():
        (mdata[name].write_h5ad if suffix == ".h5ad" else mdata[name].write_zarr)(path)
    data = mmvae.pp.read_backed(files)
    MultiVAE.setup_mudata(data)
    model = MultiVAE(data)
    model.is_trained_ = True
    (link := tmp_path / f"link{suffix}").symlink_to(files["rna"])
    before = model.get_latent_representation()
    for path in (files["protein"], link):
        with pytest.raises(FileExistsError, match="that values are read from"):
            model.impute("protein", out=path, overwrite=True)
        with pytest.raises(FileExistsError, match="that values are read from"):
            model.get_normalized_expression(data, modality="rna", out=path, overwrite=True)
    np.testing.assert_array_equal(model.get_latent_representation(), before)


def test_a_matrix_that_does_not_fit_on_the_disk_is_refused_beforehand(trained, tmp_path, monkeypatch):
    model, _ = trained
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=2**20))
    monkeypatch.setattr(Decoder, "forward", None)  # nothing is decoded
    with pytest.raises(OSError, match=r"free; got 1 MB in .* Make room"):
        model.impute("protein", out=tmp_path / "values.h5ad")
    assert not os.listdir(tmp_path)
