"""No code of a saved model's files is run, and a file that is none is told in words."""

from __future__ import annotations

import pickle
import shutil
import warnings

import numpy as np
import pytest
import torch
from anndata import AnnData
from payload import Payload

import mmvae
from mmvae import MultiVAE
from mmvae._compat import unpulled

pytestmark = pytest.mark.filterwarnings("ignore:.*was read as trusted")
READERS = {
    "load": lambda folder, data, **options: MultiVAE.load(folder, data, **options),
    "without data": lambda folder, data, **options: MultiVAE.load(folder, False, **options),
    "query": lambda folder, data, **options: MultiVAE.load_query_data(data, folder, **options),
    "registry": lambda folder, data, **options: MultiVAE.load_registry(folder, **options),
    "arguments": lambda folder, data, **options: MultiVAE.view_setup_args(folder, **options),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model of a MuData with it, and one of an AnnData of another prefix."""
    path = tmp_path_factory.mktemp("safe") / "model"
    mdata = mmvae.datasets.simulate(30, modalities={"rna": 8, "protein": 3}, missing=0.2, n_batches=2, seed=0)
    rna = AnnData(mdata["rna"].X.copy(), var=mdata["rna"].var[[]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        MultiVAE.setup_mudata(mdata, batch_key="batch")
        MultiVAE.setup_anndata(rna)
        model = MultiVAE(mdata, n_latent=2, n_hidden=3)
        model.train(1, accelerator="cpu", enable_progress_bar=False)
    model.save(path, save_anndata=True)
    MultiVAE(rna, n_latent=2, n_hidden=3).save(path, prefix="rna_", save_anndata=True)
    return path


@pytest.fixture
def copied(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "m")
    return tmp_path / "m"


@pytest.fixture
def data(folder):
    import mudata

    with unpulled():
        return mudata.read_h5mu(folder / "mdata.h5mu")


def changed(folder, change, file="model.pt"):
    """Write a model's file anew with a change of its content."""
    content = torch.load(folder / file, weights_only=True)
    new = change(content)
    torch.save(content if new is None else new, folder / file)


def put(*place):
    """A change that puts a payload at a place of the content."""

    def change(content, payload):
        for key in place[:-1]:
            content = content[key]
        content[place[-1]] = payload

    return change


PLACES = {
    "an attribute": put("attr_dict", "extra_"),
    "the registry": put("attr_dict", "registry_", "setup_args", "batch_key"),
    "arguments of the model": put("attr_dict", "init_params_", "non_kwargs", "seed"),
    "weights": put("model_state_dict", "extra"),
    "names of features": put("var_names", "rna"),
    "the file's own entry": put("mmvae", "forms"),
    "an entry of its own": put("extra"),
    "the whole": lambda _, payload: payload,
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_payload_in_a_model_s_file_is_not_run(copied, data, tmp_path, place):
    changed(copied, lambda content: place(content, Payload(tmp_path / "ran")))
    for read in READERS.values():
        with pytest.raises(
            ValueError,
            match=r"holds objects \(_?io.open\).*load it in Python with trusted=True, and save the model again",
        ):
            read(copied, data)
    for prepare in (MultiVAE.prepare_query_mudata, MultiVAE.prepare_query_anndata):
        with pytest.raises(ValueError, match="load it in Python with trusted=True"):
            prepare(data, str(copied))
    assert not (tmp_path / "ran").exists()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the file that stays open
        try:
            MultiVAE.load(copied, False, trusted=True)
        except ValueError:
            pass
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_payload_runs_in_what_is_trusted_alone(copied, data, tmp_path, read):
    changed(copied, lambda content: PLACES["an attribute"](content, Payload(tmp_path / "ran")))
    read(copied, data, trusted=True)
    assert (tmp_path / "ran").exists()


def test_a_payload_in_a_file_with_a_prefix_is_not_run(copied, tmp_path):
    changed(copied, lambda c: PLACES["an attribute"](c, Payload(tmp_path / "ran")), "rna_model.pt")
    for read in (MultiVAE.load, MultiVAE.load_registry, MultiVAE.view_setup_args):
        with pytest.raises(ValueError, match="load it in Python with trusted=True"):
            read(copied, prefix="rna_")
    assert not (tmp_path / "ran").exists()
    assert MultiVAE.load(copied).is_trained_


@pytest.mark.parametrize(("file", "prefix"), [("mdata.h5mu", None), ("rna_adata.h5ad", "rna_")])
def test_a_payload_in_the_place_of_data_is_not_run(copied, tmp_path, file, prefix):
    harmful = pickle.dumps(Payload(tmp_path / "ran"))
    (copied / file).write_bytes(harmful)
    for trusted in (False, True):
        with pytest.raises(
            ValueError, match=rf"Expected a \.h5.. file; '.*{file}' cannot be read: .*Give the data as adata"
        ):
            MultiVAE.load(copied, prefix=prefix, trusted=trusted)
    assert not (tmp_path / "ran").exists()
    pickle.loads(harmful).close()
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("method", ["load", "convert_legacy_save", "__init__", None])
def test_a_file_chooses_no_method_that_is_called(copied, method):
    changed(copied, lambda content: content["attr_dict"]["registry_"].update(setup_method_name=method))
    with pytest.raises(ValueError, match=f"got one that was set up by {method!r}"):
        MultiVAE.load(copied)


def test_a_file_puts_no_attribute_in_the_way_of_a_method(copied):
    changed(copied, lambda content: content["attr_dict"].update(train="no", _module_cls="no", __dict__={}, own_="kept"))
    model = MultiVAE.load(copied)
    assert callable(model.train)
    assert model.own_ == "kept"
    assert model._module_cls is MultiVAE._module_cls


def text(path):
    path.write_text("no model")


def cut(path):
    path.write_bytes(path.read_bytes()[:-200])


def flip(path):
    weights = torch.load(path, weights_only=True)["model_state_dict"]["fusion.predictor.first.rna.weight"]
    content = path.read_bytes()
    place = content.index(weights.numpy().tobytes())
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])


def misname(path):
    path.write_bytes(path.read_bytes().replace(b"data.pkl", b"\xff\xfeta.pkl"))


def of(content):
    return lambda path: torch.save(content, path)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (cut, "got one that is cut short, or another kind of file"),
        (flip, "got one of which a part is damaged, 'model/data/"),
        (misname, "got one that is cut short, or another kind of file"),
        (text, "got one that is cut short, or another kind of file"),
        (of({}), r"got one of a dictionary of \[\]"),
        (of(torch.ones(2)), "got one of type Tensor"),
        (of({"model_state_dict": {}, "attr_dict": {}}), r"entries are not those of a model \('registry_'\)"),
        (of({"model_state_dict": 1, "attr_dict": []}), "entries are not those of a model"),
        (lambda path: path.unlink(), r"'.*model\.pt' is not there. The folder has \['rna_model.pt'\].* is the prefix"),
        (lambda path: shutil.rmtree(path.parent), "is not there. Give the folder that save wrote"),
    ],
    ids=[
        "cut",
        "damaged",
        "misnamed",
        "text",
        "nothing",
        "a tensor",
        "no entries",
        "other entries",
        "no file",
        "no folder",
    ],
)
@pytest.mark.parametrize("trusted", [False, True])
def test_what_is_no_model_is_told_with_its_name(copied, spoil, words, trusted):
    spoil(copied / "model.pt")
    for read in (MultiVAE.load, MultiVAE.load_registry):
        with pytest.raises(ValueError, match=words) as error:
            read(copied, trusted=trusted)
        assert str(copied / "model.pt") in str(error.value)


def test_a_class_of_another_name_is_told(copied, data):
    class Another(MultiVAE):
        pass

    with pytest.raises(ValueError, match="Expected a model of class Another; '.*model.pt' is one of MultiVAE"):
        Another.load(copied, data)
    assert isinstance(Another.load(copied, data, allowed_classes_names_list=["MultiVAE"]), Another)


def test_weights_that_are_not_finite_are_told(copied):
    def spoil(content):
        content["model_state_dict"]["priors.rna.logits"][0] = np.nan

    changed(copied, spoil)
    with pytest.warns(UserWarning, match=r"Weights of '.*model.pt' are not finite, such as \['priors.rna.logits'\]"):
        MultiVAE.load(copied)


def test_no_data_are_told(copied):
    (copied / "mdata.h5mu").unlink()
    with pytest.warns(UserWarning, match="The model is loaded without data: there is no '.*mdata.h5mu'"):
        assert MultiVAE.load(copied).adata is None


@pytest.mark.parametrize("prefix", [None, "rna_"], ids=["MuData", "AnnData"])
def test_the_other_kind_of_data_is_told(folder, data, prefix):
    rna = AnnData(data["rna"].X.copy(), var=data["rna"].var[[]])
    model = MultiVAE.load(folder, prefix=prefix)
    model.is_trained_ = True
    other, words = (data, r"expected an AnnData.*got a MuData. Give mdata\['rna'\]")
    if prefix is None:
        other, words = rna, r"expected a MuData.*got an AnnData. Make MuData\(\{'rna': adata\}\)"
    model.remember(n_categories={})
    for read in (
        lambda: MultiVAE.load(folder, other, prefix=prefix),
        lambda: MultiVAE.load_query_data(other, model),
        lambda: mmvae.tl.embed(model, other),
        lambda: model.get_latent_representation(other),
        lambda: model.get_elbo(other),
    ):
        with pytest.raises(mmvae.SetupError, match=words):
            read()
