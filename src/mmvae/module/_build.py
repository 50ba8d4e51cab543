"""The parts of a module from its configuration."""

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from torch import nn

from mmvae._config import ModelConfig
from mmvae._keys import COUPLED
from mmvae.fusion import Fusion, JointPrior
from mmvae.likelihoods import Likelihood
from mmvae.nn import Decoder, Encoder
from mmvae.priors import Prior

M = TypeVar("M", bound=nn.Module)


def by_name(modules: dict[str, M]) -> Mapping[str, M]:
    """A ``ModuleDict``, which torch does not type by what it holds."""
    return cast("Mapping[str, M]", nn.ModuleDict(modules))


def build_encoder(name: str, config: ModelConfig) -> Encoder:
    """Encoder of modality ``name``."""
    modality, network = config.modalities[name], config.network
    return Encoder(
        modality.n_features,
        modality.n_latent,
        n_hidden=network.n_hidden,
        n_layers=network.n_layers,
        dropout_rate=network.dropout_rate,
        input_dropout=modality.input_dropout,
    )


def build_decoder(n_input: int, config: ModelConfig) -> Decoder:
    """Decoder of one modality, from ``n_input`` fused dimensions."""
    covariates, n_hidden = config.covariates, config.network.n_hidden
    n_categories = [covariates.n_batch, *covariates.n_categories]
    return Decoder(n_input, n_categories=n_categories, n_continuous=covariates.n_continuous, n_hidden=n_hidden)


def build_likelihood(name: str, config: ModelConfig) -> Likelihood:
    """Likelihood of modality ``name``."""
    modality, n_hidden, n_batch = config.modalities[name], config.network.n_hidden, config.covariates.n_batch
    return Likelihood.build(modality.likelihood, n_features=modality.n_features, n_hidden=n_hidden, n_batch=n_batch)


def build_priors(fusion: Fusion, config: ModelConfig) -> dict[str, Prior]:
    """A prior for each latent of the fusion, or one for all, which the fusion then imputes with."""
    sizes: dict[str, Any] = {
        "n_hidden": config.network.n_hidden,
        "n_labels": config.covariates.n_labels,
        "n_categories": list(config.covariates.n_prior_categories),
    }
    if COUPLED in config.priors:
        prior = Prior.build(config.priors[COUPLED], n_latent=fusion.latent_width, **sizes)
        fusion.set_joint_prior(cast("JointPrior", prior))
        return {COUPLED: prior}
    return {n: Prior.build(config.priors[n], n_latent=width, **sizes) for n, width in fusion.latents.items()}
