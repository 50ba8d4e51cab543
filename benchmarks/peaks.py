"""Do sampled peaks pay? Scores, exact bound and time of a training on many peaks, beside those with all of them.

``python -m benchmarks.peaks`` trains on simulated cells with the Poisson likelihood of all peaks and of ``--sampled`` ones,
and updates ``docs/_static/peaks.csv`` after each run; ``--page`` writes the docs' table. Runs that the table has are skipped.

In cells of eight types genes tell four pairs of types apart, and peaks alone the two of a pair. Counts of a cell do not grow
with the number of peaks.
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
from .machine import machine
from .paths import STATIC
from .scores.embedding import bio_conservation
from .training import limit_threads, train

if TYPE_CHECKING:
    import argparse

    from mudata import MuData

N_CELLS, N_TYPES, N_GENES = 3_000, 8, 2_000
DEPTH = {"rna": 1_100, "atac": 3_000}
BASE_SPREAD, DEPTH_SPREAD = 1.5, 0.4
# Standard deviation of log rates between pairs of types, and of those of peaks within a pair.
BETWEEN, WITHIN = 0.5, 0.1
TYPE = "cell_type"
RUN = ["n_cells", "n_peaks", "within", "n_sampled", "seed"]
# Scores are of all cells, the bound is of the validation cells, with all peaks.
COLUMNS = [*RUN, "bio", "bio_peaks", "bound", "seconds", "n_epochs", "processor", "threads", "versions"]
HEADINGS = ("cells", "peaks", "within pairs", "sampled", "seeds", "cell types", "from peaks alone", "ELBO")
HEADINGS += ("epochs", "seconds an epoch", "seconds")
DIGITS = {"bio": 3, "bio_peaks": 3, "bound": 1, "n_epochs": 0, "an_epoch": 2, "seconds": 0}
PACKAGES = ("mmvae", "scvi-tools", "torch")


def main() -> None:
    """Run what was asked for, then write the page."""
    arguments = _arguments()
    for n_peaks, seed, n_sampled in product(arguments.peaks, arguments.seeds, arguments.sampled):
        run = (arguments.cells, n_peaks, arguments.within, n_sampled, seed)
        if run not in table.runs(table.read(arguments.out, COLUMNS), RUN):
            mdata = simulated(n_peaks, arguments.cells, arguments.within)
            found = measured(mdata, n_sampled, seed, arguments.epochs)
            rows = pd.DataFrame([dict(zip(RUN, run, strict=True)) | found])
            table.update(arguments.out, rows, [], RUN, COLUMNS)
            print(rows.to_string(index=False, header=False), flush=True)
    if arguments.page:
        arguments.page.write_text(page(table.read(arguments.out, COLUMNS)))


def page(found: pd.DataFrame) -> str:
    """A line for each simulation and number of sampled peaks; mean and standard deviation over seeds."""
    lines = [list(HEADINGS)]
    found = found.assign(an_epoch=found["seconds"] / found["n_epochs"])
    for (n_cells, n_peaks, within, n_sampled), own in found.groupby(RUN[:-1], sort=False):
        size = [f"{n_cells:,}", f"{n_peaks:,}", f"{within:g}", f"{n_sampled:,}" if n_sampled else "all"]
        values = [markdown.spread(own[name].to_numpy(), digits) for name, digits in DIGITS.items()]
        lines.append([*size, str(len(own)), *values])
    return markdown.table(lines) + "\n"


def measured(mdata: MuData, n_sampled: int, seed: int, epochs: int | None) -> dict[str, object]:
    """Scores and time of a training with ``n_sampled`` peaks, 0 for all."""
    from mmvae import MultiVAE

    limit_threads()
    likelihood = {"name": "poisson", "n_sampled": n_sampled or None}
    MultiVAE.setup_mudata(mdata, likelihoods={"atac": likelihood})
    model, started = MultiVAE(mdata, seed=seed), time.perf_counter()
    train(model, None, max_epochs=epochs)
    seconds = time.perf_counter() - started
    labels = mdata.obs[TYPE].to_numpy(dtype=str)
    scores = {
        name: bio_conservation(model.get_latent_representation(modality=readout), labels)["bio"]
        for name, readout in {"bio": "fused", "bio_peaks": "atac"}.items()
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


def _arguments() -> argparse.Namespace:
    made = parser("peaks", __doc__, STATIC / "peaks.csv")
    add = made.add_argument
    add("--peaks", type=listed(int), default=[50_000], help="numbers of peaks")
    add("--cells", type=int, default=N_CELLS, help="number of cells")
    add("--within", type=float, default=WITHIN, help="how far log rates of peaks differ within a pair of types")
    add("--sampled", type=listed(int), default=[0, 2_000], help="numbers of sampled peaks, 0 for all")
    add("--seeds", type=listed(int), default=[0])
    add("--epochs", type=int, help="of a training, at the most; by default mmvae's own number")
    add("--page", type=Path, help="Markdown file to write")
    return made.parse_args()


if __name__ == "__main__":
    main()
