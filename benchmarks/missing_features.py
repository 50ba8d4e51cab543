"""What a query that lacks features loses where zeros stand for them: ``python -m benchmarks.missing_features``.

Cells of one data set are parted into those of a reference and those of a query that has RNA alone. Some genes of the query
are taken away, and filled in with zeros by ``prepare_query_mudata``, or the model is trained without them.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from mudata import MuData
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from .commands import parser
from .data import DATA_SETS, data_folder, unpulled
from .markdown import table
from .training import limit_threads

if TYPE_CHECKING:
    from mmvae import MultiVAE

NEIGHBOURS, EPOCHS, REFERENCE, QUERY = 15, 60, 2_500, 1_000
SHARES = {"fewest counts": (0.3, 0.5), "random": (0.1, 0.3, 0.5)}
COLUMNS = ["genes missing", "accuracy", "same neighbours", "accuracy of a model of the rest"]


def main() -> None:
    """Print a row for each choice of missing genes."""
    made = parser("missing_features", __doc__, None)
    made.add_argument("--set", choices=DATA_SETS, default="pbmc10k")
    limit_threads()
    chosen = DATA_SETS[made.parse_args().set]
    mdata = chosen.read(data_folder())
    cells = np.random.default_rng(0).permutation(mdata.n_obs)[: REFERENCE + QUERY]
    with unpulled(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = [mdata[np.sort(part)].copy() for part in (cells[:REFERENCE], cells[REFERENCE:])]
        print(table([COLUMNS, *rows(*parts, chosen.labels)]))


def rows(reference: MuData, query: MuData, labels: str) -> list[list[str]]:
    """Choice of genes, accuracy and neighbours with zeros, and accuracy without these genes."""
    model, types = trained(reference), [each.obs[labels].astype(str) for each in (reference, query)]
    known, full = latent(model, reference), latent(model, rna_of(query))
    found = [["none", f"{accuracy(known, full, *types):.3f}", "", ""]]
    for name, share in [(name, share) for name, shares in SHARES.items() for share in shares]:
        keep = kept(reference, name, share)
        some = MuData({**query.mod, "rna": query["rna"][:, keep].copy()})
        padded = type(model).prepare_query_mudata(some, model, inplace=False)
        zeros = latent(model, rna_of(padded))
        part = MuData({**reference.mod, "rna": reference["rna"][:, keep].copy()})
        other = trained(part)
        without = accuracy(latent(other, part), latent(other, rna_of(query, keep)), *types)
        scores = accuracy(known, zeros, *types), same_neighbours(known, zeros, full), without
        found.append([f"{share:.0%}, {name}", *(f"{score:.3f}" for score in scores)])
    return found


def trained(mdata: MuData) -> MultiVAE:
    """A model of these cells."""
    import mmvae

    mmvae.MultiVAE.setup_mudata(mdata)
    model = mmvae.MultiVAE(mdata)
    model.train(EPOCHS, accelerator="cpu", enable_progress_bar=False)
    return model


def kept(reference: MuData, choice: str, share: float) -> np.ndarray:
    """Which genes are left, boolean, ``(n_genes,)``, where a share is missing."""
    totals = np.asarray(reference["rna"].X.sum(axis=0)).ravel()
    order = np.argsort(totals) if choice == "fewest counts" else np.random.default_rng(0).permutation(len(totals))
    keep = np.ones(len(totals), dtype=bool)
    keep[order[: int(share * len(totals))]] = False
    return keep


def rna_of(query: MuData, keep: np.ndarray | slice = slice(None)) -> MuData:
    """The query's RNA alone, of some genes."""
    return MuData({"rna": query["rna"][:, keep].copy()})


def latent(model: MultiVAE, mdata: MuData) -> np.ndarray:
    """RNA's own latent, ``(n_cells, n_latent)``."""
    return model.get_latent_representation(mdata, modality="rna")


def accuracy(known: np.ndarray, found: np.ndarray, known_types: np.ndarray, types: np.ndarray) -> float:
    """Share of the cells whose type is that of most of their neighbours in the reference."""
    return float(KNeighborsClassifier(NEIGHBOURS).fit(known, known_types).score(found, types))


def same_neighbours(known: np.ndarray, found: np.ndarray, full: np.ndarray) -> float:
    """Share of the neighbours in the reference that are those of when all genes are there."""
    search = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(known)
    pairs = zip(*(search.kneighbors(each, return_distance=False) for each in (found, full)), strict=True)
    return float(np.mean([len(set(one) & set(other)) / NEIGHBOURS for one, other in pairs]))


if __name__ == "__main__":
    main()
