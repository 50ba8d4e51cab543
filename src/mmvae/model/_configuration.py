"""From what a user chooses, and what the data are, to a module's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from scvi import REGISTRY_KEYS

from mmvae._config import CovariateConfig, ModalityConfig, ModelConfig, NetworkConfig
from mmvae._keys import COUPLED, DEFAULTS, PRIOR_COVARIATES, layer_key
from mmvae.data import SetupArguments, graph_of, modalities_of
from mmvae.fusion import Fusion
from mmvae.nn import Component
from mmvae.priors import Prior

from ._reader import labels_of

if TYPE_CHECKING:
    from ._reader import Data

PRIOR = "mog"
BATCH_ADVERSARY = 10.0


@dataclass(frozen=True)
class Choices:
    """What a user chooses of each modality and latent; ``None`` where the data decide."""

    n_latent: int | Mapping[str, int]
    input_dropout: float | Mapping[str, float]
    modality_weights: Mapping[str, float] | None
    prior: Any
    fusion: Any


def configuration(
    registry: Mapping[str, Any], data: Data | None, choices: Choices, network: NetworkConfig
) -> ModelConfig:
    """Configuration of a module for registered data, or for those of a saved ``registry``.

    Raises
    ------
    ValueError
        If a choice names what the model has not.
    """
    likelihoods = SetupArguments.of(registry["setup_args"]).chosen
    names = list(likelihoods)
    n_latent = by_modality("n_latent", choices.n_latent, names)
    weights = dict.fromkeys(names, 1.0) | _carried(data, "weight", names) | dict(choices.modality_weights or {})
    weights = by_modality("modality_weights", weights, names)
    dropout = _shares("input_dropout", choices.input_dropout, names)
    fields = registry["field_registries"]
    modalities = {
        name: ModalityConfig(
            n_features=fields[layer_key(name)]["state_registry"]["n_vars"],
            n_latent=n_latent[name],
            likelihood=likelihood,
            weight=weights[name],
            input_dropout=dropout[name],
        )
        for name, likelihood in likelihoods.items()
    }
    latents = Fusion.build(choices.fusion, n_latent=n_latent).latents
    own = {latent: _carried(data, "prior", names).get(latent, PRIOR) for latent in latents}
    priors = own if choices.prior is None else _priors_of(choices.prior, own, names)
    return ModelConfig(modalities, priors, choices.fusion, network, _covariates(registry))


def default_adversary(data: Data | None) -> float:
    """Weight of the batch adversary where the user gives none: 0 for data with a graph of neighbours."""
    return BATCH_ADVERSARY if data is None or graph_of(data) is None else 0.0


def by_modality(argument: str, value: Any, names: list[str]) -> dict[str, Any]:
    """One value for each modality, from one for all or a complete mapping."""
    if not isinstance(value, Mapping):
        value = dict.fromkeys(names, value)
    if set(value) != set(names):
        msg = f"Expected {argument} as one number or for each of {names}; got {dict(value)}."
        raise ValueError(msg)
    if low := {name: v for name, v in value.items() if not v > 0}:
        msg = f"Expected {argument} above 0; got {low}."
        raise ValueError(msg)
    return {name: value[name] for name in names}


def check_shares(**shares: float) -> None:
    """Refuse shares outside 0 to 1.

    Raises
    ------
    ValueError
        If there are any.
    """
    if wrong := {name: value for name, value in shares.items() if not 0 <= value < 1}:
        msg = f"Expected shares of at least 0 and below 1; got {wrong}."
        raise ValueError(msg)


def _carried(data: Data | None, default: str, names: list[str]) -> dict[str, Any]:
    """By modality, a default that the data carry in ``uns``, where they carry one."""
    if data is None:
        return {}
    given = {name: adata.uns.get(DEFAULTS, {}) for name, adata in modalities_of(data).items()}
    return {name: own[default] for name, own in given.items() if default in own and name in names}


def _covariates(registry: Mapping[str, Any]) -> CovariateConfig:
    states = {key: field["state_registry"] for key, field in registry["field_registries"].items()}
    categories, biology = (
        tuple(states.get(key, {}).get("n_cats_per_key", ())) for key in (REGISTRY_KEYS.CAT_COVS_KEY, PRIOR_COVARIATES)
    )
    return CovariateConfig(
        n_batch=len(states[REGISTRY_KEYS.BATCH_KEY]["categorical_mapping"]),
        n_categories=categories,
        n_continuous=len(states.get(REGISTRY_KEYS.CONT_COVS_KEY, {}).get("columns", ())),
        n_labels=len(labels_of(registry)),
        n_prior_categories=biology,
    )


def _shares(argument: str, value: float | Mapping[str, float], names: list[str]) -> dict[str, float]:
    """One share for each modality, from one for all or a mapping; 0 where that names none."""
    given = dict(value) if isinstance(value, Mapping) else dict.fromkeys(names, value)
    if unknown := sorted(set(given) - set(names)):
        msg = f"Expected {argument} as one number or for some of {names}; got it for {unknown}."
        raise ValueError(msg)
    check_shares(**{f"{argument} of '{name}'": share for name, share in given.items()})
    return dict.fromkeys(names, 0.0) | given


def _priors_of(choice: Any, defaults: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """A prior's choice for each latent of the fusion, whose ``defaults`` are given, or one for all together."""
    if isinstance(choice, Mapping) and set(choice) == {COUPLED}:  # as saved
        return dict(choice)
    if isinstance(choice, str | Component) or "name" in choice:
        if Prior.class_of(cast("Any", choice)).is_joint:
            return {COUPLED: choice}
        return dict.fromkeys(defaults, choice)
    if unknown := sorted(set(choice) - set(defaults)):
        known = f"modalities {names}" if set(defaults) == set(names) else f"the one latent {list(defaults)}"
        msg = f"Expected a prior for {known}; got priors for {unknown}."
        raise ValueError(msg)
    if joint := [latent for latent, own in choice.items() if Prior.class_of(own).is_joint]:
        msg = f"Expected prior '{COUPLED}' for all modalities, prior='{COUPLED}'; got it for {joint} alone."
        raise ValueError(msg)
    return dict(defaults) | dict(choice)
