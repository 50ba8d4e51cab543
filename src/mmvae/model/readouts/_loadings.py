"""What features change along a direction of a latent. C cells, G features, U fused dimensions, K directions."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.func import jvp

from mmvae._checks import COUNT, check_numbers
from mmvae._keys import FUSED, SHARED
from mmvae.analysis import patterns
from mmvae.model._data import Data, DataAccess, Indices
from mmvae.model._reader import Reader
from mmvae.nn import Covariates
from mmvae.train import quiet

from ._components import component_gains
from ._effects import fused_names, in_chunks, log_effects, some_cells
from ._latent import shared_representation
from ._posteriors import fused_mean, fused_means


class LoadingMethods(DataAccess):
    """Features behind latents."""

    @torch.no_grad()
    def get_loadings(
        self,
        modality: str | None = None,
        representation: str = FUSED,
        *,
        components: bool = False,
        adata: Data | None = None,
        indices: Indices | None = None,
        n_cells: int = 500,
    ) -> pd.DataFrame:
        r"""Loadings: how the features of a modality change along the dimensions of a latent.

        The decoders are no linear maps, so that a loading is the mean of their derivative over cells i, each decoded with
        its own batch and covariates,

        .. math:: L_{gk} = \frac{1}{C} \sum_i \frac{\partial}{\partial t} \log_2 \big( \rho_g(u_i + t\, d_k) + \epsilon_i
            \big) \Big|_{t=0}

        in log2 fold change for one standard deviation of the dimension over these cells; :math:`\epsilon_i` is a tenth of the
        cell's mean rate, so that features which are hardly seen do not lead. For ``normal`` and ``student_t`` it is the
        change itself, in units of the data.

        Dimensions of one latent may come out turned, or in another order, with another seed; what the modalities share,
        and components of priors, are more stable.

        Parameters
        ----------
        modality
            Whose features; may be left out if there is one. Those of another modality than the latent's say what the decoder
            expects there.
        representation
            ``"fused"``: the dimensions that the decoders read, each moved alone. The name of a modality: those of its own
            latent; a joint latent has the same for all. ``"shared"``: the dimensions of what the modalities share; along
            each the latents move as they do in these cells where it rises by a standard deviation and the other shared
            dimensions stay (the regression of latents on it :cite:p:`Haufe2014`).
        components
            The components of the prior of latent ``representation`` in place of its dimensions: log2 fold change of the
            component's mean, decoded, over the average of the others. :meth:`prior_summary` names the first of them. Name
            the latent, unless there is only one.
        adata, indices
            As in :meth:`get_latent_representation`; cells to take the mean over.
        n_cells
            Cells to use at most, at random, always the same ones.

        Returns
        -------
        DataFrame of features by dimensions, named as ``rna_0``, ``shared_0`` or ``component_0``.

        Examples
        --------
        >>> model.get_loadings("protein", "shared")["shared_0"].nlargest(5)
        """
        check_numbers({"n_cells": COUNT}, n_cells=n_cells)
        reader = Reader(self)
        name = reader.modality(modality)
        if components:
            return component_gains(reader, _with_prior(reader, representation), name)
        cells = some_cells(reader, adata, indices, n_cells)
        directions = _directions(reader, representation, adata, cells)
        values = _derivatives(reader, name, torch.as_tensor(directions.to_numpy(copy=True)), adata, cells)
        return pd.DataFrame(values, index=reader.features(name), columns=directions.index)


def _with_prior(reader: Reader, representation: str) -> str:
    """The latent of that name, or of that modality; the only one there is may be called fused."""
    latents = reader.latents(None)
    if representation == FUSED and len(latents) == 1:
        return latents[0]
    if representation not in (known := list(dict.fromkeys([*reader.names, *latents]))):
        msg = f"Expected representation as one of {known}, whose prior has the components; got '{representation}'."
        raise ValueError(msg)
    return representation


def _directions(reader: Reader, representation: str, adata: Data | None, cells: np.ndarray) -> pd.DataFrame:
    """How far the fused latent moves with a standard deviation of each dimension of a representation, ``(K, U)``."""
    fusion, fused = reader.module.fusion, fused_means(reader, adata, cells).double().numpy()
    names = fused_names(fusion)
    if representation == SHARED:
        rows = patterns(fused, shared_representation(reader, reader.posteriors(adata, cells)).astype(np.float64))
        return pd.DataFrame(rows, index=[f"{SHARED}_{k}" for k in range(len(rows))])
    if representation not in (known := [FUSED, SHARED, *reader.names]):
        msg = f"Expected representation as one of {known}; got '{representation}'."
        raise ValueError(msg)
    alone = pd.DataFrame(np.diag(fused.std(axis=0)), index=names)
    own = [f"{representation}_{d}" for d in range(fusion.n_latent.get(representation, 0))]
    return alone.loc[own] if set(own) & set(names) else alone


def _derivatives(reader: Reader, name: str, directions: Tensor, adata: Data | None, cells: np.ndarray) -> np.ndarray:
    """Mean over cells of the derivative of a modality's log rates along each direction, ``(K, U)``: ``(G, K)``."""
    module, n_features = reader.module, reader.module.likelihoods[name].n_features
    directions = directions.to(module.device, torch.float32)
    total = torch.zeros(len(directions), n_features, dtype=torch.float64)
    for minibatch, posteriors in reader.posteriors(adata, cells):
        for fused, covariates in in_chunks(fused_mean(module.fusion, posteriors), minibatch.covariates, n_features):
            for row, direction in zip(total, directions, strict=True):
                row += _along(module, name, fused, direction, covariates).sum(dim=0, dtype=torch.float64).cpu()
    return (total / len(cells)).T.numpy()


def _along(module: Any, name: str, fused: Tensor, direction: Tensor, covariates: Covariates) -> Tensor:
    """Derivative of the log rates of cells along a direction of the fused latent, ``(C, G)``."""
    decode = lambda place: log_effects(module, name, place, covariates)
    with quiet():
        return jvp(decode, (fused,), (direction.expand_as(fused),))[1]
