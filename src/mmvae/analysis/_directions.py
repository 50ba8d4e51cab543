"""Directions of a latent. C cells, U latent dimensions, K readouts of the latent."""

import numpy as np
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

N_NEIGHBORS, N_FOLDS = 15, 5


def patterns(latent: np.ndarray, readout: np.ndarray) -> np.ndarray:
    r"""How far the latent, ``(C, U)``, moves with a standard deviation of each readout, ``(C, K)``: ``(K, U)``.

    .. math:: A = \operatorname{diag}(\operatorname{sd} s)\, \Sigma_{ss}^{-1} \Sigma_{su}

    the regression of the latent u on all readouts s: what a linear readout is a sign of, which its own weights do not tell
    :cite:p:`Haufe2014`.
    """
    u, s = latent - latent.mean(axis=0), readout - readout.mean(axis=0)
    return np.linalg.lstsq(s, u, rcond=None)[0] * s.std(axis=0)[:, None]


def told_apart(latent: np.ndarray, groups: np.ndarray) -> float:
    """How well a cell's 15 nearest neighbours tell its group, 0 (not at all) to 1 (always); NaN where that is not known.

    Balanced accuracy in 5-fold cross-validation, of which what guessing would get is taken off. Groups of fewer than 15 cells
    are left out; it is not known with fewer than two groups.
    """
    names, codes, counts = np.unique(groups, return_inverse=True, return_counts=True)
    large = counts >= N_NEIGHBORS
    kept = large[codes]
    if large.sum() < 2:
        return float("nan")
    latent, codes = latent[kept], codes[kept]
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=0)
    # By distance-free votes relative to the groups' sizes, so that a small group is not outvoted.
    votes = cross_val_predict(KNeighborsClassifier(N_NEIGHBORS), latent, codes, cv=folds, method="predict_proba")
    chosen = np.unique(codes)[(votes / counts[np.unique(codes)]).argmax(axis=1)]
    recall = np.mean([(chosen[codes == code] == code).mean() for code in np.unique(codes)])
    chance = 1 / large.sum()
    return float(max(0.0, (recall - chance) / (1 - chance)))
