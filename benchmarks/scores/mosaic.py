"""Scores of mosaics: do cells with different missing modalities agree?

C cells.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
from sklearn.metrics import accuracy_score, f1_score
from sklearn.neighbors import KNeighborsClassifier

from .embedding import N_NEIGHBORS, frequent


def transfer(embedding: np.ndarray, labels: np.ndarray, patterns: np.ndarray, complete: str) -> dict[str, float]:
    """Macro-F1 and accuracy of labels that the 15 nearest complete cells give to the incomplete ones.

    Where no cell is complete, cells of each pattern are predicted from those of each other, and the scores averaged.
    Labels of fewer than 10 cells, and cells whose label no training cell has, are left out.

    Parameters
    ----------
    embedding
        One row per cell, ``(C, n_dimensions)``.
    labels, patterns
        Label and missing pattern of each cell.
    complete
        The pattern of complete cells.
    """
    kept = frequent(labels)
    embedding, labels, patterns = embedding[kept], labels[kept].astype(str), patterns[kept]
    if (patterns == complete).any():
        splits = [(patterns == complete, patterns != complete)]
    else:
        splits = [(patterns == one, patterns == other) for one, other in permutations(np.unique(patterns), 2)]
    scores = [_transferred(embedding, labels, train, test) for train, test in splits]
    f1, accuracy = np.mean(scores, axis=0)
    return {"transfer_f1": float(f1), "transfer_accuracy": float(accuracy)}


def foscttm(first: np.ndarray, second: np.ndarray) -> float:
    """Fraction of samples closer than the true match, for two embeddings of the same cells; 0 is best, 0.5 chance.

    Parameters
    ----------
    first, second
        Embeddings of the same cells, in the same order, from one modality each.
    """
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)[None] - 2 * first @ second.T
    own = np.diag(squares)
    closer = [(squares < own[:, None]).sum(axis=1), (squares < own[None]).sum(axis=0)]
    return float(np.mean(closer) / (len(first) - 1))


def _transferred(embedding: np.ndarray, labels: np.ndarray, train: np.ndarray, test: np.ndarray) -> tuple[float, float]:
    test = test & np.isin(labels, labels[train])
    classifier = KNeighborsClassifier(min(N_NEIGHBORS, int(train.sum()))).fit(embedding[train], labels[train])
    guess, truth = classifier.predict(embedding[test]), labels[test]
    return f1_score(truth, guess, average="macro", labels=np.unique(truth)), accuracy_score(truth, guess)
