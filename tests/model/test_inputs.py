"""Data as users bring them: set up, trained on, read, saved, and read from a file with the same result."""

from __future__ import annotations

import anndata as ad
import h5py
import matplotlib.pyplot as plt
import mudata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp
from mudata import MuData

import mmvae
from mmvae import MultiVAE, SetupError
from mmvae._compat import unpulled

IGNORED = ["The latent of", "The validation ELBO never", "The modalities agree on nothing", ".*fewer than 3 cells"]
IGNORED += ["(var_|Variable )names are not unique", "Cannot join columns", "Transforming to str"]
IGNORED += ["the matrix subclass", "X should not be"]
pytestmark = pytest.mark.filterwarnings(*(f"ignore:{message}" for message in IGNORED))
N = 30
RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(2.0, (N, 6)).astype(np.float32)


def adata(x=COUNTS, prefix="g") -> ad.AnnData:
    made = ad.AnnData(x)
    made.obs_names, made.var_names = [f"c{i}" for i in range(N)], [f"{prefix}{i}" for i in range(made.n_vars)]
    return made


def together(**modalities) -> MuData:
    with unpulled():
        return MuData(modalities)


def pair(x, **modalities) -> MuData:
    return together(rna=adata(x), protein=adata(prefix="p"), **modalities)


def only_layers() -> MuData:
    mdata = pair(COUNTS)
    mdata["rna"].layers["umis"] = mdata["rna"].X
    mdata["rna"].X = None
    return mdata


def one_batch_of_one() -> MuData:
    mdata = pair(COUNTS)
    mdata.obs["batch"] = ["a"] * (N - 1) + ["b"]
    return mdata


INPUTS = {
    "layers alone": (only_layers, {"layers": {"rna": "umis"}}),
    "copy of a view": (lambda: pair(COUNTS)[np.arange(20)].copy(), {}),
    "batch of one cell": (one_batch_of_one, {"batch_key": "batch"}),
    "matrix": (lambda: pair(np.matrix(COUNTS)), {}),
    "read-only": (lambda: pair(np.frombuffer(COUNTS.tobytes(), np.float32).reshape(COUNTS.shape)), {}),
    "half precision": (lambda: pair(COUNTS.astype(np.float16)), {}),
    "large numbers": (lambda: pair(COUNTS.astype(np.int64) * 2**40), {}),
    **{f"csc of {dtype}": (lambda d=dtype: pair(sp.csc_matrix(COUNTS.astype(d))), {}) for dtype in ("i8", "?")},
    **{f"{n} features": (lambda n=n: together(rna=adata(COUNTS[:, :n]), p=adata(prefix="p")), {}) for n in (1, 2, 3)},
    "one feature of an AnnData": (lambda: adata(COUNTS[:, :1]), {}),
    "numbers as names of cells": (lambda: ad.AnnData(COUNTS, obs=pd.DataFrame(index=range(N))), {}),
}


def fitted(data, **arguments) -> MultiVAE:
    set_up = MultiVAE.setup_mudata if isinstance(data, MuData) else MultiVAE.setup_anndata
    set_up(data, **arguments)
    # a mixture, which is fitted to the latents, where these may be the same in many cells
    model = MultiVAE(data, n_hidden=4, n_latent=2, prior="mog" if data.n_vars < 12 else "normal")
    model.train(1, accelerator="cpu", enable_progress_bar=False)
    return model


@pytest.mark.parametrize("case", INPUTS)
def test_data_as_they_come(case):
    make, arguments = INPUTS[case]
    model = fitted(make(), **arguments)
    assert np.isfinite(model.get_latent_representation()).all()
    for name in model.modalities:
        assert np.isfinite(model.get_normalized_expression(modality=name)).all(axis=None)


NAMES = [("my rna", "the protein"), ("gène", "蛋白"), ("X", "obs"), ("rna:1", "[bold]")]


@pytest.mark.parametrize("names", NAMES, ids=" and ".join)
def test_modalities_of_any_name_are_saved_and_written(names, tmp_path):
    mdata = together(**dict(zip(names, (adata(), adata(prefix="p")), strict=True)))
    model = fitted(mdata)
    mmvae.tl.embed(model, mdata)
    keys = {"X_mmvae", *(f"X_mmvae_{name}" for name in names)}
    model.save(tmp_path / "model")
    mdata.write(tmp_path / "data.h5mu")
    with unpulled():
        read = mudata.read(tmp_path / "data.h5mu")
        loaded = MultiVAE.load(tmp_path / "model", read)
    assert keys <= set(read.obsm)
    np.testing.assert_array_equal(loaded.get_latent_representation(), read.obsm["X_mmvae"])


def test_a_gene_and_a_protein_of_one_name_are_told_apart():
    mdata = together(rna=adata(prefix="CD"), protein=adata(COUNTS + 100, prefix="CD"))
    model = fitted(mdata)
    for name in ("rna", "protein"):
        alone = model.get_normalized_expression(modality=name, gene_list="CD4")
        assert list(alone) == ["CD4"]
        np.testing.assert_array_equal(alone["CD4"], model.get_normalized_expression(modality=name)["CD4"])
    both = model.get_normalized_expression(gene_list="CD4")
    assert list(both) == ["rna", "protein"]
    assert not np.array_equal(both["rna"], both["protein"])
    correlations = model.get_feature_correlation_matrix(n_samples=1)
    assert list(correlations) == [f"{name}:CD{i}" for name in ("rna", "protein") for i in range(6)]
    mdata.obsm["X_umap"] = RNG.normal(size=(N, 2))
    with pytest.raises(SetupError, match=r"'CD4' is a feature of several modalities.*'rna:CD4', 'protein:CD4'"):
        mmvae.pl.embedding(mdata, "CD4", show=False)
    axes = mmvae.pl.embedding(mdata, ["rna:CD4", "protein:CD4"], show=False)
    assert [panel.get_title() for panel in axes] == ["rna:CD4", "protein:CD4"]
    plt.close("all")


def ten_x(path, types: dict[str, int]) -> None:
    """A file of Cell Ranger's: genes, proteins, peaks and hashtags in one matrix."""
    kinds = np.repeat(list(types), list(types.values()))
    x = sp.csc_matrix(RNG.poisson(1.0, (len(kinds), N)).astype(np.int32))
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        for name, values in {"data": x.data, "indices": x.indices, "indptr": x.indptr, "shape": x.shape}.items():
            group[name] = values
        group["barcodes"] = [f"AAAC{i}-1".encode() for i in range(N)]
        features = group.create_group("features")
        features["id"] = [f"f{i}".encode() for i in range(len(kinds))]
        features["name"] = [f"CD{i % 9}".encode() for i in range(len(kinds))]  # proteins are named as their genes
        features["feature_type"] = [kind.encode() for kind in kinds]
        features["genome"] = [b"GRCh38"] * len(kinds)


def test_a_file_of_cell_ranger_is_split_and_set_up_with_advice_on_hashtags(tmp_path, capsys):
    types = {"Gene Expression": 9, "Antibody Capture": 4, "Peaks": 7, "Multiplexing Capture": 3}
    ten_x(tmp_path / "filtered.h5", types)
    read = sc.read_10x_h5(tmp_path / "filtered.h5", gex_only=False)
    with pytest.raises(SetupError) as caught:
        MultiVAE.setup_anndata(read)
    types_mixed, names_shared = caught.value.faults
    assert "'rna' mixes feature types" in types_mixed
    assert "split_modalities(adata)" in types_mixed
    assert "names occur more than once" in names_shared
    mdata = mmvae.pp.split_modalities(read)
    assert {name: own.n_vars for name, own in mdata.mod.items()} == {
        "rna": 9,
        "protein": 4,
        "atac": 7,
        "multiplexing_capture": 3,
    }
    kept = {name: name for name in ("rna", "protein", "atac")}
    (note,) = [text for text in mmvae.pp.check(mdata).attrs["notes"] if "hashtags" in text]
    assert "'multiplexing_capture' looks like hashtags" in note
    assert "modalities=" in note
    assert not [text for text in mmvae.pp.check(mdata, modalities=kept).attrs["notes"] if "hashtags" in text]
    model = fitted(mdata, modalities=kept)
    assert model.modalities == list(kept)
    assert np.isfinite(model.get_latent_representation()).all()


@pytest.mark.parametrize(
    ("name", "features", "words"),
    [
        ("hto", ["A", "B", "C"], "modality 'hto' looks like hashtags"),
        ("cell_hashing", ["A", "B", "C"], "modality 'cell_hashing' looks like hashtags"),
        ("tags", ["HTO_A", "HTO-2", "Hashtag3"], "modality 'tags' looks like hashtags"),
        ("protein", ["CD3", "CD4", "TotalSeq-A0251 Hashtag 1"], "1 features of modality 'protein' look like hashtags"),
        ("rna", ["CMO301", "CD4", "CMOS"], "1 features of modality 'rna' look like hashtags, such as 'CMO301'"),
        ("photons", ["CD3", "LMO1", "HASPIN"], None),
    ],
)
def test_what_looks_like_hashtags_is_said(name, features, words):
    own = adata(COUNTS[:, :3])
    own.var_names = features
    notes = [text for text in mmvae.pp.check(together(**{name: own})).attrs["notes"] if "hashtags" in text]
    assert not notes if words is None else words in notes[0]


def test_dask_arrays_are_refused_in_words():
    dask = pytest.importorskip("dask.array")
    with pytest.raises(SetupError, match=r"got Array of float32. Read it with .compute\(\)"):
        MultiVAE.setup_mudata(pair(dask.from_array(COUNTS)))


def test_commands_to_a_terminal_are_printed_as_text(capsys):
    mdata = pair(COUNTS)
    mdata.obs["\x1b[2Jbatch"] = ["a", "b"] * (N // 2)
    MultiVAE.setup_mudata(mdata, batch_key="\x1b[2Jbatch")
    printed = capsys.readouterr().out
    assert "\x1b[2J" not in printed
    assert r"Batch: '\x1b[2Jbatch'" in printed
