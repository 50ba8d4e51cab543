"""Saving: files are there whole or not at all, and a model never stands beside the data of another."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import sys
import time
import warnings
from contextlib import nullcontext
from types import SimpleNamespace

import h5py
import mudata
import numpy as np
import pytest
from killing import code_of, started

import mmvae
from mmvae import MultiVAE, _files
from mmvae._compat import unpulled
from mmvae.model import _model_file
from mmvae.model._model_file import SavedModel
from mmvae.model._saved_data import FILES, read_saved

# Python's word against forks of several threads, of which none is used here.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork")
MODEL, DATA = _model_file.MODEL_FILE, FILES["setup_mudata"]
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")


@pytest.fixture
def model():
    mdata = mmvae.datasets.simulate(30, modalities={"rna": 8, "protein": 3}, missing=0.2, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        MultiVAE.setup_mudata(mdata, batch_key="batch")
    return named(MultiVAE(mdata, n_latent=2, n_hidden=3), "old")


def named(model, state):
    """A model whose files say which one they are of."""
    model.state_ = model.adata.uns["state"] = state
    return model


def found(folder, prefix=""):
    """Which model a folder holds, and which data."""
    saved = SavedModel.read(folder / f"{prefix}{MODEL}")
    return saved.attributes["state_"], read_saved(folder / f"{prefix}{DATA}", saved.mark).uns["state"]


def visible(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_names_are_those_of_scvi_tools():
    from scvi.model.base._constants import SAVE_KEYS

    assert (MODEL, FILES) == (
        SAVE_KEYS.MODEL_FNAME,
        {"setup_mudata": SAVE_KEYS.MDATA_FNAME, "setup_anndata": SAVE_KEYS.ADATA_FNAME},
    )
    assert (_model_file.WEIGHTS, _model_file.VAR_NAMES, _model_file.ATTRIBUTES) == (
        SAVE_KEYS.MODEL_STATE_DICT_KEY,
        SAVE_KEYS.VAR_NAMES_KEY,
        SAVE_KEYS.ATTR_DICT_KEY,
    )


@pytest.mark.parametrize("prefix", ["", "mine_"])
def test_a_model_and_its_data_are_found_again(model, tmp_path, prefix):
    (tmp_path / "notes.txt").write_text("mine")
    model.save(tmp_path, prefix=prefix, save_anndata=True)
    assert sorted(os.listdir(tmp_path)) == sorted([f"{prefix}{DATA}", f"{prefix}{MODEL}", "notes.txt"])
    again = MultiVAE.load(tmp_path, prefix=prefix)
    for name, value in model.module.state_dict().items():
        assert (again.module.state_dict()[name] == value).all(), name
    assert again.registry_["setup_args"] == model.registry_["setup_args"]
    with unpulled():
        assert list(again.adata.obs_names) == list(model.adata.obs_names)


def test_data_whose_modalities_share_names_are_saved_without_a_warning(tmp_path):
    mdata = mmvae.datasets.simulate(30, modalities={"rna": 8, "protein": 3}, seed=0)
    mdata["protein"].var_names = mdata["rna"].var_names[:3]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mdata.update()
        MultiVAE.setup_mudata(mdata)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        MultiVAE(mdata, n_latent=2, n_hidden=3).save(tmp_path, save_anndata=True)


def test_what_is_there_is_replaced_if_asked_for(model, tmp_path):
    model.save(tmp_path / "m", save_anndata=True)
    with pytest.raises(
        ValueError, match=rf"without a saved model; got \['.*{MODEL}', '.*{DATA}'\]. Give overwrite=True"
    ):
        model.save(tmp_path / "m", save_anndata=True)
    named(model, "new").save(tmp_path / "m", overwrite=True, save_anndata=True)
    assert found(tmp_path / "m") == ("new", "new")
    model.save(tmp_path / "m", prefix="other_")  # no file of this name is there


@needs_fork
@pytest.mark.parametrize("with_data", [True, False], ids=["with data", "alone"])
def test_a_save_that_is_killed_anywhere_leaves_one_model_whole(model, tmp_path, with_data):
    """Killed before each call that touches the folder, one after the other, until a save comes to its end."""
    model.save(tmp_path, save_anndata=with_data)
    (tmp_path / "notes.txt").write_text("mine")
    names, ends = visible(tmp_path), []

    def save_until(call):
        left = [call]

        def count(event, arguments):
            if event.startswith(("open", "os.")) and str(tmp_path) in str(arguments):
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        model.save(tmp_path, overwrite=True, save_anndata=with_data)

    while not ends or ends[-1][0]:
        named(model, f"new {len(ends)}")
        before = SavedModel.read(tmp_path / MODEL).attributes["state_"]
        code = code_of(started(lambda: save_until(len(ends))))
        assert code in (0, -signal.SIGKILL)
        assert visible(tmp_path) == names
        kept = SavedModel.read(tmp_path / MODEL).attributes["state_"]
        assert kept in (before, model.state_)
        if with_data:
            assert found(tmp_path) == (kept, kept)
        ends.append((code, kept == before))
    assert {(-signal.SIGKILL, True), (-signal.SIGKILL, False)} <= set(ends)  # killed on either side of the new one
    assert ends[-1] == (0, False)
    assert len(ends) > 10
    assert sorted(os.listdir(tmp_path)) == names  # the last one has cleared what was left


@needs_fork
@pytest.mark.slow
def test_a_save_that_is_killed_at_a_random_moment_leaves_one_model_whole(model, tmp_path):
    moments = np.random.default_rng(0).uniform(0, 0.3, 50)
    model.save(tmp_path, save_anndata=True)
    for moment in moments:
        named(model, f"new {moment}")
        kept = found(tmp_path)[0]
        pid = started(lambda: model.save(tmp_path, overwrite=True, save_anndata=True))
        time.sleep(moment)
        os.kill(pid, signal.SIGKILL)
        assert code_of(pid) in (0, -signal.SIGKILL)
        assert visible(tmp_path) == sorted([DATA, MODEL])
        one, other = found(tmp_path)
        assert one == other
        assert one in (kept, model.state_)


@needs_fork
@pytest.mark.parametrize("share", [0.01, 0.99])
@pytest.mark.parametrize("file", [MODEL, DATA])
def test_a_disk_that_is_full_leaves_the_old_model(model, tmp_path, file, share):
    model.save(tmp_path, save_anndata=file == DATA)
    limit = int(share * (tmp_path / file).stat().st_size)

    def save():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        with pytest.raises(OSError, match="Expected room for|free; got"):
            named(model, "new").save(tmp_path, overwrite=True, save_anndata=file == DATA)

    assert code_of(started(save)) == 0
    assert visible(tmp_path) == sorted([MODEL, DATA] if file == DATA else [MODEL])
    if file == DATA:
        assert found(tmp_path) == ("old", "old")
    assert SavedModel.read(tmp_path / MODEL).attributes["state_"] == "old"


@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}], ids=["known size", "compressed"])
def test_room_for_the_data_is_looked_for_before_anything_is_written(model, tmp_path, monkeypatch, options):
    """As HDF5 can bring down the process, and with it a model that is not saved."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=2**16))
    expected = nullcontext() if options else pytest.raises(OSError, match="MB free; got .* or save the model alone")
    with expected:
        model.save(tmp_path / "m", save_anndata=True, **options)
    assert (tmp_path / "m").exists() == bool(options)
    model.save(tmp_path / "alone")


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_a_save_that_fails_leaves_nothing_of_itself(model, tmp_path, monkeypatch, error):
    def fail(*_):
        raise error

    model.save(tmp_path / "m", save_anndata=True)
    monkeypatch.setattr(SavedModel, "write", fail)
    for folder in ("m", "new"):
        with pytest.raises(error):
            named(model, "new").save(tmp_path / folder, overwrite=True, save_anndata=True)
    assert not (tmp_path / "new").exists()
    assert found(tmp_path / "m") == ("old", "old")
    assert sorted(os.listdir(tmp_path / "m")) == [DATA, MODEL]


@pytest.mark.parametrize("fails", ["_flush", "_replace"])
def test_data_do_not_wait_for_a_model_file_that_cannot_be_given_its_name(model, tmp_path, monkeypatch, fails):
    def fail(*_):
        raise OSError(errno.EIO, "no luck")

    model.save(tmp_path, save_anndata=True)
    monkeypatch.setattr(_files, fails, fail)
    with pytest.raises(OSError, match="no luck"):
        named(model, "new").save(tmp_path, overwrite=True, save_anndata=True)
    assert found(tmp_path) == ("old", "old")
    assert sorted(os.listdir(tmp_path)) == [DATA, MODEL]


def test_an_interrupt_when_the_model_has_its_name_leaves_it_its_data(model, tmp_path, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    model.save(tmp_path, save_anndata=True)
    monkeypatch.setattr(_files, "_flush_folder", fail)
    with pytest.raises(KeyboardInterrupt):
        named(model, "new").save(tmp_path, overwrite=True, save_anndata=True)
    assert found(tmp_path) == ("new", "new")


def test_data_keep_their_permissions_and_the_link_to_them(model, tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "large").mkdir()
    kept = tmp_path / "large" / "cells.h5mu"
    (tmp_path / "m" / DATA).symlink_to(kept)
    model.save(tmp_path / "m", save_anndata=True, overwrite=True)
    kept.chmod(0o600)
    named(model, "new").save(tmp_path / "m", save_anndata=True, overwrite=True)
    assert (tmp_path / "m" / DATA).is_symlink()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert found(tmp_path / "m") == ("new", "new")
    assert os.listdir(tmp_path / "large") == ["cells.h5mu"]


@needs_fork
def test_two_programs_that_save_in_one_folder_do_not_mix(model, tmp_path):
    def save_often(name):
        for number in range(3):
            named(model, f"{name} {number}").save(tmp_path, overwrite=True, save_anndata=True)

    pid = started(lambda: save_often("one"))
    save_often("two")
    assert code_of(pid) == 0
    one, other = found(tmp_path)
    assert one == other
    assert one in ("one 2", "two 2")
    assert sorted(os.listdir(tmp_path)) == [DATA, MODEL]


def test_data_of_another_save_are_refused(model, tmp_path):
    model.save(tmp_path, save_anndata=True)
    named(model, "new").save(tmp_path, overwrite=True)
    with pytest.raises(ValueError, match=r"saved with the model; '.*h5mu' was saved with another. Give the right ones"):
        MultiVAE.load(tmp_path)
    assert MultiVAE.load(tmp_path, model.adata).state_ == "new"
    with unpulled():
        model.adata.write(tmp_path / DATA)  # the user's own
    assert MultiVAE.load(tmp_path).adata.n_obs == 30


def test_data_that_were_killed_while_they_waited_are_found(model, tmp_path):
    model.save(tmp_path, save_anndata=True)
    with h5py.File(tmp_path / DATA) as file:
        mark = file.attrs["mmvae_saved"]
    (tmp_path / DATA).rename(tmp_path / f".mdata.{mark}.h5mu")
    assert found(tmp_path) == ("old", "old")


def test_data_in_a_file_stay_in_it(model, tmp_path):
    with unpulled():
        model.adata.write(tmp_path / "own.h5mu")
        backed = mudata.read_h5mu(tmp_path / "own.h5mu", backed=True)
    MultiVAE.setup_mudata(backed)
    MultiVAE(backed, n_latent=2, n_hidden=3).save(tmp_path / "m", save_anndata=True)
    assert os.path.basename(backed.filename) == "own.h5mu"
    backed.file.close()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"compression": "gzip"}, TypeError, r"Expected \['compression'\] with save_anndata=True"),
        ({"save_anndata": True, "dir_path": "bare"}, ValueError, "Expected a model with data, to save them"),
        ({"dir_path": "file"}, ValueError, "Expected a folder to save in; '.*file' is a file"),
    ],
    ids=["options of data", "no data", "a file"],
)
def test_what_cannot_be_saved_is_refused_before_anything_is_written(model, tmp_path, options, error, words):
    (tmp_path / "file").write_text("mine")
    if options.get("dir_path") == "bare":
        model.save(tmp_path / "m")
        model = MultiVAE.load(tmp_path / "m", adata=False)
    folder = tmp_path / options.get("dir_path", "new")
    with pytest.raises(error, match=words):
        model.save(**{**options, "dir_path": folder})
    assert not (tmp_path / "new").exists() and (tmp_path / "file").read_text() == "mine"


def test_data_that_were_changed_are_not_saved_for_the_model_s_own(model, tmp_path):
    model.adata.mod["rna"].var_names = model.adata.mod["rna"].var_names[::-1]
    with pytest.raises(mmvae.SetupError):
        model.save(tmp_path / "m", save_anndata=True)
    assert not (tmp_path / "m").exists()


def test_an_attribute_that_no_file_can_hold_is_named(model, tmp_path):
    model.mine_ = {"a": [print]}
    with pytest.raises(TypeError, match=r"the model's attributes\['mine_'\]\['a'\]\[0\].*whose names end in '_'"):
        model.save(tmp_path / "m")
    assert not (tmp_path / "m").exists()
