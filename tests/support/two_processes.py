"""Trains a model in as many processes as the first argument says, in the case of the second; writes what came of it to the third."""

import json
import os
import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from lightning.pytorch.callbacks import Callback
from mudata import MuData

import mmvae
from mmvae import MultiVAE

CELLS, EPOCHS, BATCH = 240, 4, 16


class Spoil(Callback):
    """Makes the weights of one process infinite in its third step."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_rank == trainer.world_size - 1 and batch_idx == 2:
            pl_module.module.likelihoods["rna"].log_theta.data.fill_(float("nan"))


class Seen(Callback):
    """Numbers of the cells of one process in its first epoch."""

    def __init__(self):
        self.cells = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.current_epoch == 0:
            self.cells += batch["ind_x"].tolist()


def mosaic():
    """Cells of which most have a single modality, so that few minibatches of few cells hold all."""
    mdata = mmvae.datasets.simulate(CELLS, missing=0.7, seed=0)
    MultiVAE.setup_mudata(mdata, batch_key="batch")
    return MultiVAE(mdata)


def rare():
    """Cells of which one has protein, so that one of two processes has none in an epoch."""
    mdata = mmvae.datasets.simulate(CELLS // 2, modalities={"rna": 40, "protein": 8}, seed=0)
    mdata = MuData({"rna": mdata["rna"], "protein": mdata["protein"][:1].copy()})
    MultiVAE.setup_mudata(mdata)
    # Else that cell's encoder may be left out in an epoch, too.
    return MultiVAE(mdata, modality_dropout=0.0)


def tissue():
    sections = mmvae.datasets.simulate_pdac(2, n_spots=CELLS // 2, n_genes=40)
    mdata = mmvae.pp.spatial(sections, slide_key="slide")
    MultiVAE.setup_mudata(mdata)
    return MultiVAE(mdata)


def streamed(n_processes):
    """A model without data, and the data module of a mosaic in a file."""
    with TemporaryDirectory() as folder:
        mmvae.datasets.simulate(CELLS, missing=0.7, seed=0).write_h5mu(f"{folder}/mosaic.h5mu")
        mdata = mmvae.pp.read_backed(f"{folder}/mosaic.h5mu")
    MultiVAE.setup_mudata(mdata, batch_key="batch")
    module = mmvae.MosaicDataModule(mdata, batch_size=BATCH // n_processes)
    return MultiVAE(registry=module.registry), module


def train(model, n_processes, **options):
    processes = {"devices": n_processes, "strategy": "ddp"} if n_processes > 1 else {}
    options = {"accelerator": "cpu", "enable_progress_bar": False, "early_stopping": False} | processes | options
    size = {} if "datamodule" in options else {"batch_size": BATCH // n_processes}
    model.train(EPOCHS, **size, **options)


def main():
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    n_processes, case = int(sys.argv[1]), sys.argv[2]
    options, seen = {}, Seen()
    if case == "streamed":
        model, options["datamodule"] = streamed(n_processes)
    else:
        model = {"tissue": tissue, "rare": rare}.get(case, mosaic)()
    found = {"rank": int(os.environ.get("LOCAL_RANK", 0))}
    try:
        train(model, n_processes, callbacks=[seen, *([Spoil()] if case == "spoilt" else [])], **options)
        if model.history_:  # the first process alone keeps one
            if case == "rare":
                found["kl"] = [float(value) for value in model.history_["kl_protein_train"].iloc[:, 0]]
            found["objective"] = [float(value) for value in model.history_["objective_validation"].iloc[:, 0]]
    except mmvae.TrainingDivergedError as error:
        found["error"] = str(error)
    found["cells"] = seen.cells
    found["weights"] = [float(value.double().sum()) for value in model.module.state_dict().values()]
    found["memory"] = [
        float(prior.graph.mean.sum()) for prior in model.module.priors.values() if prior.graph is not None
    ]
    Path(sys.argv[3], f"{found['rank']}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
