"""What scvi-tools' tuner reads of a model in training to score it by scib-metrics. It needs ray, these tests do not."""

from __future__ import annotations

import numpy as np
import pytest
from lightning.pytorch.callbacks import LambdaCallback
from scvi import REGISTRY_KEYS
from scvi.train import ScibCallback

import mmvae
from mmvae import MultiVAE

pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")
CELLS, EPOCHS = 100, 2


def tuned(callbacks, **keys):
    """A model trained as by ``scvi.autotune``."""
    mdata = mmvae.datasets.simulate(CELLS, modalities={"rna": 40, "protein": 8}, n_clusters=3, missing=0.3, seed=1)
    MultiVAE.setup_mudata(mdata, batch_key="batch", **keys)
    model = MultiVAE(mdata, n_hidden=16, n_latent=4)
    model.train(EPOCHS, accelerator="cpu", enable_progress_bar=False, callbacks=callbacks)
    return model


@pytest.mark.parametrize("stage", ["training", "validation"])
def test_the_tuner_finds_latents_batches_and_labels(stage):
    callback = ScibCallback()
    model = tuned([callback], labels_key="cluster")
    found = getattr(callback.pl_module, f"_{stage}_epoch_outputs")
    # scvi-tools puts all epochs, and the check before them, behind one another.
    cells = {"training": model.train_indices_, "validation": model.validation_indices_}[stage]
    last = {key: values.numpy()[-len(cells) :] for key, values in found.items()}
    assert last["z"].shape == (len(cells), model.module.fusion.n_output)
    assert np.isfinite(last["z"]).all()
    for key in (REGISTRY_KEYS.BATCH_KEY, REGISTRY_KEYS.LABELS_KEY):
        registered = np.asarray(model.adata_manager.get_from_registry(key)).ravel()[cells]
        assert sorted(last[key]) == sorted(registered)


def test_the_tuner_finds_its_callback_first():
    callback = ScibCallback()
    model = tuned([LambdaCallback(), callback], labels_key="cluster")
    assert model.trainer.callbacks[0] is callback


def test_what_the_tuner_says_to_a_model_is_taken():
    mdata = mmvae.datasets.simulate(CELLS, modalities={"rna": 40, "protein": 8}, seed=1)
    MultiVAE.setup_mudata(mdata)
    assert MultiVAE(mdata, extra_payload_autotune=True).modalities == ["rna", "protein"]
