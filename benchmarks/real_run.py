"""One method on one data set, in a process of its own, so that its peak memory is its own.

``python -m benchmarks.real_run FOLDER DATA METHOD SEED RESULT`` appends a line of JSON for each readout to RESULT.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from . import graph, metrics
from .data import DATA_SETS
from .methods import METHODS, NotApplicableError, Outcome, is_mosaic

if TYPE_CHECKING:
    from mudata import MuData

    from .data import DataSet

PACKAGES = ("mmvae", "scvi-tools", "torch", "scanpy", "muon", "mudata", "anndata", "scikit-learn", "scib-metrics")
BYTES_IN_MB = 1e6


def main(folder: str, data: str, method: str, seed: str, result: str) -> None:
    """Run, measure, score, and write the rows."""
    _import_for(method)
    before = peak_memory()
    data_set = DATA_SETS[data]
    mdata = data_set.read(Path(folder))
    facts = {"data": data, "method": method, "seed": int(seed), "n_cells": mdata.n_obs, "data_mb": size_of(mdata)}
    facts |= {"versions": versions(), "threads": os.environ.get("OMP_NUM_THREADS", "")}
    labels, groups = _labels(mdata, data_set), _groups(mdata, data_set)
    start = time.perf_counter()
    try:
        outcome = METHODS[method](mdata, data_set, int(seed))
    except NotApplicableError as reason:
        outcome = Outcome(note=str(reason))
    costs = {"seconds": time.perf_counter() - start, "peak_memory_mb": peak_memory() - before}
    facts |= {"note": outcome.note} | (costs if outcome.readouts else {})
    outcome.check()
    rows = [facts | {"readout": n} | score(r, labels, groups, data_set) for n, r in outcome.readouts.items()]
    with Path(result).open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows or [facts | {"readout": ""}])


def score(
    readout: np.ndarray | graph.Neighbours, labels: np.ndarray, groups: np.ndarray | None, data_set: DataSet
) -> dict[str, float]:
    """Bio-conservation over the cells whose label is known, and mixing where there are groups to mix."""
    known = ~np.isin(labels, data_set.unknown)
    if isinstance(readout, graph.Neighbours):
        scorer, found, part = graph, (readout.indices, readout.distances), readout.among(known)
    else:
        scorer, found, part = metrics, metrics.nearest(readout), readout[known]
    scores = scorer.bio_conservation(part, labels[known])
    if groups is None:
        return scores
    mixing = scorer.batch_mixing(part, labels[known], groups[known])
    return scores | {"batch_mixing": mixing, "ilisi": metrics.ilisi(*found, groups)}


def peak_memory() -> float:
    """Most memory this process has held, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / BYTES_IN_MB


def size_of(mdata: MuData) -> float:
    """Size of the matrices as they are in memory, in MB."""
    return sum(_bytes(adata.X) for adata in mdata.mod.values()) / BYTES_IN_MB


def versions() -> str:
    """Versions of Python and of the packages that the numbers hang on."""
    found = [f"python {sys.version_info.major}.{sys.version_info.minor}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def _import_for(method: str) -> None:
    """Load what the method imports, which is not its memory."""
    if method == "mmvae":
        import mmvae  # noqa: F401
    if method == "wnn":
        import muon  # noqa: F401


def _bytes(matrix: Any) -> int:
    if sp.issparse(matrix):
        return matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes
    return matrix.nbytes


def _labels(mdata: MuData, data_set: DataSet) -> np.ndarray:
    return mdata.obs[data_set.labels].astype(str).to_numpy()


def _groups(mdata: MuData, data_set: DataSet) -> np.ndarray | None:
    """What should mix: the batches; without batches, the missing patterns."""
    if data_set.batch is not None:
        return mdata.obs[data_set.batch].astype(str).to_numpy()
    if not is_mosaic(mdata):
        return None
    present = np.stack([np.asarray(mdata.obsmap[name]).ravel() > 0 for name in mdata.mod], axis=1)
    return np.unique(present, axis=0, return_inverse=True)[1].ravel().astype(str)


if __name__ == "__main__":
    main(*sys.argv[1:])
