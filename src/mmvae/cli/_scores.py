"""Tables of how well a demo's embeddings and predictions agree with the truth: C cells, D dimensions, F features."""

import numpy as np
import pandas as pd
from mudata import MuData
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from mmvae._keys import FUSED, SHARED, embedding_key
from mmvae.model import MultiVAE

FOLDS = KFold(5, shuffle=True, random_state=0)
NEIGHBOURS = 15
PENALTIES = np.logspace(-2, 3, 6)
ALONE = "rna"
BEST = {
    "shared factors, R²": "1",
    f"... of cells with {ALONE} alone": "1",
    "clusters, kNN accuracy": "1",
    "mixing of batches": "1: as if shuffled",
    "mixing of missing patterns": "1: as if shuffled",
}


def print_scores(model: MultiVAE, mdata: MuData) -> None:
    """Score embeddings and predictions against the truth, and print two tables."""
    console = Console()
    console.print(_embedding_table(mdata))
    console.print(_prediction_table(model, mdata))


def _embedding_table(mdata: MuData) -> Table:
    table = Table(title="Embeddings against the truth")
    table.add_column("score")
    keys = [embedding_key(FUSED), embedding_key(SHARED)]
    for key in keys:
        table.add_column(key, justify="right")
    table.add_column("best")
    columns = [_embedding_scores(mdata, key) for key in keys]
    for (name, best), *scores in zip(BEST.items(), *columns, strict=True):
        table.add_row(name, *(f"{score:.2f}" for score in scores), best)
    return table


def _embedding_scores(mdata: MuData, key: str) -> list[float]:
    embedding, truth, obs = mdata.obsm[key], mdata.obsm["shared"], mdata.obs
    alone = (obs["pattern"] == ALONE).to_numpy()
    return [
        _recovered(embedding, truth),
        _recovered(embedding[alone], truth[alone]),
        _accuracy(embedding, obs["cluster"]),
        _mixing(embedding, obs["batch"], obs["cluster"]),
        _mixing(embedding, obs["pattern"], obs["cluster"]),
    ]


def _prediction_table(model: MultiVAE, mdata: MuData) -> Table:
    table = Table(title="Predictions for cells that lack a modality", caption="0: no better than the mean profile")
    table.add_column("modality")
    table.add_column("cells", justify="right")
    table.add_column("correlation with the true rates", justify="right")
    # The true rates are without batch effect: all cells are decoded as if from one batch.
    batch = mdata.obs["batch"].cat.categories[0]
    for name in model.modalities:
        lacking = ~mdata.obs_names.isin(mdata.mod[name].obs_names)
        predicted = np.asarray(model.impute(name, transform_batch=batch))
        score = _correlation(predicted, mdata.obsm[f"rate_{name}"][lacking])
        table.add_row(name, f"{lacking.sum():,}", f"{score:.2f}")
    return table


def _recovered(embedding: np.ndarray, factors: np.ndarray) -> float:
    """Share of the variance of the true factors that a ridge regression on held-out cells explains."""
    return r2_score(factors, cross_val_predict(RidgeCV(PENALTIES), embedding, factors, cv=FOLDS))


def _accuracy(embedding: np.ndarray, labels: pd.Series) -> float:
    """Share of held-out cells whose label their neighbours name."""
    names = labels.astype(str).to_numpy()
    guess = cross_val_predict(KNeighborsClassifier(NEIGHBOURS), embedding, names, cv=FOLDS)
    return float((guess == names).mean())


def _mixing(embedding: np.ndarray, groups: pd.Series, within: pd.Series) -> float:
    """Neighbours of another group, within a label, over the number expected if groups were shuffled in it."""
    ratios: list[float] = []
    for label in within.unique():
        inside = (within == label).to_numpy()
        own = groups[inside].astype(str).to_numpy()
        names, codes, counts = np.unique(own, return_inverse=True, return_counts=True)
        if len(names) < 2 or len(own) <= NEIGHBOURS:
            continue
        near = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(embedding[inside]).kneighbors(return_distance=False)
        other = (codes[near] != codes[:, None]).mean(axis=1)
        ratios.extend(other / (1 - (counts[codes] - 1) / (len(own) - 1)))
    return float(np.mean(ratios)) if ratios else float("nan")


def _correlation(predicted: np.ndarray, rates: np.ndarray) -> float:
    """Pearson correlation over cells with the true rates of each feature, median over features.

    Cells are brought to shares first: the true rates of a cell sum to 1.
    """
    shares = predicted / predicted.sum(axis=1, keepdims=True)
    left, right = (values - values.mean(axis=0) for values in (shares, rates))
    norms = np.linalg.norm(left, axis=0) * np.linalg.norm(right, axis=0)
    return float(np.median((left * right).sum(axis=0) / np.maximum(norms, np.finfo(float).tiny)))
