"""From how many peaks on do sampled ones pay? Scores, exact bound and time of a training, beside those with all peaks.

``python -m benchmarks.peaks --data FOLDER`` trains on real data, and on simulated cells with many peaks, with the Poisson
likelihood of all peaks and of ``--sampled`` ones, and updates ``docs/_static/peaks.csv`` after each run; ``--page`` writes the
docs' table. Runs that the table has are skipped.

In simulated cells of eight types genes tell four pairs of types apart, and peaks alone the two of a pair. Counts of a cell do
not grow with the number of peaks.
"""

from __future__ import annotations

import time
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from . import inputs, markdown, table
from .commands import listed, parser
from .data import DATA_SETS, data_folder
from .machine import machine
from .paths import STATIC
from .scores.embedding import bio_conservation
from .training import limit_threads, train

if TYPE_CHECKING:
    import argparse

    from mudata import MuData

REAL = ("multiome500", "snareseq")
N_CELLS, N_TYPES, N_GENES = 3_000, 8, 2_000
DEPTH = {"rna": 1_100, "atac": 3_000}
BASE_SPREAD, DEPTH_SPREAD = 1.5, 0.4
# Standard deviation of log rates between pairs of types, and of those of peaks within a pair.
BETWEEN, WITHIN = 0.5, 0.1
TYPE, SIMULATED = "cell_type", "simulated"
RUN = ["data", "n_cells", "n_peaks", "within", "n_sampled", "seed"]
# Of all cells; of the validation cells, with all peaks.
SCORES = {"bio": "cell types", "bio_peaks": "from peaks alone", "bound": "ELBO"}
COLUMNS = [*RUN, *SCORES, "seconds", "n_epochs", "processor", "threads", "versions"]
PACKAGES = ("mmvae", "scvi-tools", "torch")


def main() -> None:
    """Run what was asked for, then write the page."""
    arguments = _arguments()
    for data, seed, n_sampled in product(
        [*filter(None, arguments.sets), *arguments.peaks], arguments.seeds, arguments.sampled
    ):
        mdata, labels = _cells(data, arguments)
        run = (*_named(data, arguments.within, mdata["atac"].shape), n_sampled, seed)
        if run not in table.runs(table.read(arguments.out, COLUMNS), RUN):
            found = measured(mdata, labels, n_sampled, seed, arguments.epochs)
            rows = pd.DataFrame([dict(zip(RUN, run, strict=True)) | found])
            table.update(arguments.out, rows, [*REAL, SIMULATED], RUN, COLUMNS)
            print(rows.to_string(index=False, header=False), flush=True)
    if arguments.page:
        arguments.page.write_text(page(table.read(arguments.out, COLUMNS)))


def page(found: pd.DataFrame) -> str:
    """A line for each set and number of sampled peaks; mean and standard deviation over seeds."""
    lines = [
        [
            "data",
            "cells",
            "peaks",
            "within pairs",
            "sampled",
            "seeds",
            *SCORES.values(),
            "epochs",
            "seconds an epoch",
            "seconds",
        ]
    ]
    found = found.assign(an_epoch=found["seconds"] / found["n_epochs"])
    for (data, n_cells, n_peaks, within, n_sampled), own in found.groupby(RUN[:-1], sort=False):
        size = [
            f"{n_cells:,}",
            f"{n_peaks:,}",
            f"{within:g}" if within else markdown.ABSENT,
            f"{n_sampled:,}" if n_sampled else "all",
        ]
        digits = {"bio": 3, "bio_peaks": 3, "bound": 1, "n_epochs": 0, "an_epoch": 2, "seconds": 0}
        values = [markdown.spread(own[name].to_numpy(), n) for name, n in digits.items()]
        lines.append([data, *size, str(len(own)), *values])
    return markdown.table(lines) + "\n"


def measured(mdata: MuData, labels: np.ndarray, n_sampled: int, seed: int, epochs: int | None) -> dict[str, object]:
    """Scores and time of a training with ``n_sampled`` peaks, 0 for all."""
    from mmvae import MultiVAE

    limit_threads()
    likelihood = {"name": "poisson", "n_sampled": n_sampled or None}
    MultiVAE.setup_mudata(mdata, likelihoods={"atac": likelihood})
    model, started = MultiVAE(mdata, seed=seed), time.perf_counter()
    train(model, None, max_epochs=epochs)
    seconds = time.perf_counter() - started
    kept = labels != ""
    readouts = {"bio": "fused", "bio_peaks": "atac"}
    scores = {
        name: bio_conservation(model.get_latent_representation(representation=own)[kept], labels[kept])["bio"]
        for name, own in readouts.items()
    }
    bounds = model.history_["elbo_validation"]
    facts = {"seconds": seconds, "n_epochs": len(bounds)}
    return scores | {"bound": -float(bounds.min().iloc[0])} | facts | machine(PACKAGES)


def simulated(n_peaks: int, n_cells: int, within: float = WITHIN, seed: int = 0) -> MuData:
    """Cells of :data:`N_TYPES` types, two to a pair, each with multinomial counts."""
    rng = np.random.default_rng(seed)
    cell_type = rng.integers(N_TYPES, size=n_cells)
    obs = pd.DataFrame({TYPE: [f"type{number}" for number in cell_type]}, index=[f"cell{n}" for n in range(n_cells)])
    modalities = {}
    for name, (n_features, own) in {"rna": (N_GENES, 0.0), "atac": (n_peaks, within)}.items():
        counts = _counts(rng, _rates(rng, n_features, own), cell_type, DEPTH[name])
        modalities[name] = ad.AnnData(counts, obs=obs.copy())
        modalities[name].var_names = [f"{name}{number}" for number in range(n_features)]
    return inputs.joined(modalities)


def _rates(rng: np.random.Generator, n_features: int, within: float) -> np.ndarray:
    """Shares of the features in each type, ``(N_TYPES, n_features)``."""
    base = rng.normal(0.0, BASE_SPREAD, n_features)
    pairs = rng.normal(0.0, BETWEEN, (N_TYPES // 2, n_features)).repeat(2, axis=0)
    rates = np.exp(base + pairs + rng.normal(0.0, within, (N_TYPES, n_features)))
    return rates / rates.sum(axis=1, keepdims=True)


def _counts(rng: np.random.Generator, rates: np.ndarray, cell_type: np.ndarray, depth: float) -> sp.csr_matrix:
    """Counts of cells whose depth is log-normal, drawn count by count, ``(n_cells, n_features)``."""
    n_cells, n_features = len(cell_type), rates.shape[1]
    depths = rng.poisson(depth * rng.lognormal(-(DEPTH_SPREAD**2) / 2, DEPTH_SPREAD, n_cells))
    owner = np.repeat(np.arange(n_cells), depths)
    features = np.empty(len(owner), dtype=np.int64)
    for number, own_rates in enumerate(rates):
        own = cell_type[owner] == number
        features[own] = rng.choice(n_features, own.sum(), p=own_rates)
    return sp.csr_matrix((np.ones(len(owner), dtype=np.float32), (owner, features)), shape=(n_cells, n_features))


def _named(data: str | int, within: float, shape: tuple[int, int]) -> tuple[object, ...]:
    """The first columns of :data:`RUN`; what is real has no ``within``, for which 0 stands."""
    return (SIMULATED, *shape, within) if isinstance(data, int) else (data, *shape, 0.0)


def _cells(data: str | int, arguments: argparse.Namespace) -> tuple[MuData, np.ndarray]:
    """A real set by its name, or simulated cells with so many peaks; and labels, empty where they are not known."""
    if isinstance(data, int):
        mdata = simulated(data, arguments.cells, arguments.within)
        return mdata, mdata.obs[TYPE].to_numpy(dtype=str)
    data_set = DATA_SETS[data]
    mdata = data_set.read(arguments.data or data_folder())
    labels = mdata.obs[data_set.labels].astype(str).to_numpy()
    return mdata, np.where(np.isin(labels, data_set.unknown), "", labels)


def _arguments() -> argparse.Namespace:
    made = parser("peaks", __doc__, STATIC / "peaks.csv")
    add = made.add_argument
    add("--sets", type=listed(known=("", *REAL)), default=list(REAL), help=f"of {', '.join(REAL)}; empty for none")
    add("--peaks", type=listed(int), default=[10_000, 50_000, 100_000], help="numbers of peaks of simulated cells")
    add("--cells", type=int, default=N_CELLS, help="number of simulated cells")
    add("--within", type=float, default=WITHIN, help="how far log rates of peaks differ within a pair of types")
    add("--sampled", type=listed(int), default=[0, 2_000], help="numbers of sampled peaks, 0 for all")
    add("--seeds", type=listed(int), default=[0])
    add("--epochs", type=int, help="of a training, at the most; by default mmvae's own number")
    add("--page", type=Path, help="Markdown file to write")
    return made.parse_args()


if __name__ == "__main__":
    main()
