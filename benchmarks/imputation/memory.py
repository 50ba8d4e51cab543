"""What it takes to write predictions of all cells to Zarr: seconds, and the most memory held meanwhile (Linux).

``python -m benchmarks.imputation.memory --data FOLDER --set snareseq --interval 0.9`` trains for one epoch, since memory does not
hang on how well, and prints one line of JSON. Without ``--interval`` expected values alone are written.
"""

from __future__ import annotations

import json
import time
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.commands import parser
from benchmarks.data import DATA_SETS, data_folder
from benchmarks.training import train

from ._task import TARGETS

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def main() -> None:
    """Train, write, and print."""
    import mmvae

    made = parser("imputation.memory", __doc__, None)
    made.add_argument("--set", choices=TARGETS, default="snareseq")
    made.add_argument("--interval", type=float)
    made.add_argument("--samples", type=int, help="of the posterior")
    given = made.parse_args()
    data_set = DATA_SETS[given.set]
    mdata = data_set.read(given.data or data_folder())
    mmvae.MultiVAE.setup_mudata(mdata, batch_key=data_set.batch)
    model = mmvae.MultiVAE(mdata)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of one epoch a model learns next to nothing, and says so
        train(model, None, max_epochs=1)
        before = _megabytes("VmRSS")
        RESET.write_text("5")
        start = time.perf_counter()
        with TemporaryDirectory() as folder:
            out, cells = Path(folder) / "imputed.zarr", np.arange(mdata.n_obs)
            chosen = {"interval": given.interval, "n_samples": given.samples, "out": out}
            model.impute(TARGETS[given.set], indices=cells, **chosen)
            stored = sum(file.stat().st_size for file in out.rglob("*") if file.is_file()) / 1e6
    shape = [mdata.n_obs, mdata[TARGETS[given.set]].n_vars]
    taken = {"peak_mb": _megabytes("VmHWM"), "before_mb": before, "stored_mb": round(stored)}
    print(
        json.dumps(
            {"set": given.set, "shape": shape, "interval": given.interval, "samples": given.samples}
            | taken
            | {"seconds": round(time.perf_counter() - start)}
        )
    )


def _megabytes(name: str) -> int:
    """What the kernel says of this process's memory."""
    status = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return round(int(status[name].split()[0]) * 1024 / 1e6)


if __name__ == "__main__":
    main()
