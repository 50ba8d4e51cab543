"""The tables and the figure of the comparison with peers, from its table of scores.

``python -m benchmarks.peers.page`` reads ``docs/_static/peers.csv`` and writes ``docs/_evidence/peers.md``, a piece of a
page, and ``docs/_static/peers.png``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from benchmarks import table as scores
from benchmarks.paths import EVIDENCE, STATIC

from ._figure import draw
from ._pairs import pairs
from ._tables import (
    HIGHER,
    LOWER,
    METHODS,
    OWN,
    TASKS,
    TITLES,
    Measure,
    capped,
    columns_of,
    grid,
    of_metric,
    of_runs,
    without_silhouette,
    written,
)
from ._text import COMPARED, PAGE

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np

# Metrics on which methods are counted against each other, and which of two values is the better one. `bio3` and not
# `bio`: the silhouette of WNN is that of another kind of embedding.
JUDGED = {"bio3": HIGHER, "transfer_f1": HIGHER, "pattern_mixing": None, "foscttm": LOWER}
NAMES = {
    "bio3": "cell types (without silhouette)",
    "transfer_f1": "labels of incomplete cells",
    "pattern_mixing": "mixing of missing patterns",
    "foscttm": "FOSCTTM",
}


def main() -> None:
    """Write the piece of the page and the figure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.page", description=__doc__)
    parser.add_argument("--table", type=Path, default=STATIC / "peers.csv", help="table of scores")
    parser.add_argument("--piece", type=Path, default=EVIDENCE / "peers.md", help="piece of a page to write")
    parser.add_argument("--figure", type=Path, default=STATIC / "peers.png", help="figure to write")
    arguments = parser.parse_args()
    table = scores.read(arguments.table)
    arguments.piece.parent.mkdir(parents=True, exist_ok=True)
    arguments.piece.write_text(text(table))
    draw(table, arguments.figure)


def text(table: pd.DataFrame) -> str:
    """The piece of the page."""
    found = table.dropna(subset=["value"])
    complete, mosaics = found[found["task"] == "complete"], _mosaics(found)
    return PAGE.format(
        compared="\n".join(COMPARED[method] for method in METHODS if method in set(found["method"])),
        losses=_losses(found),
        bio=grid(of_metric(complete, "bio"), Measure("bio", best=HIGHER, apart="wnn"), mean=True),
        bio3=grid(
            without_silhouette(complete).rename(columns={"value": "bio3"}), Measure("bio3", best=HIGHER), mean=True
        ),
        bio_fine=_grid(_with_peers(complete, "bio_fine"), "bio_fine", HIGHER),
        bio_pairs=pairs(complete[(complete["metric"] == "bio") & (complete["method"] != "wnn")]),
        bio3_pairs=pairs(without_silhouette(complete)),
        parts=_parts(complete),
        batch_mixing_fine=_grid(complete, "batch_mixing_fine", None),
        batch_mixing=grid(of_metric(complete, "batch_mixing"), Measure("batch_mixing")),
        ilisi=grid(of_metric(complete, "ilisi"), Measure("ilisi")),
        seconds=grid(of_runs(complete), Measure("seconds", digits=0)),
        memory=grid(of_runs(complete), Measure("peak_memory_mb", digits=0)),
        notes=_notes(table),
        versions="; ".join(_versions(found)),
        **{name: _grid(mosaics, name.removeprefix("mosaic_"), best) for name, best in _MOSAIC_GRIDS.items()},
    )


_MOSAIC_GRIDS = {
    "mosaic_bio": HIGHER,
    "mosaic_batch_mixing": None,
    "pattern_mixing": None,
    "transfer_f1": HIGHER,
    "transfer_accuracy": HIGHER,
    "foscttm": LOWER,
}


def _mosaics(found: pd.DataFrame) -> pd.DataFrame:
    """Runs on cells of which some lack a modality, whether made so or not."""
    runs = ["data", "task"]
    there = pd.MultiIndex.from_frame(found.loc[found["metric"] == "pattern_mixing", runs].drop_duplicates())
    return found[pd.MultiIndex.from_frame(found[runs]).isin(there)]


def _grid(table: pd.DataFrame, metric: str, best: object) -> str:
    own = of_metric(table, metric)
    return grid(own, Measure(metric, best=best)) if len(own) else "No runs yet."


def _with_peers(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Rows of the data sets on which a peer has the metric."""
    theirs = table[(table["metric"] == metric) & (table["method"] != OWN)]
    return table[table["data"].isin(theirs["data"])]


def _losses(found: pd.DataFrame) -> str:
    """How often the first readout of mmvae is the best, and each case where a peer is better by more than the spread."""
    lines, n_best, n_cells = [["metric", "data", "task", "mmvae", "better"]], 0, 0
    own_key = next((key for key in columns_of(found) if key[0] == OWN), None)
    if own_key is None:
        return "No runs of mmvae yet."
    judged = pd.concat([found, without_silhouette(found)])
    for metric, best in JUDGED.items():
        for (data, task), group in _groups(of_metric(judged, metric)):
            cells = dict(list(group.groupby(["method", "readout"], sort=False)))
            peers = {key: rows for key, rows in cells.items() if key[0] != OWN}
            if own_key not in cells or not peers:
                continue
            own = cells[own_key][metric].to_numpy()
            gains = {key: _gain(own, rows[metric].to_numpy(), best) for key, rows in peers.items()}
            clear = [_words(k, r, metric) for k, r in peers.items() if gains[k] > _spread(own, r[metric].to_numpy())]
            n_cells, n_best = n_cells + 1, n_best + (max(gains.values()) <= 0)
            if clear:
                lines.append(
                    [NAMES[metric], TITLES[data].split(",")[0], TASKS[task], f"{own.mean():.3f}", ", ".join(clear)]
                )
    counted = f"mmvae has the best mean in {n_best} of {n_cells} comparisons of {', '.join(NAMES.values())}."
    if len(lines) == 1:
        return counted
    return f"{counted} A peer is better by more than the two standard deviations together here:\n\n{written(lines)}"


def _groups(found: pd.DataFrame) -> Iterable[tuple[tuple[str, str], pd.DataFrame]]:
    for data in TITLES:
        for task in TASKS:
            group = found[(found["data"] == data) & (found["task"] == task)]
            if len(group):
                yield (data, task), group


def _gain(own: np.ndarray, other: np.ndarray, best: object) -> float:
    """By how much the other mean is better; a mixing is better the nearer it is to 1."""
    if best is None:
        return abs(own.mean() - 1) - abs(other.mean() - 1)
    return other.mean() - own.mean() if best is HIGHER else own.mean() - other.mean()


def _spread(*samples: np.ndarray) -> float:
    return float(sum(v.std(ddof=1) if len(v) > 1 else 0 for v in samples))


def _words(key: tuple[str, str], rows: pd.DataFrame, metric: str) -> str:
    return f"{METHODS[key[0]]} {rows[metric].mean():.3f}{capped(rows)}"


def _parts(complete: pd.DataFrame) -> str:
    """Means of the single scores, a row for each data set, method and readout."""
    names = {"nmi": "NMI", "ari": "ARI", "silhouette": "silhouette", "knn_f1": "kNN F1"}
    lines = [["data", "method", *names.values()]]
    for data in TITLES:
        own = complete[complete["data"] == data]
        for key, heading in columns_of(own).items():
            chosen = own[(own["method"] == key[0]) & (own["readout"] == key[1])]
            means = chosen.groupby("metric")["value"].mean()
            lines.append([TITLES[data].split(",")[0], heading, *[f"{means[name]:.3f}" for name in names]])
    return written(lines)


def _notes(table: pd.DataFrame) -> str:
    """What was noted about runs, with the tasks and seeds it is about."""
    noted = table.dropna(subset=["note"]).drop_duplicates(scores.RUN)
    lines = []
    for (method, note), group in noted.groupby(["method", "note"], sort=False):
        where = [f"{data} ({', '.join(dict.fromkeys(own['task']))})" for data, own in group.groupby("data", sort=False)]
        lines.append(f"- {METHODS[method]}, {', '.join(where)}: {note}")
    return "\n".join(lines)


def _versions(found: pd.DataFrame) -> list[str]:
    return sorted({part for row in found["versions"].dropna().unique() for part in row.split(", ")})


if __name__ == "__main__":
    main()
