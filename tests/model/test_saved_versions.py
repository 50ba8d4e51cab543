"""Models of other versions load, or the error says by which versions they do."""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path

import mudata
import numpy as np
import pytest
import torch

from mmvae import MultiVAE
from mmvae._compat import unpulled

SAVED = Path(__file__).parent / "saved"
ENDS = sorted(path.name.removesuffix("model.pt") for path in (SAVED / "ends").iterdir())


@pytest.fixture
def data():
    with unpulled():
        return mudata.read_h5mu(SAVED / "0.1-mosaic" / "mdata.h5mu")


@pytest.fixture
def copied(tmp_path):
    shutil.copy(SAVED / "ends" / f"{ENDS[0]}model.pt", tmp_path / "model.pt")
    return tmp_path


def changed(folder, change):
    content = torch.load(folder / "model.pt", weights_only=True)
    change(content)
    torch.save(content, folder / "model.pt")


@pytest.mark.parametrize("name", ["0.1-mosaic", "0.1-query"])
def test_a_model_of_0_1_loads_if_trusted_and_is_safe_once_saved_again(name, tmp_path):
    with pytest.raises(
        ValueError, match="models of mmvae 0.1.*load it in Python with trusted=True, and save the model again"
    ):
        MultiVAE.load(SAVED / name)
    with pytest.warns(
        UserWarning, match="was read as trusted: it is of mmvae 0.1.* Save the model again: it then loads"
    ):
        model = MultiVAE.load(SAVED / name, trusted=True)
    expected = model.adata.obsm["expected"]
    assert np.allclose(model.get_latent_representation(), expected, atol=1e-5)
    model.save(tmp_path / "again", save_anndata=True)
    again = MultiVAE.load(tmp_path / "again")
    assert np.allclose(again.get_latent_representation(), expected, atol=1e-5)
    assert again.memory.is_query == (name == "0.1-query")
    assert set(again.history_) == set(model.history_)


def test_a_query_may_be_mapped_onto_a_model_of_0_1(data):
    with pytest.warns(UserWarning, match="was read as trusted"):
        mapped = MultiVAE.load_query_data(data, SAVED / "0.1-mosaic", trusted=True)
    assert mapped.memory.is_query


@pytest.mark.parametrize("prefix", ENDS)
def test_models_of_the_oldest_and_the_newest_scvi_tools_load(prefix, data):
    """Those of the newest were saved with pandas 3, too."""
    model = MultiVAE.load(SAVED / "ends", data, prefix=prefix)
    assert np.allclose(model.get_latent_representation(), model.expected_, atol=1e-5)
    assert set(model.predict()) <= {"B", "T"}
    assert len(model.history_["elbo_train"]) == 2


def test_both_ends_are_there():
    assert len(ENDS) == 2


def test_a_newer_format_is_told(copied, data):
    changed(copied, lambda content: content["mmvae"].update(format=2, versions={"mmvae": "9.0"}))
    words = (
        rf"of format 1, which mmvae {version('mmvae')} reads; '.*model\.pt' is of format 2, by mmvae 9.0. Update mmvae"
    )
    with pytest.raises(ValueError, match=words):
        MultiVAE.load(copied, data)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["model_state_dict"].popitem(),
        lambda content: content["attr_dict"]["init_params_"]["non_kwargs"].update(unknown=1),
        lambda content: content["attr_dict"].pop("init_params_"),
    ],
    ids=["weights", "arguments", "no arguments"],
)
def test_what_these_versions_make_otherwise_is_told_with_the_versions(copied, data, change):
    changed(copied, change)
    words = (
        rf"Expected a model as these versions make them \(mmvae {version('mmvae')}, scvi-tools .*\); got one by mmvae 0"
    )
    with pytest.raises(ValueError, match=words):
        MultiVAE.load(copied, data)


class Unreadable:
    """An object of which unpickling fails, as that of a table of pandas 3 does with pandas 2."""

    def __reduce__(self):
        return np.zeros, ("no shape",)


@pytest.mark.filterwarnings("ignore:.*was read as trusted")
def test_objects_of_other_versions_are_told(copied, data):
    changed(copied, lambda content: content["attr_dict"].update(history_=Unreadable()))
    with pytest.raises(
        ValueError, match="objects the versions here can read; got '.*model.pt', of which they cannot: .*pandas"
    ):
        MultiVAE.load(copied, data, trusted=True)
