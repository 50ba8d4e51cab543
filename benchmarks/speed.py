"""How long an epoch of mmvae and of its peer takes: the same data, batch size and widths, alternating in one process.

``python -m benchmarks.speed --data FOLDER`` trains both on each data set for a few epochs, in rounds, and updates
``docs/_static/speed.csv`` and ``docs/_evidence/speed.md``. An epoch's time is from its first minibatch to its last; what
comes before and after training is not in it. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from lightning.pytorch.callbacks import Callback

from . import inputs, markdown, table
from .commands import listed, parser
from .data import DataSet, data_folder
from .paths import EVIDENCE, STATIC
from .training import limit_threads

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from mudata import MuData

SETS = {
    "snareseq": (DataSet("snareseq_mouse_cortex.h5mu", "cell_type", "batch"), "multivi"),
    "teaseq": (DataSet("teaseq_pbmc_rna_adt_paired.h5mu", "cell_type"), "totalvi"),
    "pbmc10k": (DataSet("citeseq_pbmc10k_paired.h5mu", "cell_type"), "totalvi"),
}
OURS, SAMPLED = "mmvae", "mmvae, 2,000 sampled peaks"
PEERS = {"multivi": "MultiVI", "totalvi": "totalVI"}
RUN = ["data", "method", "round"]
COLUMNS = [*RUN, "epoch_seconds", "n_cells", "threads", "processor", "versions"]
N_HIDDEN, N_LATENT, N_LAYERS, BATCH_SIZE = 128, 15, 2, 128


class EpochTimes(Callback):
    """Seconds of each epoch, from its first minibatch to its last."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Note when the first minibatch is there."""
        if batch_idx == 0:
            self.start = time.perf_counter()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Note when the last one is done."""
        if trainer.is_last_batch:
            self.seconds.append(time.perf_counter() - self.start)


def main() -> None:
    """Run what was asked for, then write the page."""
    arguments = _arguments()
    limit_threads()
    folder = arguments.data or data_folder()
    for name in arguments.sets:
        data_set, peer = SETS[name]
        mdata = data_set.read(folder)[: arguments.cells].copy()
        builders = dict(_builders(mdata, peer))
        for number in range(arguments.rounds):
            for method, build in builders.items():
                rows = pd.DataFrame([_row(name, method, number, build, arguments.epochs, mdata.n_obs)])
                table.update(arguments.out, rows, [*SETS, *builders], RUN, COLUMNS)
                print(*rows.iloc[0][[*RUN, "epoch_seconds"]], flush=True)
    arguments.page.write_text(page(table.read(arguments.out, COLUMNS)))


def page(times: pd.DataFrame) -> str:
    """A row for each data set and method: the median over rounds, its range, and the peer's over it."""
    lines = [["data", "cells", "method", "seconds an epoch", "range", "peer's time over it"]]
    for name, (_, peer) in SETS.items():
        own = times[times["data"] == name]
        medians = own.groupby("method", sort=False)["epoch_seconds"].median()
        for method, median in medians.items():
            values = own.loc[own["method"] == method, "epoch_seconds"]
            cells = f"{own['n_cells'].iloc[0]:,}"
            ratio = f"{medians[PEERS[peer]] / median:.2f}"
            lines.append([name, cells, method, f"{median:.2f}", f"{values.min():.2f} to {values.max():.2f}", ratio])
    made = " ".join(sorted({f"{row.processor}, {row.threads} threads, {row.versions}." for row in times.itertuples()}))
    return f"{markdown.table(lines, ['data', 'method'])}\n\n{made}\n"


def _row(data: str, method: str, number: int, build: Callable[[], Any], epochs: int, n_cells: int) -> dict[str, Any]:
    import scvi
    import torch

    times, model = EpochTimes(), build()
    options = {"early_stopping": False, "enable_progress_bar": False}
    model.train(max_epochs=epochs, batch_size=BATCH_SIZE, callbacks=[times], **options)
    versions = f"scvi-tools {scvi.__version__}, torch {torch.__version__}"
    # The first epoch warms up the machine.
    seconds = float(np.median(times.seconds[1:]))
    described = platform.processor() or platform.machine()
    threads = torch.get_num_threads()
    return dict(zip(COLUMNS, [data, method, number, seconds, n_cells, threads, described, versions], strict=True))


def _builders(mdata: MuData, peer: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    """A function that makes a new model, for each method."""
    yield OURS, lambda: _mmvae(mdata)
    if "atac" in mdata.mod:
        yield SAMPLED, lambda: _mmvae(mdata, atac={"name": "poisson", "n_sampled": 2_000})
    joined = inputs.joined({name: mdata[name] for name in mdata.mod})
    joined.obs["_indices"] = np.arange(joined.n_obs)
    yield PEERS[peer], lambda: _scvi(joined, peer)


def _mmvae(mdata: MuData, **likelihoods: Any) -> Any:
    from mmvae import MultiVAE

    MultiVAE.setup_mudata(mdata, likelihoods=likelihoods)
    return MultiVAE(mdata, n_hidden=N_HIDDEN, n_latent=N_LATENT, n_layers=N_LAYERS)


def _scvi(mdata: MuData, peer: str) -> Any:
    from scvi.model import MULTIVI, TOTALVI

    if peer == "totalvi":
        inputs.dense(mdata["protein"])
        TOTALVI.setup_mudata(mdata, modalities={"rna_layer": "rna", "protein_layer": "protein"})
        layers = {"n_layers_encoder": N_LAYERS, "n_layers_decoder": 1}
        return TOTALVI(mdata, n_latent=N_LATENT, n_hidden=N_HIDDEN, **layers)
    MULTIVI.setup_mudata(mdata, modalities={f"{name}_layer": name for name in mdata.mod})
    layers = {"n_layers_encoder": N_LAYERS, "n_layers_decoder": 1}
    return MULTIVI(mdata, n_latent=N_LATENT, n_hidden=N_HIDDEN, **layers)


def _arguments() -> argparse.Namespace:
    made = parser("speed", __doc__, STATIC / "speed.csv")
    add = made.add_argument
    add("--sets", type=listed(known=SETS), default=list(SETS), help="data sets, separated by commas")
    add("--cells", type=int, default=3_000, help="cells of each set, at the most")
    add("--epochs", type=int, default=4, help="of each training, the first of which is not counted")
    add("--rounds", type=int, default=3)
    add("--page", type=Path, default=EVIDENCE / "speed.md", help="Markdown file to write")
    return made.parse_args()


if __name__ == "__main__":
    main()
