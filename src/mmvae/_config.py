"""Sizes and choices of a model, as frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ModalityConfig:
    """One modality: ``likelihood`` and ``prior`` are names, mappings with a name, or objects."""

    n_features: int
    n_latent: int
    likelihood: Any
    weight: float = 1.0
    input_dropout: float = 0.0


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of encoders and decoders, and what is dropped in training."""

    n_hidden: int = 128
    n_layers: int = 1
    dropout_rate: float = 0.1
    modality_dropout: float = 0.3
    kl_scale: float = 1.0
    batch_adversary: float = 0.0


@dataclass(frozen=True)
class CovariateConfig:
    """Numbers of batches, of categories and of continuous covariates; for the priors, of labels and biological categories."""

    n_batch: int = 1
    n_categories: tuple[int, ...] = ()
    n_continuous: int = 0
    n_labels: int = 0
    n_prior_categories: tuple[int, ...] = ()


@dataclass(frozen=True)
class ModelConfig:
    """Everything that the module is built from. ``priors`` are by the name of a latent."""

    modalities: Mapping[str, ModalityConfig]
    priors: Mapping[str, Any]
    fusion: Any = "concat"
    network: NetworkConfig = NetworkConfig()
    covariates: CovariateConfig = CovariateConfig()
