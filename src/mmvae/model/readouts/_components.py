"""Components of mixture priors: which cells belong to them and what they mean. C cells, K components."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.distributions import MixtureSameFamily

from mmvae.analysis import batch_evenness, effective_number, top_features
from mmvae.analysis import responsibilities as responsibilities_of
from mmvae.fusion import PriorTerm
from mmvae.model._reader import Data, Indices, Reader
from mmvae.module import MultiVAEModule
from mmvae.priors import LabelledMixture, PriorContext
from mmvae.train import seeded

from ._profiles import component_rates
from ._unimodal import N_DRAWS, standard_draws

DECODED_CELLS = 32


def mixture_latents(module: MultiVAEModule) -> list[str]:
    """Names of the latents whose prior is a mixture with the same components for every cell."""
    return [latent for latent in module.priors if _mixture(module, latent) is not None]


def responsibilities(
    reader: Reader, latent: str | None, adata: Data | None, indices: Indices | None, batch_size: int | None
) -> pd.DataFrame:
    """Probability that a cell belongs to each component of a latent's prior, cells by components."""
    latent = _one_latent(reader.module, latent)
    values = _responsibilities(reader, latent, adata, indices, batch_size)
    names, _ = _component_names(reader, latent, values.shape[1])
    return pd.DataFrame(values, index=reader.cell_names(adata, indices), columns=names)


def prior_summary(reader: Reader, n_features: int) -> pd.DataFrame:
    """A row for each component of the latents' priors, heaviest first, or one for a prior that has none."""
    reader.own_data()
    parts = [_prior_rows(reader, latent, n_features) for latent in reader.module.priors]
    return pd.concat(parts, ignore_index=True)


def _mixture(module: MultiVAEModule, latent: str) -> MixtureSameFamily | None:
    encoder = module.encoders[latent] if latent in module.encoders else None
    return module.priors[latent].components(PriorContext(encoder=encoder))


def _one_latent(module: MultiVAEModule, latent: str | None) -> str:
    known = list(module.priors)
    if latent is None and len(known) == 1:
        latent = known[0]
    if latent is None or latent not in known:
        msg = f"Expected a latent, one of {known}; got {latent!r}. Give latent."
        raise ValueError(msg)
    if _mixture(module, latent) is None:
        msg = (
            f"Expected a latent whose prior is a mixture that is the same for all cells; the prior of '{latent}' is "
            f"'{module.priors[latent].name}'. Train a model with prior='mog', or cluster the latent instead."
        )
        raise ValueError(msg)
    return latent


def _component_names(reader: Reader, latent: str, size: int) -> tuple[list[str], list[str]]:
    """A name for each component, and its label, if components have any."""
    prior = reader.module.priors[latent]
    if not isinstance(prior, LabelledMixture):
        return [str(k) for k in range(size)], []
    each = prior.n_components
    labels = [label for label in reader.labels for _ in range(each)]
    return [label if each == 1 else f"{label} {k % each}" for k, label in enumerate(labels)], labels


@torch.inference_mode()
def _responsibilities(
    reader: Reader, latent: str, adata: Data | None, indices: Indices | None, batch_size: int | None
) -> np.ndarray:
    """Responsibilities, ``(n_cells, K)``, NaN where a cell lacks the latent."""
    mixture, blocks = _mixture(reader.module, latent), []
    assert mixture is not None  # the callers see to it
    n_components = mixture.component_distribution.batch_shape[-1]
    with seeded(0):
        for _, posteriors in reader.posteriors(adata, indices, batch_size):
            (term,) = [t for t in reader.module.fusion.draw(posteriors).prior_terms if t.name == latent]
            block = term.sample.new_full((len(term.mask), n_components), torch.nan)
            if bool(term.mask.any()):
                known = None if term.observed_dims is None else term.observed_dims.mask[term.mask]
                block[term.mask] = responsibilities_of(mixture, _draws(term)[:, term.mask], known)
            blocks.append(block.cpu().numpy())
    return np.concatenate(blocks)


def _draws(term: PriorTerm) -> Tensor:
    """Draws of a latent's posterior, ``(n_draws, n_cells, width)``."""
    posterior: Any = term.posterior
    if isinstance(posterior, MixtureSameFamily):
        return posterior.sample((N_DRAWS,))
    noise = standard_draws(N_DRAWS, term.sample.shape[-1]).to(term.sample)
    return posterior.base_dist.loc + posterior.base_dist.scale * noise


def _prior_rows(reader: Reader, latent: str, n_features: int) -> pd.DataFrame:
    mixture, prior = _mixture(reader.module, latent), reader.module.priors[latent]
    if mixture is None:
        return pd.DataFrame({"latent": [latent], "prior": [prior.name], "n_cells": [_cells_with(reader, latent)]})
    mass = _responsibilities(reader, latent, None, None, None)
    has = ~np.isnan(mass[:, 0])
    mass, n_cells = mass[has], mass[has].sum(axis=0)
    weights = mixture.mixture_distribution.probs.detach().cpu().double().numpy()
    names, labels = _component_names(reader, latent, len(weights))
    columns: dict[str, Any] = {"latent": latent, "prior": prior.name, "component": names}
    columns |= {"label": labels} if labels else {}
    columns |= {
        "weight": weights,
        "n_cells": n_cells,
        "effective_components": effective_number(weights),
        "batch_evenness": batch_evenness(mass, reader.batches()[has]),
    }
    columns |= _top_features(reader, latent, mixture, n_cells, n_features)
    return pd.DataFrame(columns).sort_values("n_cells", ascending=False, kind="stable")


def _cells_with(reader: Reader, latent: str) -> float:
    """Cells of the model's data that have any of the latent's modalities."""
    inside = [reader.module.fusion.latent_of(name)[0] == latent for name in reader.names]
    _, presence = reader.cells(reader.own_data(), None)
    return float(presence[:, inside].any(axis=1).sum())


@torch.inference_mode()
def _top_features(
    reader: Reader, latent: str, mixture: MixtureSameFamily, n_cells: np.ndarray, n_features: int
) -> dict[str, list[str]]:
    module, own = reader.module, reader.own_data()
    cells = np.random.default_rng(0).permutation(own.n_obs)[:DECODED_CELLS]
    (minibatch,) = reader.minibatches(own, np.sort(cells), DECODED_CELLS)
    rates = component_rates(module, latent, mixture.component_distribution.mean, minibatch.covariates)
    return {
        f"top_{name}": top_features(
            rates[name],
            n_cells,
            reader.features(name),
            n_features=n_features,
            is_real=module.likelihoods[name].values == "real",
        )
        for name in reader.names
    }
