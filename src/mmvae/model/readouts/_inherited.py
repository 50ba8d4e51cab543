"""Methods of scvi-tools that are taken as they are: the same call gives the same result, and arguments are checked."""

from collections.abc import Callable
from functools import wraps
from inspect import signature, unwrap
from typing import Any

import torch
from anndata import AnnData
from mudata import MuData
from scvi.model.base import VAEMixin

from mmvae._checks import COUNT, POSITIVE, check_is, check_numbers, near
from mmvae.data import numbers_of
from mmvae.model._data import DataAccess
from mmvae.train import seeded

TAKES = {"n_mc_samples": COUNT, "num_cells_posterior": COUNT, "dof": POSITIVE}
SAMPLES = "sample_key"


def _repeatable(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method with all random generators at 0, which are put back afterwards."""

    @wraps(method)
    def call(self: DataAccess, *args: Any, **kwargs: Any) -> Any:
        given = signature(method).bind(self, *args, **kwargs)
        given.apply_defaults()
        found = given.arguments
        data = self.adata if found.get("adata") is None else found["adata"]
        if data is not None:
            check_is("adata", data, MuData, AnnData)
        faults = []
        if SAMPLES in found and data is not None and found[SAMPLES] not in list(data.obs):
            known = list(data.obs)
            faults.append(f"Expected {SAMPLES} as one of {known}; got {found[SAMPLES]!r}.{near(found[SAMPLES], known)}")
        check_numbers(TAKES, faults, **{name: value for name, value in found.items() if name in TAKES})
        if found.get("indices") is not None and data is not None:
            found["indices"] = numbers_of(data, found["indices"])
        with seeded(0):
            return method(*given.args, **given.kwargs)

    return call


def _ungated(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of scvi-tools' without its decorators, one of which looks at the model's own data alone."""
    return torch.inference_mode()(unwrap(method))


class InheritedMethods(VAEMixin, DataAccess):
    """Bounds, and where samples have more cells."""

    # scvi-tools refuses these where the model's own data are minified, though others may be given; ours, where values are read.
    get_elbo = _repeatable(_ungated(VAEMixin.get_elbo))
    get_marginal_ll = _repeatable(_ungated(VAEMixin.get_marginal_ll))
    get_reconstruction_error = _repeatable(_ungated(VAEMixin.get_reconstruction_error))
    get_aggregated_posterior = _repeatable(VAEMixin.get_aggregated_posterior)
    differential_abundance = _repeatable(VAEMixin.differential_abundance)
