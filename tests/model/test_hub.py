"""A saved model is a scvi-tools hub model, as ``docs/scvi_tools.md`` says; nothing is sent or fetched."""

from __future__ import annotations

import shutil
from importlib.metadata import version

import numpy as np
import pytest
import torch
from payload import Payload

from mmvae import MultiVAE
from mmvae._compat import unpulled

pytest.importorskip("huggingface_hub", reason='the hub needs huggingface_hub: pip install "scvi-tools[hub]"')
ABOUT = {"anndata_version": version("anndata"), "model_parent_module": "mmvae"}


@pytest.fixture(scope="module")
def folder(trained, tmp_path_factory):
    """A minified model with its data."""
    path = tmp_path_factory.mktemp("hub") / "model"
    trained[0].save(path)
    with unpulled():
        model = MultiVAE.load(path, trained[1].copy())
    model.minify_mudata()
    model.save(path, overwrite=True, save_anndata=True)
    return str(path)


def test_a_saved_model_is_one_of_the_hub(folder, trained, monkeypatch):
    from huggingface_hub import ModelCard, ModelCardData
    from scvi.hub import HubMetadata, HubModel

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    metadata = HubMetadata.from_dir(folder, **ABOUT)
    header = ModelCardData(license="cc-by-4.0", library_name="mmvae", tags=["single-cell", "model_cls_name:MultiVAE"])
    card = ModelCard(f"---\n{header.to_yaml()}\n---\n\n# A model of RNA, ATAC and protein\n")
    HubModel(folder, metadata=metadata, model_card=card).save()
    again = HubModel(folder)  # from the files alone
    assert again.metadata.model_cls_name == "MultiVAE"
    assert again.metadata.model_parent_module == "mmvae"
    assert again.model_card.data.library_name == "mmvae"
    with unpulled():
        assert again.adata.n_obs == 200
    assert isinstance(again.model, MultiVAE)
    assert again.model.minified_data_type == "latent_posterior_parameters"
    expected = trained[0].get_latent_representation()
    assert np.allclose(again.model.get_latent_representation(), expected, atol=1e-5)


def test_a_model_of_the_hub_runs_no_code(folder, tmp_path):
    from huggingface_hub import ModelCard
    from scvi.hub import HubMetadata, HubModel

    metadata = HubMetadata.from_dir(folder, **ABOUT)
    copied = str(shutil.copytree(folder, tmp_path / "pulled"))
    content = torch.load(f"{copied}/model.pt", weights_only=True)
    content["attr_dict"]["extra_"] = Payload(tmp_path / "ran")
    torch.save(content, f"{copied}/model.pt")
    with pytest.raises(ValueError, match="load it in Python with trusted=True"):
        HubModel(copied, metadata=metadata, model_card=ModelCard("")).load_model()
    assert not (tmp_path / "ran").exists()


def test_scvi_tools_writes_no_card_of_a_model_that_is_not_its_own(folder):
    """Once this fails, ``docs/scvi_tools.md`` need not say how to write one."""
    from scvi.hub import HubModelCardHelper

    with pytest.raises(ValueError, match="Model class name MultiVAE not recognized"):
        HubModelCardHelper.from_dir(folder, license_info="cc-by-4.0", **ABOUT)
