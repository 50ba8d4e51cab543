"""Readings of a trained model: what each gives is finite, or it says in words why it cannot be had."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import sparse

if TYPE_CHECKING:
    from mmvae import MultiVAE

READINGS: dict[str, Callable[[MultiVAE, str, np.ndarray], Any]] = {
    "draws of the latent": lambda model, _, cells: model.get_latent_representation(
        None, cells, give_mean=False, mc_samples=2
    ),
    "means and variances": lambda model, _, cells: model.get_latent_representation(None, cells, return_dist=True),
    "values": lambda model, name, cells: model.get_normalized_expression(None, cells, modality=name),
    "values in a batch": lambda model, name, cells: model.get_normalized_expression(None, cells, 0, modality=name),
    "counts": lambda model, name, cells: model.get_normalized_expression(
        None, cells, library_size="latent", n_samples=2, modality=name
    ),
    "predictions": lambda model, name, cells: model.impute(name, None, cells),
    "intervals": lambda model, name, cells: model.impute(name, None, cells, interval=0.8, n_samples=12),
    "ELBO": lambda model, _, cells: float(model.get_elbo(None, cells)),
    "reconstruction error": lambda model, _, cells: dict(model.get_reconstruction_error(None, cells)),
    "marginal likelihood": lambda model, _, cells: model.get_marginal_ll(None, cells, n_mc_samples=4),
    "drawn values": lambda model, name, cells: model.posterior_predictive_sample(None, cells, modality=name),
    "parameters": lambda model, name, cells: model.get_likelihood_parameters(None, cells, modality=name),
    "information": lambda model, _, cells: model.get_modality_information(None, cells),
    "leave one out": lambda model, _, cells: model.leave_one_out(None, cells),
    "deviance": lambda model, _, cells: model.get_deviance_explained(None, cells),
    "outliers": lambda model, _, cells: model.get_outlier_score(None, cells),
    "components": lambda model, name, cells: model.get_responsibilities(None, cells, modality=name),
    "labels": lambda model, _, cells: model.predict(None, cells, soft=True),
    "prior": lambda model, name, _: model.sample(3, modality=name),
    "loadings": lambda model, name, _: model.get_loadings(name),
    "check of priors": lambda model, name, _: model.check_prior(modality=name),
    "weights": lambda model, *_: model.get_modality_weights()["weight"],
    "shared": lambda model, *_: model.get_shared_spectrum(),
}
# What tells by NaN that it cannot be had.
MAY_LACK = {
    "components",
    "information",
    "deviance",
    "leave one out",
    "check of priors",
    "reconstruction error",
    "intervals",
}


def numbers_of(found: Any) -> list[np.ndarray]:
    """All numbers of what a reading gives."""
    if isinstance(found, pd.DataFrame):
        return [found.select_dtypes("number").to_numpy(dtype=float)]
    if isinstance(found, Mapping):
        return [part for own in found.values() for part in numbers_of(own)]
    if isinstance(found, tuple):
        return [part for own in found for part in numbers_of(own)]
    return [np.asarray(found.todense() if isinstance(found, sparse.SparseArray) else found, dtype=float)]
