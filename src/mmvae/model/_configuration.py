"""From what a user chooses, and what the data are, to a module's configuration; whether priors suit the two."""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from scvi import REGISTRY_KEYS

from mmvae._checks import COUNT, NOT_NEGATIVE, POSITIVE, SEED, SHARE_BELOW_1, check_numbers
from mmvae._config import CovariateConfig, ModalityConfig, ModelConfig, NetworkConfig
from mmvae._keys import CONNECTIVITIES, COUPLED, DEFAULTS, PRIOR_COVARIATES, layer_key
from mmvae.data import SetupArguments, graph_of, modalities_of, prior_covariate_notes, resolve_columns
from mmvae.fusion import Fusion
from mmvae.module import MultiVAEModule
from mmvae.priors import Prior
from mmvae.train import seeded

from ._data import Data
from ._reader import labels_of, states_of

PRIOR, BATCH_ADVERSARY = "mog", 10.0
TAKES = dict.fromkeys(("n_latent", "n_hidden", "n_layers"), COUNT)
TAKES |= dict.fromkeys(("dropout_rate", "input_dropout", "modality_dropout"), SHARE_BELOW_1)
TAKES |= dict.fromkeys(("kl_scale", "batch_adversary"), NOT_NEGATIVE)
TAKES |= {"modality_weights": POSITIVE, "seed": SEED}
ELSE = {"modality_weights": 1.0, "input_dropout": 0.0}  # what a modality takes that is not named


def configuration(
    registry: dict[str, Any], data: Data | None, network: NetworkConfig, chosen: dict[str, Any], prior: Any, fusion: Any
) -> ModelConfig:
    """A module's configuration; ``chosen`` holds ``seed``, ``n_latent``, ``modality_weights`` and ``input_dropout``."""
    likelihoods = SetupArguments.of(registry["setup_args"]).likelihoods
    names = list(likelihoods)
    weights = chosen["modality_weights"]
    if weights is None or isinstance(weights, Mapping):
        weights = _carried(data, "weight", names) | dict(weights or {})
    by_modality = {
        argument: _by_modality(argument, value, names, ELSE.get(argument))
        for argument, value in (chosen | {"modality_weights": weights}).items()
        if argument != "seed"
    }
    check_numbers(TAKES, **by_modality, seed=chosen["seed"], **asdict(network))
    states, modalities = states_of(registry), {}
    for name, likelihood in likelihoods.items():
        n_latent, weight, dropout = (by_modality[a][name] for a in ("n_latent", "modality_weights", "input_dropout"))
        modalities[name] = ModalityConfig(states[layer_key(name)]["n_vars"], n_latent, likelihood, weight, dropout)
    with seeded(None):
        latents = Fusion.build(fusion, n_latent=by_modality["n_latent"]).latents
    own = dict.fromkeys(latents, PRIOR) | _carried(data, "prior", list(latents))
    priors = own if prior is None else _priors_of(prior, own, names)
    return ModelConfig(modalities, priors, fusion, network, covariate_config(registry))


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
    states = states_of(registry)
    categories, biology = (
        tuple(states.get(key, {}).get("n_cats_per_key", ())) for key in (REGISTRY_KEYS.CAT_COVS_KEY, PRIOR_COVARIATES)
    )
    n_batch = len(states[REGISTRY_KEYS.BATCH_KEY]["categorical_mapping"])
    n_continuous = len(states.get(REGISTRY_KEYS.CONT_COVS_KEY, {}).get("columns", ()))
    return CovariateConfig(n_batch, categories, n_continuous, len(labels_of(registry)), biology)


def _by_modality(argument: str, value: Any, names: list[str], default: float | None = None) -> dict[str, Any]:
    """One value for each modality, from one for all or a mapping, complete unless there is a ``default``."""
    given = value if isinstance(value, Mapping) else dict.fromkeys(names, value)
    given = {name: own for name, own in given.items() if own is not None}
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
    if not isinstance(choice, Mapping) or "name" in choice:
        return {COUPLED: choice} if Prior.class_of(choice).is_joint else dict.fromkeys(defaults, choice)
    if unknown := sorted(set(choice) - set(defaults)):
        known = f"modalities {names}" if set(defaults) == set(names) else f"the one latent {list(defaults)}"
        msg = f"Expected a prior for {known}; got priors for {unknown}."
        raise ValueError(msg)
    if joint := [latent for latent, own in choice.items() if Prior.class_of(own).is_joint]:
        msg = f"Expected prior '{COUPLED}' for all modalities, prior='{COUPLED}'; got it for {joint} alone."
        raise ValueError(msg)
    return dict(defaults) | dict(choice)


def check_priors(module: MultiVAEModule) -> None:
    """Refuse priors that need a latent for each modality where there is one for all, or latents of one width."""
    for name, prior in module.priors.items():
        if (prior.needs_encoder or prior.needs_posteriors) and name not in module.encoders:
            what = "one modality's encoder" if prior.needs_encoder else "a latent for each modality"
            msg = (
                f"Expected a prior that suits the one latent of fusion '{module.fusion.name}'; got '{prior.name}', which "
                f"needs {what}. Use prior 'mog' or 'normal', or fusion 'concat'."
            )
            raise ValueError(msg)
        if prior.needs_posteriors and len(set(module.fusion.n_latent.values())) > 1:
            msg = (
                f"Expected one n_latent for all modalities with prior '{prior.name}', which compares their latents; got "
                f"{module.fusion.n_latent}. Give one number."
            )
            raise ValueError(msg)


def check_graph(priors: Iterable[Prior], data: Data) -> None:
    """Refuse priors that look at neighbours where the data have no graph of neighbouring cells."""
    asking = sorted({prior.name for prior in priors if prior.needs_graph})
    if asking and graph_of(data) is None:
        msg = (
            f"Expected data with a graph of neighbouring cells in obsp['{CONNECTIVITIES}'] for prior {asking[0]!r}; got "
            "none. Make them with mmvae.pp.spatial, or the graph with squidpy.gr.spatial_neighbors."
        )
        raise ValueError(msg)


def warn_of_batch(module: MultiVAEModule, data: Data, arguments: SetupArguments) -> None:
    """Warn where a prior looks at covariates that tell batches apart."""
    if any(prior.needs_covariates for prior in module.priors.values()):
        columns, _ = resolve_columns(data, arguments, is_query=True)
        for note in prior_covariate_notes(columns):
            warnings.warn(note, UserWarning, stacklevel=3)
