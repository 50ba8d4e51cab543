"""Whether arguments of a set-up are of the kinds that they take, before anything is looked up by them."""

from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any

from pandas.api.types import is_scalar

from mmvae._checks import near
from mmvae._errors import SetupError

NAMES = ("labels_key", "size_factor_key", "layer", "modality")
SEVERAL = ("batch_key", "categorical_covariate_keys", "continuous_covariate_keys", "prior_covariate_keys")
# By modality: an example of what a modality may have, and its type.
MAPPINGS: dict[str, tuple[str, Any]] = {
    "layers": ("counts", str | NoneType),
    "likelihoods": ("nb", object),
    "size_factor_keys": ("n_counts", str),
    "modalities": ("gex", str),
}
# What scvi-tools passes on to the registration, with options of its own beside it.
OF_SCVI = "source_registry"


def check_setup_arguments(given: Mapping[str, Any], others: Mapping[str, Any] = {}) -> None:
    """Raise a ``SetupError`` of all that are of the wrong kind, and of ``others``, which set-up does not know."""
    faults = [fault for argument, value in given.items() if value is not None for fault in _faults(argument, value)]
    unknown = [] if others.get(OF_SCVI) else list(others)
    faults += [f"there is no argument '{name}'.{near(name, given)} Arguments are {list(given)}." for name in unknown]
    if faults:
        raise SetupError(faults)


def _faults(argument: str, value: Any) -> list[str]:
    if argument in NAMES and not isinstance(value, str):
        return [f"expected {argument} as one name; got {value!r}."]
    if argument == "unlabeled_category" and not is_scalar(value):
        return [f"expected {argument} as one value of the labels' column; got {value!r}."]
    if argument in SEVERAL and not (isinstance(value, str) or _are_names(value)):
        return [f"expected {argument} as a name or a list of names; got {value!r}."]
    if argument in MAPPINGS:
        example, kind = MAPPINGS[argument]
        if not isinstance(value, Mapping):
            return [f"expected {argument} as a mapping, such as {{'rna': '{example}'}}; got {value!r}."]
        wrong = {name: own for name, own in value.items() if not (isinstance(name, str) and isinstance(own, kind))}
        return (
            [f"expected {argument} as a mapping of names, such as {{'rna': '{example}'}}; got {wrong}."]
            if wrong
            else []
        )
    return []


def _are_names(value: Any) -> bool:
    return isinstance(value, Sequence) and all(isinstance(name, str) for name in value)
