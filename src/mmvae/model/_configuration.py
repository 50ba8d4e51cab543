"""From what a user chooses, and what the data are, to a module's configuration."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

from scvi import REGISTRY_KEYS

from mmvae._checks import COUNT, COUNT_OR_ZERO, NOT_NEGATIVE, POSITIVE, SHARE_BELOW_1, check_numbers
from mmvae._config import CovariateConfig, ModalityConfig, ModelConfig, NetworkConfig
from mmvae._keys import COUPLED, DEFAULTS, PRIOR_COVARIATES, layer_key
from mmvae.data import SetupArguments, graph_of, modalities_of
from mmvae.fusion import Fusion
from mmvae.nn import Component
from mmvae.priors import Prior
from mmvae.train import seeded

from ._data import Data
from ._reader import labels_of

PRIOR = "mog"
BATCH_ADVERSARY = 10.0
TAKES = {
    "n_latent": COUNT,
    "n_hidden": COUNT,
    "n_layers": COUNT,
    "dropout_rate": SHARE_BELOW_1,
    "input_dropout": SHARE_BELOW_1,
    "modality_dropout": SHARE_BELOW_1,
    "modality_weights": POSITIVE,
    "kl_scale": NOT_NEGATIVE,
    "batch_adversary": NOT_NEGATIVE,
    "seed": COUNT_OR_ZERO,
}


@dataclass(frozen=True)
class Choices:
    """What a user chooses of each modality and latent; ``None`` where the data decide."""

    n_latent: int | Mapping[str, int]
    input_dropout: float | Mapping[str, float]
    modality_weights: Mapping[str, float] | None
    prior: Any
    fusion: Any
    seed: int


def configuration(
    registry: Mapping[str, Any], data: Data | None, choices: Choices, network: NetworkConfig
) -> ModelConfig:
    """Configuration of a module for registered data, or for those of a saved ``registry``.

    Raises
    ------
    ValueError
        If a choice names what the model has not, or numbers are out of range; all of these in one message.
    """
    likelihoods = SetupArguments.of(registry["setup_args"]).chosen
    names = list(likelihoods)
    n_latent = _by_modality("n_latent", choices.n_latent, names)
    weights = _carried(data, "weight", names) | dict(choices.modality_weights or {})
    weights = _by_modality("modality_weights", weights, names, 1.0)
    dropout = _by_modality("input_dropout", choices.input_dropout, names, 0.0)
    own = {"n_latent": n_latent, "modality_weights": weights, "input_dropout": dropout, "seed": choices.seed}
    check_numbers(TAKES, **own, **asdict(network))
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
    with seeded(None):
        latents = Fusion.build(choices.fusion, n_latent=n_latent).latents
    own = {latent: _carried(data, "prior", names).get(latent, PRIOR) for latent in latents}
    priors = own if choices.prior is None else _priors_of(choices.prior, own, names)
    return ModelConfig(modalities, priors, choices.fusion, network, covariate_config(registry))


def default_adversary(data: Data | None) -> float:
    """Weight of the batch adversary where the user gives none: 0 for data with a graph of neighbours."""
    return BATCH_ADVERSARY if data is None or graph_of(data) is None else 0.0


def _carried(data: Data | None, default: str, names: list[str]) -> dict[str, Any]:
    """By modality, a default that the data carry in ``uns``, where they carry one."""
    if data is None:
        return {}
    given = {name: adata.uns.get(DEFAULTS, {}) for name, adata in modalities_of(data).items()}
    return {name: own[default] for name, own in given.items() if default in own and name in names}


def covariate_config(registry: Mapping[str, Any]) -> CovariateConfig:
    """Numbers of batches, categories, continuous covariates and labels of a registry."""
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


def _by_modality(argument: str, value: Any, names: list[str], default: float | None = None) -> dict[str, Any]:
    """One value for each modality, from one for all or a mapping, complete unless there is a ``default``."""
    given = dict(value) if isinstance(value, Mapping) else dict.fromkeys(names, value)
    filled = given if default is None else dict.fromkeys(names, default) | given
    if set(filled) != set(names):
        which = f"each of {names}" if default is None else f"some of {names}"
        msg = f"Expected {argument} as one number or for {which}; got it for {list(given)}."
        raise ValueError(msg)
    return {name: filled[name] for name in names}


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
