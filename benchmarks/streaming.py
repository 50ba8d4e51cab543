"""Training on data that are larger than memory: simulated cells written to disk in parts, and an epoch over them.

``python -m benchmarks.streaming --data FOLDER --cells 200000`` writes 2,000 genes and 100 proteins of so many cells,
a third of which lack one of the two, to two Zarr stores, unless they are there, and trains for an epoch in a process of its
own. It prints seconds and that process's largest resident memory after each stage, in JSON.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
import zarr
from anndata.io import sparse_dataset, write_elem

from .commands import parser, run_alone
from .training import limit_threads

FEATURES = {"rna": 2_000, "protein": 100}
DEPTH = {"rna": 800.0, "protein": 3_000.0}
N_TYPES, N_FACTORS, LACKING = 20, 8, 1 / 3
PART = 20_000


def main() -> None:
    """Write the data, or train on them, and print what that took."""
    made = parser("streaming", __doc__, None)
    made.add_argument("--cells", type=int, default=200_000)
    made.add_argument("--grouped", action="store_true", help="store cells type by type, the worst order for blocks")
    made.add_argument("--epochs", type=int, default=1)
    made.add_argument("--train", action="store_true", help="train in this process, on data that are there")
    given = made.parse_args()
    folder = given.data / f"{given.cells}{'_grouped' if given.grouped else ''}"
    if given.train:
        print(json.dumps(train(folder, given.epochs)))
        return
    if not folder.exists():
        write(folder, given.cells, grouped=given.grouped)
    options = ["--data", given.data, "--cells", given.cells, "--epochs", given.epochs, "--train"]
    done = run_alone("streaming", *options, *(["--grouped"] if given.grouped else []))
    print(done.stdout.splitlines()[-1] if done.returncode == 0 else done.stderr)
    sys.exit(done.returncode)


def train(folder: Path, epochs: int) -> dict[str, Any]:
    """Stages of a training: seconds, and the largest resident memory so far in GB."""
    import mmvae

    limit_threads()
    stages: dict[str, Any] = {}
    start = time.perf_counter()

    def note(stage: str) -> None:
        stages[stage] = [round(time.perf_counter() - start, 1), round(_peak_gigabytes(), 2)]

    note("imports")
    mdata = mmvae.pp.read_backed({name: folder / f"{name}.zarr" for name in FEATURES})
    note("open")
    mmvae.MultiVAE.setup_mudata(mdata)
    note("setup")
    data = mmvae.MosaicDataModule(mdata)
    model = mmvae.MultiVAE(registry=data.registry)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.train(epochs, datamodule=data, accelerator="cpu", enable_progress_bar=False)
    note("training")
    stages["elbo_validation"] = round(float(model.history_["elbo_validation"].iloc[-1, 0]), 2)
    latent = model.get_latent_representation(dataloader=data.inference_dataloader())
    note("latent")
    return stages | {"cells": len(latent), "versions": {"mmvae": mmvae.__version__}}


def write(folder: Path, n_cells: int, *, grouped: bool = False) -> None:
    """Simulate cells in parts, each of which is written before the next is made."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    loadings = {name: 0.4 * rng.normal(size=(N_TYPES + N_FACTORS, n)) for name, n in FEATURES.items()}
    groups = {name: zarr.open_group(folder / f"{name}.zarr", mode="w") for name in FEATURES}
    names: dict[str, list[np.ndarray]] = {name: [] for name in FEATURES}
    for cells in np.array_split(np.arange(n_cells), -(-n_cells // PART)):
        types = cells * N_TYPES // n_cells if grouped else rng.integers(N_TYPES, size=len(cells))
        lost = rng.choice([*FEATURES, ""], p=[LACKING / 2, LACKING / 2, 1 - LACKING], size=len(cells))
        factors = np.hstack([2 * np.eye(N_TYPES)[types], rng.normal(size=(len(cells), N_FACTORS))])
        for name, group in groups.items():
            has = lost != name
            _append(group, sp.csr_matrix(_counts(rng, factors[has] @ loadings[name], DEPTH[name])))
            names[name].append(cells[has])
    for name, group in groups.items():
        _finish(group, name, np.concatenate(names[name]))


def _counts(rng: np.random.Generator, scores: np.ndarray, depth: float) -> np.ndarray:
    rates = np.exp(scores.astype(np.float32))
    size = depth * np.exp(rng.normal(0, 0.3, (len(scores), 1)))
    return rng.poisson(size * rates / rates.sum(axis=1, keepdims=True)).astype(np.float32)


def _append(group: Any, values: sp.csr_matrix) -> None:
    if "X" in group:
        sparse_dataset(group["X"]).append(values)
    else:
        write_elem(group, "X", values)


def _finish(group: Any, name: str, cells: np.ndarray) -> None:
    """What makes an AnnData of a matrix."""
    write_elem(group, "obs", pd.DataFrame(index=[f"cell_{cell}" for cell in cells]))
    write_elem(group, "var", pd.DataFrame(index=[f"{name}_{feature}" for feature in range(FEATURES[name])]))
    group.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})


def _peak_gigabytes() -> float:
    """The largest resident memory of this process so far, where the kernel says (Linux).

    Not by ``getrusage``, which counts what the process was before it became this program.
    """
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024 / 1e9


if __name__ == "__main__":
    main()
