"""What a trained model tells of cells: functions of a reader."""

from ._expression import Request, expected_values, imputed_values
from ._latent import (
    LatentRequest,
    check_representation,
    latent_representation,
    shared_representation,
    shared_subspace,
)
from ._reliability import measure_reliability, weighted

__all__ = [
    "LatentRequest",
    "Request",
    "check_representation",
    "expected_values",
    "imputed_values",
    "latent_representation",
    "measure_reliability",
    "shared_representation",
    "shared_subspace",
    "weighted",
]
