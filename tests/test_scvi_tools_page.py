"""Each line of the page for users of scvi-tools is true."""

from __future__ import annotations

import copy
import pickle
import re
from inspect import Parameter, signature
from pathlib import Path

import numpy as np
import pytest
from anndata import AnnData
from scvi.model import MULTIVI, SCVI, TOTALVI

import mmvae
from mmvae import MultiVAE

pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")
PAGE = (Path(__file__).parents[1] / "docs" / "scvi_tools.md").read_text()
MODELS = (SCVI, TOTALVI, MULTIVI)
# Of scvi-tools' newest versions alone.
NEW = {"setup_annbatch"}
BY_NAME = "all by place"


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


ROWS = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if line.startswith("| `")]
TABLE = {name: (here, absent) for names, here, absent, _ in ROWS for name in quoted(names)}
THEIRS = {name: [model for model in MODELS if hasattr(model, name)] for name in TABLE}


def by_place(method) -> list[str]:
    """Arguments that may be given by place; ``*`` stands for those that are passed on."""
    found = [p for p in signature(method).parameters.values() if p.name not in ("self", "cls")]
    passed_on = ["*"] if any(p.kind == Parameter.VAR_POSITIONAL for p in found) else []
    return [p.name for p in found if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)] + passed_on


def test_the_table_has_every_public_name_of_scvi_tools_models_once():
    names = [name for row in ROWS for name in quoted(row[0])]
    public = {name for model in MODELS for name in dir(model) if not name.startswith("_")}
    assert sorted(names) == sorted(set(names))
    assert public <= set(names)
    assert set(names) - public <= NEW


@pytest.mark.parametrize("name", sorted(TABLE))
def test_what_the_table_says_is_there_is_there(name):
    here, _ = TABLE[name]
    assert here in ("same", "differs", "no")
    if here != "no":
        assert hasattr(MultiVAE, name) or name == "history"
    elif hasattr(MultiVAE, name):
        with pytest.raises(NotImplementedError):
            getattr(MultiVAE, name)()


@pytest.mark.parametrize("name", [name for name, (here, _) in TABLE.items() if here != "no"])
def test_arguments_have_the_places_of_scvi_tools(name):
    """As in one of its models, which are not of one mind; those that the table names are left out."""
    here, absent = TABLE[name]
    if not callable(getattr(MultiVAE, name, None)):
        assert here == "same" and not absent
        return
    ours = by_place(getattr(MultiVAE, name))
    if absent == BY_NAME:
        assert len(ours) == 1  # the data
        return
    missing = set(quoted(absent))
    assert not missing & set(signature(getattr(MultiVAE, name)).parameters)
    assert (here == "differs") == bool(missing)
    taken = set(signature(getattr(MultiVAE, name)).parameters)
    leading = [[n for n in by_place(getattr(model, name)) if n not in missing] for model in THEIRS[name]]
    assert any(_agree(ours, theirs, taken) for theirs in leading), (ours, leading)


def _agree(ours: list[str], theirs: list[str], taken: set[str]) -> bool:
    """Whether theirs begin as ours do, and the rest of them are passed on or may be given by name."""
    own = [name for name in ours if name != "*"]
    n = min(len(own), len(theirs))
    return own[:n] == theirs[:n] and ("*" in ours or set(theirs[n:]) <= taken)


def test_the_named_arguments_of_train_are_taken():
    section = PAGE.split("## Training")[1].split("\n## ")[0]
    acting, refused = section.split("act as there")
    assert set(signature(SCVI.train).parameters) - {"self", "trainer_kwargs"} <= set(quoted(section))
    assert {"external_indexing", "logger", "check_val_every_n_epoch"} <= set(quoted(acting))
    assert {"reduce_lr_on_plateau", "adversarial_classifier", "adversarial_mixing"} <= set(quoted(refused))


@pytest.fixture(scope="module")
def data():
    return mmvae.datasets.simulate(40, modalities={"rna": 12, "protein": 6}, n_clusters=3, seed=0)


COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda model: pickle.loads(pickle.dumps(model))}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("kind", ["AnnData", "MuData", "MuData of a file", "values in a file"])
def test_models_are_copied_with_their_data(data, copied, kind, tmp_path):
    if kind == "values in a file":
        data.write(tmp_path / "data.h5mu")
        data = mmvae.pp.read_backed(tmp_path / "data.h5mu")
    model = _trained(data if kind != "AnnData" else data["rna"].copy())
    if kind == "MuData of a file":
        model.save(tmp_path / "m", save_anndata=True)
        model = MultiVAE.load(tmp_path / "m")
    expected, own = model.get_latent_representation(), model.adata
    own.uns["mine"] = np.arange(3)
    again = copied(model)
    own.uns["mine"][:] = 7
    assert type(again) is MultiVAE
    assert again.is_trained_
    assert again.adata is not own
    np.testing.assert_array_equal(again.get_latent_representation(), expected)
    np.testing.assert_array_equal(model.get_latent_representation(), expected)
    assert list(again.adata.uns["mine"]) == [0, 1, 2]
    again.train(1, accelerator="cpu", enable_progress_bar=False)
    np.testing.assert_array_equal(model.get_latent_representation(), expected)


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_models_without_data_are_copied(data, copied, tmp_path):
    _trained(data).save(tmp_path / "m")
    again = copied(MultiVAE.load(tmp_path / "m", adata=False))
    assert again.adata is None
    assert again.get_latent_representation(data).shape == (data.n_obs, 4)


def _trained(data):
    (MultiVAE.setup_anndata if isinstance(data, AnnData) else MultiVAE.setup_mudata)(data)
    model = MultiVAE(data, n_hidden=4, n_latent=2)
    model.train(1, accelerator="cpu", enable_progress_bar=False)
    return model


@pytest.mark.parametrize(("copied", "error"), [(copy.deepcopy, TypeError), (pickle.dumps, pickle.PicklingError)])
def test_scvi_tools_models_of_a_mudata_are_copied_by_neither(data, copied, error):
    """Once this fails, the page need not say so."""
    TOTALVI.setup_mudata(data, modalities={"rna_layer": "rna", "protein_layer": "protein"})
    model = TOTALVI(data, n_hidden=4, n_latent=2)
    with pytest.raises(error):
        copied(model)
