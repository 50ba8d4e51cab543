"""Components of mixture priors: which cells belong to them and what they mean. C cells, K components."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from scvi import REGISTRY_KEYS
from torch import Tensor
from torch.distributions import MixtureSameFamily

from mmvae._checks import COUNT_OR_ZERO, check_numbers
from mmvae.analysis import batch_evenness, effective_number, gains, responsibilities, top_features
from mmvae.fusion import PriorTerm
from mmvae.model._data import Data, DataAccess, Indices, has_latent
from mmvae.model._reader import Reader, agreed, labels_of
from mmvae.module import MultiVAEModule
from mmvae.priors import LabelledMixture, PriorContext
from mmvae.train import seeded

from ._posteriors import N_DRAWS, draws_of, fused_from

DECODED_CELLS = 32


class ComponentMethods(DataAccess):
    """What mixture priors have learnt."""

    @property
    def mixture_latents(self) -> list[str]:
        """Names of the latents whose prior is a mixture with the same components for every cell."""
        return [latent for latent in self.module.priors if mixture_of(self.module, latent) is not None]

    def get_responsibilities(
        self,
        adata: Data | None = None,
        indices: Indices | None = None,
        *,
        modality: str | None = None,
        latent: str | None = None,
        batch_size: int | None = None,
    ) -> pd.DataFrame:
        r"""Soft clusters: the probability that a cell belongs to each component of a latent's mixture prior.

        .. math:: r_{nk} = \mathbb{E}_{q(z \mid x_n)} \frac{\pi_k\, p_k(z)}{\sum_j \pi_j\, p_j(z)}

        by the mean over 16 draws. Each modality has clusters of its own under fusion ``"concat"``: those of RNA need
        not be those of ATAC. Labels of cells are not looked at.

        Parameters
        ----------
        adata, indices, batch_size
            As in :meth:`get_latent_representation`.
        modality
            The modality whose latent it is; under fusions with one latent and under a coupled prior that is the same for all.
            May be left out if there is one latent.
        latent
            Another name of ``modality``.

        Returns
        -------
        DataFrame of cells by components; rows sum to 1. A cell that lacks the latent's modality has NaN, but under a
        coupled prior every cell has a row, from what it has.
        """
        reader = Reader(self)
        latent = _one_latent(reader, agreed(modality=modality, latent=latent))
        values = _responsibilities(reader, latent, adata, indices, batch_size)
        names, _ = component_names(reader, latent, values.shape[1])
        return pd.DataFrame(values, index=reader.cell_names(adata, indices), columns=names)

    def prior_summary(self, n_features: int = 10, *, modality: str | None = None) -> pd.DataFrame:
        """What the priors have learnt: their components, as clusters of the model's own data.

        Parameters
        ----------
        n_features
            Features to name for each component and modality.
        modality
            The modality whose latent to summarise; all by default.

        Returns
        -------
        DataFrame with a row for each component, that of most cells first, or one for a prior that has none:

        - ``latent``, ``prior``: the latent and the name of its prior;
        - ``component``, and ``label`` where there is a prior ``"labels"``;
        - ``weight``: its weight in the prior;
        - ``n_cells``: cells of the data that belong to it (sum of :meth:`get_responsibilities`); of a prior without
          components, the cells that have the latent;
        - ``effective_components``: the exponential of the entropy of a latent's weights. Next to 1, the mixture has
          collapsed into one Gaussian;
        - ``batch_evenness``: the entropy of its cells over the batches, by share of each batch, relative to the most
          possible. 1: it draws from all batches alike; near 0: the component is a batch. NaN with one batch;
        - ``top_<modality>``: the features in which the component's mean, decoded, exceeds the average of the other
          components the most, by log fold change (the difference, for values that may be negative); those of another
          modality than the component's are predictions.
        """
        check_numbers({"n_features": COUNT_OR_ZERO}, n_features=n_features)
        reader = Reader(self)
        reader.data()
        rows = [_prior_rows(reader, latent, n_features) for latent in reader.latents(modality)]
        return pd.concat(rows, ignore_index=True)


def mixture_of(module: MultiVAEModule, latent: str) -> MixtureSameFamily | None:
    """The prior of a latent, if it is a mixture with the same components for every cell."""
    encoder = module.encoders[latent] if latent in module.encoders else None
    return module.priors[latent].components(PriorContext(encoder=encoder))


def _one_latent(reader: Reader, modality: str | None) -> str:
    latent, *others = reader.latents(modality)
    if others:
        msg = f"Expected a modality, one of {[latent, *others]}; got None. Give modality."
        raise ValueError(msg)
    if mixture_of(reader.module, latent) is None:
        msg = (
            f"Expected a latent whose prior is a mixture that is the same for all cells; the prior of '{latent}' is "
            f"'{reader.module.priors[latent].name}'. Train a model with prior='mog', or cluster the latent instead."
        )
        raise ValueError(msg)
    return latent


def component_names(reader: Reader, latent: str, size: int) -> tuple[list[str], list[str]]:
    """A name for each component, and its label, if components have any."""
    prior = reader.module.priors[latent]
    if not isinstance(prior, LabelledMixture):
        return [str(k) for k in range(size)], []
    each = prior.n_components
    labels = [label for label in labels_of(reader.model.registry_) for _ in range(each)]
    return [label if each == 1 else f"{label} {k % each}" for k, label in enumerate(labels)], labels


@torch.inference_mode()
def _responsibilities(reader: Reader, latent: str, *cells: Any) -> np.ndarray:
    """Responsibilities of cells, as in :meth:`Reader.posteriors`, ``(n_cells, K)``; NaN without the latent."""
    mixture, blocks = mixture_of(reader.module, latent), []
    assert mixture is not None  # the callers see to it
    n_components = mixture.component_distribution.batch_shape[-1]
    with seeded(0):
        for _, posteriors in reader.posteriors(*cells):
            (term,) = [t for t in reader.module.fusion.draw(posteriors).prior_terms if t.name == latent]
            block = term.sample.new_full((len(term.mask), n_components), torch.nan)
            if bool(term.mask.any()):
                known = None if term.observed_dims is None else term.observed_dims.mask[term.mask]
                block[term.mask] = responsibilities(mixture, _draws(term)[:, term.mask], known)
            blocks.append(block.cpu().numpy())
    return np.concatenate(blocks)


def _draws(term: PriorTerm) -> Tensor:
    """Draws of a latent's posterior, ``(n_draws, n_cells, width)``."""
    posterior: Any = term.posterior
    if isinstance(posterior, MixtureSameFamily):
        return posterior.sample((N_DRAWS,))
    return draws_of(posterior.base_dist)


def _prior_rows(reader: Reader, latent: str, n_features: int) -> pd.DataFrame:
    mixture, prior = mixture_of(reader.module, latent), reader.module.priors[latent]
    if mixture is None:
        n_cells = float(has_latent(reader.module, latent, reader.data()).sum())
        return pd.DataFrame({"latent": [latent], "prior": [prior.name], "n_cells": [n_cells]})
    mass = _responsibilities(reader, latent)
    has = ~np.isnan(mass[:, 0])
    mass, n_cells = mass[has], mass[has].sum(axis=0)
    weights = mixture.mixture_distribution.probs.detach().cpu().double().numpy()
    names, labels = component_names(reader, latent, len(weights))
    columns: dict[str, Any] = {"latent": latent, "prior": prior.name, "component": names}
    columns |= {"label": labels} if labels else {}
    columns |= {"weight": weights, "n_cells": n_cells, "effective_components": effective_number(weights)}
    columns["batch_evenness"] = batch_evenness(mass, reader.codes(REGISTRY_KEYS.BATCH_KEY)[has])
    columns |= _top_features(reader, latent, mixture, n_cells, n_features)
    return pd.DataFrame(columns).sort_values("n_cells", ascending=False, kind="stable")


def component_gains(reader: Reader, latent: str, name: str) -> pd.DataFrame:
    """How far a modality's decoded features exceed in each component of a latent those of the others, features by K."""
    latent = _one_latent(reader, latent)
    mixture, mass = mixture_of(reader.module, latent), _responsibilities(reader, latent)
    assert mixture is not None  # else there is no responsibility
    is_real = reader.module.likelihoods[name].values == "real"
    found = gains(_decoded(reader, latent, mixture)[name], np.nansum(mass, axis=0), is_real=is_real)
    components, labels = component_names(reader, latent, len(found))
    columns = components if labels else [f"component_{k}" for k in components]
    return pd.DataFrame(found.T, index=reader.features(name), columns=columns)


def _top_features(
    reader: Reader, latent: str, mixture: MixtureSameFamily, n_cells: np.ndarray, n_features: int
) -> dict[str, list[str]]:
    """In words, what stands out in each component, by modality."""
    found = {}
    for name, rates in _decoded(reader, latent, mixture).items():
        is_real = reader.module.likelihoods[name].values == "real"
        features = reader.features(name)
        found[f"top_{name}"] = top_features(rates, n_cells, features, n_features=n_features, is_real=is_real)
    return found


@torch.inference_mode()
def _decoded(reader: Reader, latent: str, mixture: MixtureSameFamily) -> dict[str, np.ndarray]:
    """Expected values at each component's mean, averaged over some cells' covariates, by modality ``(K, G_m)``."""
    module, own = reader.module, reader.data()
    cells = np.random.default_rng(0).permutation(own.n_obs)[:DECODED_CELLS]
    (minibatch,) = reader.minibatches(own, np.sort(cells), DECODED_CELLS)
    places = fused_from(module.fusion, latent, mixture.component_distribution.mean, draw=False)
    found = {}
    for name in reader.names:
        decoded = [module.rates(name, z.expand(len(minibatch), -1), minibatch.covariates).mean(dim=0) for z in places]
        found[name] = torch.stack(decoded).cpu().double().numpy()
    return found
