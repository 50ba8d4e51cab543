from __future__ import annotations

import subprocess
import sys
import warnings
from importlib import import_module
from pathlib import Path

import anndata
import mudata
import numpy as np
import pandas as pd
import pytest
import torch

import mmvae
from mmvae._compat import unpulled
from mmvae.cli import main
from mmvae.cli._files import read, write

READOUTS = {"X_mmvae", "X_mmvae_rna", "X_mmvae_atac", "X_mmvae_protein", "X_mmvae_shared"}
OLD_MODEL = str(Path(__file__).parents[1] / "model" / "saved" / "0.1-mosaic")


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Inputs: cells.h5mu, atac.h5ad, and files that are not what their names say."""
    folder = tmp_path_factory.mktemp("inputs")
    mdata = mmvae.datasets.simulate(100, missing=0.3)
    write(mdata, folder / "cells.h5mu")
    write(mdata["atac"], folder / "atac.h5ad")
    for name, other in (("cells.h5mu", "cells.h5ad"), ("atac.h5ad", "atac.h5mu")):
        (folder / other).hardlink_to(folder / name)
    mdata["rna"].X.data[0] = np.nan
    write(mdata, folder / "nan.h5mu")
    for name in ("broken.h5mu", "broken.h5ad", "cells.csv"):
        (folder / name).write_text("no HDF5")
    return folder


@pytest.fixture(autouse=True)
def _threads():
    """Put back the number of threads: the demo sets it, and UMAP resets it for the whole process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_help_does_not_wait_for_torch():
    code = "import sys; from mmvae.cli import main; import contextlib\n"
    code += "with contextlib.suppress(SystemExit): main(['fit', '--help'])\n"
    code += "sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "examples:" in done.stdout


def test_version(capsys):
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"mmvae {mmvae.__version__}\n"


def test_demo(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path / "demo"), "--cells", "120", "--epochs", "2"]) == 0
    printed = capsys.readouterr()
    assert "clusters, kNN accuracy" in printed.out
    assert "Traceback" not in printed.err
    # no temporary files either
    assert {path.name for path in (tmp_path / "demo").iterdir()} == {"demo.h5mu", "umap.png", "history.png"}
    mdata = read(tmp_path / "demo" / "demo.h5mu")
    assert set(mdata.obsm) >= READOUTS | {"X_umap", "X_umap_shared"}
    assert mdata.uns["mmvae"]["model"]["n_epochs"] == 2


def test_fit_adds_to_the_data_and_saves_the_model(folder, tmp_path, capsys):
    out = tmp_path / "out.h5mu"
    given = ["--out", str(out), "--model", str(tmp_path / "model"), "--batch-key", "batch", "--prior", "normal"]
    assert main(["fit", str(folder / "cells.h5mu"), *given, "--epochs", "2", "--no-umap"]) == 0
    mdata, before = read(out), read(folder / "cells.h5mu")
    assert set(mdata.obsm) >= READOUTS
    assert set(mdata.uns["mmvae"]["model"]["priors"].values()) == {"normal"}
    assert mdata.obs[list(before.obs)].equals(before.obs)
    assert list(mdata.obs_names) == list(before.obs_names)
    model = mmvae.MultiVAE.load(tmp_path / "model", adata=before, accelerator="cpu")
    np.testing.assert_allclose(model.get_latent_representation(), mdata.obsm["X_mmvae"], atol=1e-4)
    # libraries have nothing to say
    assert all(line.startswith(("Note: ", "Epoch ")) for line in capsys.readouterr().err.splitlines())


def test_fit_of_an_anndata(folder, tmp_path):
    out = tmp_path / "out.h5ad"
    given = ["--out", str(out), "--modality", "atac", "--layer", "atac=X", "--epochs", "1", "--no-umap"]
    assert main(["fit", str(folder / "atac.h5ad"), *given]) == 0
    adata = read(out)
    assert {"X_mmvae", "X_mmvae_atac"} <= set(adata.obsm)
    assert adata.uns["mmvae"]["model"]["likelihoods"] == {"atac": "poisson"}


def as_text(frame):
    """Columns and names in pandas' own type for text."""
    frame.index = frame.index.astype("string")
    for key in frame.select_dtypes("category"):
        frame[key] = frame[key].astype("string")


@pytest.mark.parametrize("suffix", [".h5mu", ".h5ad"])
def test_text_of_pandas_own_types_is_written(folder, tmp_path, suffix):
    data = read(folder / {".h5mu": "cells.h5mu", ".h5ad": "atac.h5ad"}[suffix])
    parts = [data, *getattr(data, "mod", {}).values()]
    for part in parts:
        part.obs["site"] = pd.array([None, "a"] * (part.n_obs // 2) + ["b"] * (part.n_obs % 2), dtype="string")
        part.obsm["table"] = part.obs[["site"]].copy()
        part.uns["texts"] = {"inner": pd.array(["a", "b"], dtype="string")}
        for frame in (part.obs, part.var, part.obsm["table"]):
            as_text(frame)
    expected = data.obs["site"].copy()
    given, out = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    with anndata.settings.override(allow_write_nullable_strings=True), unpulled():
        data.write(given)
    assert main(["fit", str(given), "--out", str(out), "--epochs", "1", "--no-umap"]) == 0
    back = read(out)
    assert "X_mmvae" in back.obsm
    assert list(back.obs["site"].astype(object).fillna("none")) == list(expected.fillna("none"))
    assert list(back.uns["texts"]["inner"]) == ["a", "b"]


def test_what_is_added_is_written_where_pandas_makes_all_text_its_own_type(folder, tmp_path):
    out = tmp_path / "out.h5mu"
    with pd.option_context("future.infer_string", True):
        assert (
            main(
                [
                    "fit",
                    str(folder / "cells.h5mu"),
                    "--out",
                    str(out),
                    "--batch-key",
                    "batch",
                    "--epochs",
                    "1",
                    "--no-umap",
                ]
            )
            == 0
        )
        back = read(out)
    assert {"X_mmvae"} <= set(back.obsm)
    assert set(back.obs["_mmvae_batch_batch"]) == {"batch_0", "batch_1", "batch_2"}


def test_existing_output_is_kept(folder, tmp_path, capsys):
    out = tmp_path / "out.h5mu"
    out.write_text("precious")
    assert main(["fit", str(folder / "cells.h5mu"), "--out", str(out)]) == 2
    assert out.read_text() == "precious"
    assert "--overwrite" in capsys.readouterr().err


def test_existing_model_is_kept(folder, tmp_path):
    (tmp_path / "model.pt").write_text("precious")
    given = ["--out", str(tmp_path / "out.h5mu"), "--model", str(tmp_path)]
    assert main(["fit", str(folder / "cells.h5mu"), *given]) == 2
    assert (tmp_path / "model.pt").read_text() == "precious"


@pytest.fixture(scope="session")
def fitted(folder):
    """Folder of a model of cells.h5mu."""
    mdata = read(folder / "cells.h5mu")
    mmvae.MultiVAE.setup_mudata(mdata, batch_key="batch")
    model = mmvae.MultiVAE(mdata, n_latent=4, n_hidden=16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.train(2, accelerator="cpu", enable_progress_bar=False)
    model.save(folder / "model")
    return folder / "model"


def test_report(fitted, folder, tmp_path, capsys):
    given = ["report", str(fitted), str(folder / "cells.h5mu"), "--out", str(tmp_path / "page.html")]
    assert main(given) == 0
    assert capsys.readouterr().out == f"Wrote {tmp_path / 'page.html'}\n"
    page = (tmp_path / "page.html").read_text()
    assert "rna+atac+protein" in page
    assert 'class="failure"' not in page
    assert main(given) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "page.html").read_text() == page
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_report_replaces_a_page_if_asked(fitted, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(import_module("mmvae.report._page"), "SECTIONS", {})
    (tmp_path / "page.html").write_text("old")
    given = ["report", str(fitted), str(folder / "cells.h5mu"), "--out", str(tmp_path / "page.html"), "--overwrite"]
    assert main(given) == 0
    assert "<!DOCTYPE html>" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("model", "data", "out", "message"),
    [
        pytest.param(".", "cells.h5mu", "x.html", "holds no model.pt", id="no_model"),
        pytest.param("broken", "cells.h5mu", "x.html", "Copy or save the model again", id="broken_model"),
        pytest.param(
            OLD_MODEL, "cells.h5mu", "x.html", "load it in Python with trusted=True, and save", id="old_model"
        ),
        pytest.param("model", "atac.h5ad", "x.html", "expected a MuData", id="other_data"),
        pytest.param("model", "absent.h5mu", "x.html", "is not one", id="no_data"),
        pytest.param("model", "cells.h5mu", "no/x.html", "Make it first", id="no_such_folder"),
    ],
)
def test_report_of_what_a_user_can_mend_is_code_2(fitted, monkeypatch, capsys, model, data, out, message):
    monkeypatch.chdir(fitted.parent)
    Path("broken").mkdir(exist_ok=True)
    Path("broken/model.pt").write_text("no model")
    assert main(["report", model, data, "--out", out]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not Path(out).exists()


def test_check_prints_and_writes_nothing(folder, capsys):
    before = sorted(folder.iterdir())
    assert main(["check", str(folder / "cells.h5mu"), "--batch-key", "batch"]) == 0
    assert "No faults found." in capsys.readouterr().out
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param(["check", "absent.h5mu"], "is not one", id="no_such_file"),
        pytest.param(["check", "cells.csv"], "Expected a .h5mu or .h5ad file", id="other_format"),
        pytest.param(["check", "broken.h5mu"], "cannot be read", id="broken_h5mu"),
        pytest.param(["check", "broken.h5ad"], "cannot be read", id="broken_h5ad"),
        pytest.param(["check", "atac.h5mu"], "got an AnnData. Let its name end in .h5ad", id="an_h5ad_named_h5mu"),
        pytest.param(["check", "cells.h5ad"], "got a MuData. Let its name end in .h5mu", id="an_h5mu_named_h5ad"),
        pytest.param(["check", "nan.h5mu"], "1 values are NaN", id="faulty_data"),
        pytest.param(["check", "cells.h5mu", "--batch-key", "batc"], "Did you mean 'batch'?", id="unknown_key"),
        pytest.param(["check", "cells.h5mu", "--layer", "ran=X"], "Did you mean 'rna'?", id="unknown_modality"),
        pytest.param(["check", "cells.h5mu", "--likelihood", "rna=nbb"], "nbb", id="unknown_likelihood"),
        pytest.param(["check", "cells.h5mu", "--modality", "rna"], "--modality", id="modality_of_a_mudata"),
        pytest.param(["fit", "cells.h5mu", "--out", "out.h5ad"], "Expected OUT to end in '.h5mu'", id="mixed_formats"),
        pytest.param(["fit", "cells.h5mu", "--out", "no/out.h5mu"], "Make it first", id="no_such_folder"),
        pytest.param(["fit", "cells.h5mu", "--out", "x.h5mu", "--prior", "nope"], "nope", id="unknown_prior"),
        pytest.param(["fit", "cells.h5mu", "--out", "x.h5mu", "--fusion", "nope"], "nope", id="unknown_fusion"),
        pytest.param(
            ["fit", "atac.h5ad", "--out", "x.h5ad", "--layer", "atac=X"], "by --modality", id="unnamed_modality"
        ),
        pytest.param(["fit", "nan.h5mu", "--out", "x.h5mu", "--model", "a/b"], "NaN", id="no_folder_is_left"),
        pytest.param(["demo", "--out", "cells.csv"], "cannot be made", id="file_for_a_folder"),
    ],
)
def test_what_a_user_can_mend_is_code_2_and_a_sentence(folder, monkeypatch, capsys, given, message):
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    assert main(given) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    "given",
    [
        pytest.param([], id="no_command"),
        pytest.param(["demo", "--cells", "99"], id="too_few_cells"),
        pytest.param(["demo", "--epochs", "none"], id="epochs_in_words"),
        pytest.param(["demo", "--seed", str(2**32)], id="seed_too_large"),
        pytest.param(["check", "cells.h5mu", "--layer", "counts"], id="layer_of_no_modality"),
        pytest.param(["fit", "cells.h5mu"], id="no_output"),
    ],
)
def test_bad_usage_is_code_2(given, capsys):
    with pytest.raises(SystemExit) as left:
        main(given)
    assert left.value.code == 2
    assert "usage: mmvae" in capsys.readouterr().err


def test_debug_shows_the_traceback(folder, capsys):
    assert main(["check", str(folder / "absent.h5mu"), "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_own_warnings_are_notes_and_others_are_not_shown(monkeypatch, capsys):
    def warn(args):
        warnings.warn_explicit("ours", UserWarning, mmvae.__file__, 1)
        warnings.warn_explicit("in our files", FutureWarning, mmvae.__file__, 1)
        warnings.warn_explicit("theirs", UserWarning, mudata.__file__, 1)

    monkeypatch.setattr(import_module("mmvae.cli._check"), "run", warn)
    assert main(["check", "cells.h5mu"]) == 0
    assert capsys.readouterr().err == "Note: ours\n"


def interrupted(args):
    raise KeyboardInterrupt


def terminated_in_training(args):
    sys.exit(143)


def failing(args):
    raise RuntimeError("out of luck")


@pytest.mark.parametrize(
    ("run", "code", "message"),
    [
        (interrupted, 130, "Interrupted."),
        (terminated_in_training, 143, "Terminated."),
        (failing, 1, "RuntimeError: out of luck"),
    ],
)
def test_other_ends(monkeypatch, capsys, run, code, message):
    monkeypatch.setattr(import_module("mmvae.cli._check"), "run", run)
    assert main(["check", "cells.h5mu"]) == code
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
