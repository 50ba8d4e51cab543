"""What can be explained of a cell: the expected value of a feature, or a place in a latent. C cells, M modalities."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mmvae._keys import SHARED
from mmvae.analysis import SharedSubspace
from mmvae.fusion import Posteriors
from mmvae.model._reader import Reader
from mmvae.nn import Covariates

from ._effects import fused_names, log_effects
from ._latent import shared_subspace
from ._posteriors import fused_mean

# From posteriors of cells and their covariates to one number for each cell, ``(C,)``.
Target: TypeAlias = Callable[[Posteriors, Covariates], Tensor]


def target_of(reader: Reader, target: str) -> tuple[str | None, Target]:
    """What ``"protein:CD8"`` or ``"shared_0"`` name, with the modality of a feature."""
    for name in reader.names:
        if target.startswith(f"{name}:"):
            return name, _feature(reader, name, target.removeprefix(f"{name}:"))
    return None, _dimension(reader, target)


def _feature(reader: Reader, name: str, feature: str) -> Target:
    """Expected value of a feature, as a logarithm."""
    column = pd.Index(reader.features(name)).get_indexer([feature])[0]
    if column < 0:
        msg = f"Expected a feature of '{name}'; '{feature}' is unknown."
        raise ValueError(msg)
    module = reader.module
    return lambda q, covariates: log_effects(module, name, fused_mean(module.fusion, q), covariates)[:, column]


def _dimension(reader: Reader, target: str) -> Target:
    """A dimension of what the decoders read, or of what modalities share."""
    fusion, names = reader.module.fusion, fused_names(reader.module.fusion)
    if target in names:
        return lambda q, _: fused_mean(fusion, q)[:, names.index(target)]
    number = target.removeprefix(f"{SHARED}_")
    if target.startswith(f"{SHARED}_") and number.isdigit():
        subspace = shared_subspace(reader)
        if int(number) < subspace.directions.shape[1]:
            return _shared(reader, subspace, int(number))
    msg = (
        f"Expected a target such as '{reader.names[0]}:{reader.features(reader.names[0])[0]}', 'shared_0', or a dimension "
        f"from '{names[0]}' to '{names[-1]}'; got '{target}'."
    )
    raise ValueError(msg)


def _shared(reader: Reader, subspace: SharedSubspace, dimension: int) -> Target:
    """Place of cells on a shared dimension; it is linear in the latents, by what a cell has."""
    fusion, mean = reader.module.fusion, torch.as_tensor(np.concatenate(list(subspace.mean.values())))

    def place(posteriors: Posteriors, _: Covariates) -> Tensor:
        own = [fusion.unimodal_posterior(name, posteriors).loc for name in reader.names]
        centred = torch.cat(own, dim=1) - mean.to(own[0])
        weights = centred.new_zeros(centred.shape)
        for pattern in torch.unique(posteriors.encoded, dim=0):
            of_pattern = subspace.weights(pattern.cpu().numpy())[:, dimension]
            cells = (posteriors.encoded == pattern).all(dim=1, keepdim=True)
            weights = torch.where(cells, torch.as_tensor(of_pattern).to(centred), weights)
        return (centred * weights).sum(dim=1)

    return place
