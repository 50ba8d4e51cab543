"""The readout of what modalities agree on."""

from __future__ import annotations

import numpy as np
import pytest
from mudata import MuData

import mmvae
from mmvae import MultiVAE
from mmvae._compat import unpulled

pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")


def fitted(mdata: MuData) -> MultiVAE:
    MultiVAE.setup_mudata(mdata, batch_key="batch")
    model = MultiVAE(mdata, n_hidden=16, n_latent=4, prior="normal")
    model.train(max_epochs=30, enable_progress_bar=False)
    return model


def simulated(*, independent: bool) -> MuData:
    """Cells of two modalities, in batches; of other cells each, if independent."""
    mdata = mmvae.datasets.simulate(300, modalities={"rna": 60, "protein": 12}, seed=0)
    protein = mdata["protein"].copy()
    if independent:
        protein.X = protein.X[np.random.default_rng(0).permutation(300)]
    with unpulled():
        made = MuData({"rna": mdata["rna"].copy(), "protein": protein})
    made.obs["batch"] = mdata.obs["batch"]
    return made


@pytest.fixture(scope="module")
def model():
    return fitted(simulated(independent=False))


def test_eigenvalues_above_the_threshold_are_the_dimensions(model):
    spectrum = model.get_shared_spectrum()
    n_shared = int((spectrum > model.memory.shared["threshold"]).sum())
    assert len(spectrum) == 8
    assert n_shared > 0
    assert model.get_latent_representation(modality="shared").shape == (300, n_shared)


def test_the_threshold_is_saved(model, tmp_path):
    latent = model.get_latent_representation(modality="shared")
    model.save(tmp_path / "model", save_anndata=False)
    loaded = MultiVAE.load(tmp_path / "model", model.adata)
    assert loaded.memory.shared["threshold"] == model.memory.shared["threshold"]
    np.testing.assert_allclose(loaded.get_latent_representation(modality="shared"), latent, atol=1e-4)


def test_independent_modalities_are_said_to_agree_on_nothing():
    model = fitted(simulated(independent=True))
    assert (model.get_shared_spectrum() < model.memory.shared["threshold"]).all()
    with pytest.warns(UserWarning, match="agree on nothing beyond chance"):
        latent = model.get_latent_representation(modality="shared")
    assert latent.shape == (300, 2)
    assert np.isfinite(latent).all()
