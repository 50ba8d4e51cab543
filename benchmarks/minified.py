"""How much smaller minified data are, and whether what is read of them stays: ``python -m benchmarks.minified``.

Models are trained for one epoch, as what is stored has the same size whatever they have learnt.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import numpy as np

from .commands import listed, parser
from .data import DATA_SETS, data_folder
from .markdown import table
from .training import limit_threads


def main() -> None:
    """Print a row for each data set."""
    made = parser("minified", __doc__, None)
    made.add_argument("--sets", type=listed(known=DATA_SETS), default=["teaseq", "cite600", "pbmc10k", "snareseq"])
    limit_threads()
    print(table([["data", "cells", "MB", "minified, MB", "largest difference"], *map(row, made.parse_args().sets)]))


def row(name: str) -> list[str]:
    """Cells, sizes of the compressed files, and the largest difference of a latent's dimension, in its deviations."""
    import mmvae

    mdata = DATA_SETS[name].read(data_folder())
    mmvae.MultiVAE.setup_mudata(mdata)
    model = mmvae.MultiVAE(mdata)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        model.train(1, accelerator="cpu", enable_progress_bar=False)
        sizes, latents = [saved(model, Path(folder) / "whole")], [model.get_latent_representation()]
        model.minify_mudata()
        sizes.append(saved(model, Path(folder) / "minified"))
        again = mmvae.MultiVAE.load(Path(folder) / "minified")
        latents.append(again.get_latent_representation())
    difference = float(np.max(np.abs(latents[1] - latents[0]) / latents[0].std(axis=0)))
    return [name, f"{mdata.n_obs:,}", *(f"{size:.1f}" for size in sizes), f"{difference:.0e}"]


def saved(model: object, folder: Path) -> float:
    """Size in MB of the data as they are saved with a model, compressed."""
    model.save(folder, save_anndata=True, compression="gzip")
    return (folder / "mdata.h5mu").stat().st_size / 1e6


if __name__ == "__main__":
    main()
