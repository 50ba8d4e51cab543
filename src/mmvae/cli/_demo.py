"""`mmvae demo`."""

from argparse import Namespace
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scanpy as sc
import torch
from anndata import AnnData
from mudata import MuData
from sklearn.linear_model import RidgeCV
from sklearn.metrics import balanced_accuracy_score, r2_score
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from mmvae import pl
from mmvae._keys import FUSED, SHARED, embedding_key
from mmvae.datasets import simulate
from mmvae.model import MultiVAE
from mmvae.tl import embed

from ._files import folder_for, output, write, write_all
from ._fit import add_umap

FILES = ("demo.h5mu", "umap.png", "history.png")
MISSING = {"rna+atac+protein": 0.4, "rna+protein": 0.2, "rna+atac": 0.15, "rna": 0.15, "atac": 0.1}
ALONE = "rna"
FOLDS = KFold(5, shuffle=True, random_state=0)
RIDGE = RidgeCV(np.logspace(-2, 3, 6))
NEIGHBOURS = KNeighborsClassifier(15)
COLOURED = {"cluster": "true cluster", "batch": "batch", "pattern": "what was measured"}


def run(args: Namespace) -> None:
    """Simulate a mosaic, train on it, score the result and draw it."""
    with ExitStack() as stack:
        stack.enter_context(folder_for(args.out))
        outputs = [stack.enter_context(output(args.out / name, overwrite=True)) for name in FILES]
        model, mdata, umaps = _train(args)
        writers = (partial(write, mdata), partial(_draw, mdata, umaps), partial(_draw_history, model))
        write_all(dict(zip(outputs, writers, strict=True)))


def _train(args: Namespace) -> tuple[MultiVAE, MuData, dict[str, str]]:
    """Model and data, embedded, and where the UMAPs of readouts are; scores are printed."""
    mpl.use("Agg")
    # Layers this small gain nothing from a second thread, and lose much where other programs use the processor.
    torch.set_num_threads(1)
    print(f"Simulating {args.cells:,} cells of a tumour: rna, atac and protein in three batches, some missing.")
    mdata = simulate(args.cells, missing=MISSING, keep_rates=True, seed=args.seed)
    MultiVAE.setup_mudata(mdata, batch_key="batch")
    model = MultiVAE(mdata, seed=args.seed)
    model.train(args.epochs, batch_size=128)
    embed(model, mdata)
    print("Scoring, and drawing UMAPs ...")
    _print("Embeddings against the truth", _embedding_scores(mdata))
    _print("Predictions for cells that lack a modality", _prediction_scores(model, mdata))
    umaps = {readout: add_umap(mdata, readout) for readout in (FUSED, SHARED)}
    for name in model.modalities:
        # As large as all the counts together, and of no use once predictions are scored.
        del mdata.obsm[f"rate_{name}"]
    return model, mdata, umaps


def _print(title: str, scores: pd.DataFrame) -> None:
    print(f"{title}\n{scores.round(2).to_string()}\n")


def _embedding_scores(mdata: MuData) -> pd.DataFrame:
    """Of each embedding, how much of the truth it holds, and how well batches and missing patterns are mixed in it."""
    truth, alone = mdata.obsm["shared"], (mdata.obs["pattern"] == ALONE).to_numpy()
    scores = {}
    for key in (embedding_key(FUSED), embedding_key(SHARED)):
        embedding = mdata.obsm[key]
        scores[key] = {
            "shared factors, R²": _recovered(embedding, truth),
            f"... of cells with {ALONE} alone": _recovered(embedding[alone], truth[alone]),
            "clusters, kNN accuracy": _accuracy(embedding, mdata.obs["cluster"]),
            "batches, kNN accuracy": _accuracy(embedding, mdata.obs["batch"]),
            "what was measured, kNN accuracy": _accuracy(embedding, mdata.obs["pattern"]),
        }
    mixed = [f"{1 / mdata.obs[column].nunique():.2f}: as if shuffled" for column in ("batch", "pattern")]
    return pd.DataFrame(scores).assign(best=["1", "1", "1", *mixed])


def _recovered(embedding: np.ndarray, factors: np.ndarray) -> float:
    """Share of the variance of the true factors that a ridge regression on held-out cells explains."""
    return r2_score(factors, cross_val_predict(RIDGE, embedding, factors, cv=FOLDS))


def _accuracy(embedding: np.ndarray, labels: pd.Series) -> float:
    """Share of held-out cells whose label their neighbours name, the mean over labels."""
    names = labels.astype(str).to_numpy()
    return balanced_accuracy_score(names, cross_val_predict(NEIGHBOURS, embedding, names, cv=FOLDS))


def _prediction_scores(model: MultiVAE, mdata: MuData) -> pd.DataFrame:
    """Correlation over cells with the true rates of each feature, median over features."""
    scores = {}
    # The true rates are without batch effect: all cells are decoded as if from one batch.
    batch = mdata.obs["batch"].cat.categories[0]
    for name in model.modalities:
        predicted = model.impute(name, transform_batch=batch)
        rates = pd.DataFrame(mdata.obsm[f"rate_{name}"], index=mdata.obs_names, columns=predicted.columns)
        # The true rates of a cell sum to 1.
        shares = predicted.div(predicted.sum(axis=1), axis=0)
        correlation = shares.corrwith(rates.loc[shares.index]).median()
        scores[name] = {"cells": len(shares), "correlation with the true rates (0: the mean profile)": correlation}
    return pd.DataFrame(scores).T.astype({"cells": int})


def _draw(mdata: MuData, umaps: Mapping[str, str], path: Path) -> None:
    """Draw UMAPs of readouts, by their names in ``obsm``, coloured by truth, batch and missing pattern."""
    cells = AnnData(obs=mdata.obs[list(COLOURED)].copy(), obsm={key: mdata.obsm[key] for key in umaps.values()})
    # Cells are drawn in random order, so that no batch lies on top of the others.
    cells = cells[cells.obs.sample(frac=1, random_state=0).index].copy()
    _, grid = plt.subplots(len(umaps), len(COLOURED), figsize=(15, 8), layout="constrained")
    for (readout, key), panels in zip(umaps.items(), grid, strict=True):
        for (column, title), panel in zip(COLOURED.items(), panels, strict=True):
            sc.pl.embedding(cells, key, color=column, ax=panel, show=False, frameon=False, title=f"{readout}: {title}")
    _save_figure(path)


def _draw_history(model: MultiVAE, path: Path) -> None:
    pl.history(model, show=False)
    _save_figure(path)


def _save_figure(path: Path) -> None:
    plt.savefig(path, dpi=110)
    plt.close()
