from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pytest

import mmvae

if TYPE_CHECKING:
    from pathlib import Path

MARKUP = "<script>alert('batch')</script>"
FORMULA = "cost: $a_1$ & $b"


@pytest.fixture(scope="session")
def page(trained, tmp_path_factory) -> str:
    """The report of a model of a mosaic of three modalities."""
    model, _ = trained
    return model.report(tmp_path_factory.mktemp("mosaic") / "report.html").read_text()


@pytest.fixture(scope="session")
def of_one() -> mmvae.MultiVAE:
    """A model of an AnnData with names that look like markup and like formulas."""
    adata = mmvae.datasets.simulate(120, seed=1)["protein"].copy()
    adata.obs["site"] = [MARKUP, FORMULA, "a\nb"] * 40
    adata.var_names = [f"<b>{name}</b>" for name in adata.var_names]
    mmvae.MultiVAE.setup_anndata(adata, modality="a&<i>b $_x$", batch_key="site")
    model = mmvae.MultiVAE(adata, n_latent=4, n_hidden=16, prior={"name": "mog", "n_components": 3})
    with warnings.catch_warnings():
        # an epoch is too few to learn anything, and the model says so
        warnings.simplefilter("ignore")
        model.train(2, accelerator="cpu", enable_progress_bar=False)
    return model


@pytest.fixture(scope="session")
def odd_page(of_one, tmp_path_factory) -> str:
    """Its report."""
    return of_one.report(tmp_path_factory.mktemp("one") / "report.html").read_text()


@pytest.fixture(scope="session")
def saved(trained, page, tmp_path_factory) -> Path:
    """Folder of the model of a mosaic, which remembers what its report has measured."""
    folder = tmp_path_factory.mktemp("saved")
    trained[0].save(folder, overwrite=True)
    return folder
