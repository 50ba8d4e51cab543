"""Components of mixture priors: which cells they hold and what they mean. C cells, K components."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from scvi import REGISTRY_KEYS
from torch.distributions import MixtureSameFamily

from mmvae._keys import EXPERTS, LATENT, QZ
from mmvae.data import presence_of
from mmvae.module import covariates_of
from mmvae.priors import LabelledMixture, PriorContext
from mmvae.train import seeded

from ._generation import GenerationMixin
from ._mixtures import batch_evenness, effective_number, responsibilities
from ._profiles import component_rates, top_features
from ._views import N_DRAWS, standard_draws

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from mudata import MuData
    from torch import Tensor

    from mmvae.fusion import Priced

    from ._typing import Indices

DECODED_CELLS = 32


class ComponentMixin(GenerationMixin):
    """Readouts of mixture priors."""

    @property
    def mixture_latents(self) -> list[str]:
        """Names of the latents whose prior is a mixture with the same components for every cell."""
        return [latent for latent in self.module.priors if self._mixture(latent) is not None]

    def get_responsibilities(
        self,
        adata: MuData | AnnData | None = None,
        indices: Sequence[int] | None = None,
        *,
        latent: str | None = None,
        batch_size: int | None = None,
    ) -> pd.DataFrame:
        r"""Soft clusters: the probability that a cell belongs to each component of a latent's mixture prior.

        .. math:: r_{nk} = \mathbb{E}_{q(z \mid x_n)} \frac{\pi_k\, p_k(z)}{\sum_j \pi_j\, p_j(z)}

        by the mean over 16 draws. Each modality has clusters of its own under fusion ``"concat"``: those of RNA need
        not be those of ATAC. Labels of cells are not looked at.

        Parameters
        ----------
        adata
            Data other than the model's own.
        indices
            Cells, by number or as a mask; all by default.
        latent
            Which latent: a modality, ``"joint"`` for fusions with one latent, ``"coupled"`` for a coupled prior; may be
            left out if there is one.
        batch_size
            Cells at a time.

        Returns
        -------
        DataFrame of cells by components; rows sum to 1. A cell that lacks the latent's modality has NaN: its latent is
        a guess from the others, and would give no more than theirs. Under a coupled prior every cell has a row, from
        what it has.

        Raises
        ------
        ValueError
            If the latent is unknown, or its prior is no mixture.
        """
        self._check_if_trained(warn=False)
        latent = self._one_latent(latent)
        values = self._responsibilities(latent, adata, indices, batch_size)
        names, _ = self._component_names(latent, values.shape[1])
        return pd.DataFrame(values, index=self._cell_names(adata, indices), columns=names)

    def prior_summary(self, n_features: int = 10) -> pd.DataFrame:
        """What the priors have learnt: their components, as clusters of the model's own data.

        Parameters
        ----------
        n_features
            Features to name for each component and modality.

        Returns
        -------
        DataFrame with a row for each component, heaviest first, or one for a prior that has none:

        - ``latent``, ``prior``: the latent and the name of its prior;
        - ``component``, and ``label`` where there is a prior ``"labels"``;
        - ``weight``: its weight in the prior;
        - ``n_cells``: cells of the data that belong to it (sum of :meth:`get_responsibilities`); of a prior without
          components, the cells that have the latent;
        - ``effective_components``: the exponential of the entropy of the weights, the same for all rows of a latent.
          Next to 1, the mixture has collapsed into one Gaussian;
        - ``batch_evenness``: the entropy of its cells over the batches, by share of each batch, relative to the most
          possible. 1: it draws from all batches alike; near 0: the component is a batch. NaN with one batch;
        - ``top_<modality>``: the features in which the component's mean, decoded, exceeds the average of the other
          components the most, by log fold change (the difference, for values that may be negative). Latents of other
          modalities are filled in as for a cell that lacks them, so the features of another modality than the
          component's are predictions.

        Raises
        ------
        ValueError
            If the model was loaded without data.

        Notes
        -----
        Components are sorted by their cells; their numbers mean nothing across models.
        """
        self._check_if_trained(warn=False)
        self._validate_anndata()
        parts = [self._prior_rows(latent, n_features) for latent in self.module.priors]
        return pd.concat(parts, ignore_index=True)

    def _mixture(self, latent: str) -> MixtureSameFamily | None:
        encoder = self.module.encoders[latent] if latent in self.module.encoders else None
        return self.module.priors[latent].components(PriorContext(encoder=encoder))

    def _one_latent(self, latent: str | None) -> str:
        known = list(self.module.priors)
        if latent is None and len(known) == 1:
            latent = known[0]
        if latent is None or latent not in known:
            msg = f"Expected a latent, one of {known}; got {latent!r}. Give latent."
            raise ValueError(msg)
        if self._mixture(latent) is None:
            msg = (
                f"Expected a latent whose prior is a mixture that is the same for all cells; the prior of '{latent}' is "
                f"'{self.module.priors[latent].name}'. Train a model with prior='mog', or cluster the latent instead."
            )
            raise ValueError(msg)
        return latent

    def _component_names(self, latent: str, size: int) -> tuple[list[str], list[str]]:
        """A name for each component, and its label, if components have any."""
        prior = self.module.priors[latent]
        if not isinstance(prior, LabelledMixture):
            return [str(k) for k in range(size)], []
        each = prior.n_components
        labels = [label for label in self.labels for _ in range(each)]
        return [label if each == 1 else f"{label} {k % each}" for k, label in enumerate(labels)], labels

    @torch.inference_mode()
    def _responsibilities(
        self, latent: str, adata: MuData | AnnData | None, indices: Indices | None, batch_size: int | None
    ) -> np.ndarray:
        """Responsibilities, ``(n_cells, K)``, NaN where a cell lacks the latent."""
        mixture, blocks = self._mixture(latent), []
        assert mixture is not None  # the callers see to it
        with seeded(0):
            for tensors in self._minibatches(adata, indices, batch_size):
                outputs = self.module.inference(**self.module._get_inference_input(tensors))
                priced = self.module.fusion.priced(outputs[EXPERTS], outputs[QZ], outputs[LATENT])
                (found,) = [candidate for candidate in priced if candidate.name == latent]
                block = found.sample.new_full(
                    (len(found.rows), mixture.component_distribution.batch_shape[-1]), torch.nan
                )
                if bool(found.rows.any()):
                    block[found.rows] = responsibilities(mixture, _draws(found), found.known)
                blocks.append(block.cpu().numpy())
        return np.concatenate(blocks)

    def _prior_rows(self, latent: str, n_features: int) -> pd.DataFrame:
        mixture, prior = self._mixture(latent), self.module.priors[latent]
        if mixture is None:
            return pd.DataFrame({"latent": [latent], "prior": [prior.name], "n_cells": [self._cells_with(latent)]})
        mass = self._responsibilities(latent, None, None, None)
        has = ~np.isnan(mass[:, 0])
        mass, n_cells = mass[has], mass[has].sum(axis=0)
        weights = mixture.mixture_distribution.probs.detach().cpu().double().numpy()
        names, labels = self._component_names(latent, len(weights))
        batch = np.asarray(self.adata_manager.get_from_registry(REGISTRY_KEYS.BATCH_KEY)).ravel()
        columns: dict[str, Any] = {"latent": latent, "prior": prior.name, "component": names}
        columns |= {"label": labels} if labels else {}
        columns |= {
            "weight": weights,
            "n_cells": n_cells,
            "effective_components": effective_number(weights),
            "batch_evenness": batch_evenness(mass, batch[has]),
        }
        columns |= self._top_features(latent, mixture, n_cells, n_features)
        return pd.DataFrame(columns).sort_values("n_cells", ascending=False, kind="stable")

    def _cells_with(self, latent: str) -> float:
        """Cells of the model's data that have any of the latent's modalities."""
        inside = [self.module.fusion.place(name)[0] == latent for name in self.modalities]
        return float(presence_of(self.adata, self.modalities)[:, inside].any(axis=1).sum())

    @torch.inference_mode()
    def _top_features(
        self, latent: str, mixture: MixtureSameFamily, n_cells: np.ndarray, n_features: int
    ) -> dict[str, list[str]]:
        cells = np.random.default_rng(0).permutation(self.adata.n_obs)[:DECODED_CELLS]
        (tensors,) = self._minibatches(None, np.sort(cells), DECODED_CELLS)
        covariates = covariates_of(tensors)
        rates = component_rates(self.module, latent, mixture.component_distribution.mean, covariates)
        return {
            f"top_{name}": top_features(
                rates[name],
                n_cells,
                self._features[name],
                n_features=n_features,
                is_real=self.module.likelihoods[name].values == "real",
            )
            for name in self.modalities
        }


def _draws(latent: Priced) -> Tensor:
    """Draws of a latent's posterior, ``(n_draws, n_cells, width)``."""
    posterior: Any = latent.posterior
    if isinstance(posterior, MixtureSameFamily):
        return posterior.sample((N_DRAWS,))
    noise = standard_draws(N_DRAWS, latent.sample.shape[-1]).to(latent.sample)
    return posterior.base_dist.loc + posterior.base_dist.scale * noise
