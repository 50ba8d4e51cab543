"""Methods of scvi-tools that are taken as they are: the same call gives the same result, and arguments are checked."""

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any

from scvi.model.base import VAEMixin

from mmvae._checks import COUNT, POSITIVE, check_numbers, near
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


class InheritedMethods(VAEMixin, DataAccess):
    """Bounds, and where samples have more cells."""

    get_elbo = _repeatable(VAEMixin.get_elbo)
    get_reconstruction_error = _repeatable(VAEMixin.get_reconstruction_error)
    get_marginal_ll = _repeatable(VAEMixin.get_marginal_ll)
    get_aggregated_posterior = _repeatable(VAEMixin.get_aggregated_posterior)
    differential_abundance = _repeatable(VAEMixin.differential_abundance)
