"""What is known of the cells of a minibatch beside their modalities."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from scvi import REGISTRY_KEYS

from mmvae.nn import Covariates

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


class Annotations(NamedTuple):
    """What priors may know of cells: codes of labels, -1 where there is none, and of covariates; numbers in the data."""

    labels: Tensor
    covariates: Tensor
    cells: Tensor


def covariates_of(tensors: Mapping[str, Tensor]) -> Covariates:
    """Covariates of a minibatch."""
    categorical = tensors.get(REGISTRY_KEYS.CAT_COVS_KEY)
    columns = () if categorical is None else tuple(categorical.split(1, dim=1))
    return Covariates(tensors[REGISTRY_KEYS.BATCH_KEY], columns, tensors.get(REGISTRY_KEYS.CONT_COVS_KEY))
