"""What the decoders say: expected values of any modality in any cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
import torch
from scvi import REGISTRY_KEYS

from mmvae._checks import COUNT, check_numbers
from mmvae._keys import EXPERTS, PRESENT, QZ, layer_key
from mmvae.data import numbers_of, presence_of
from mmvae.module import covariates_of

from ._typing import ModelBase

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from anndata import AnnData
    from mudata import MuData
    from torch import Tensor

    from ._typing import Indices


class GenerationMixin(ModelBase):
    """Decoded values."""

    def get_normalized_expression(
        self,
        adata: MuData | AnnData | None = None,
        modality: str | None = None,
        indices: Sequence[int] | None = None,
        *,
        features: Sequence[str] | None = None,
        transform_batch: str | None = None,
        library_size: float = 1.0,
        n_samples: int = 1,
        batch_size: int | None = None,
    ) -> pd.DataFrame:
        """Expected values of a modality, decoded from everything that a cell has.

        Cells that lack the modality get a prediction. Depth is taken out: for ``nb``, ``zinb`` and ``poisson`` the
        values are shares of a cell's counts times ``library_size``; for ``bernoulli`` probabilities at median depth;
        for ``nb_mixture`` expected foreground counts; for ``normal`` and ``student_t`` means in units of the data.

        Parameters
        ----------
        adata
            Data other than the model's own.
        modality
            Which modality; may be left out if there is one.
        indices
            Cells, by number or as a mask; all by default.
        features
            Features to return, by name; all by default. The result is dense, ``(n_cells, n_features)``: name the ones
            needed where there are many cells.
        transform_batch
            Decode as if all cells came from this batch; each cell's own by default.
        library_size
            What shares are multiplied by.
        n_samples
            1: values at the posterior mean. More: the mean over so many samples of the posterior.
        batch_size
            Cells at a time.

        Returns
        -------
        DataFrame of cells by features.

        Raises
        ------
        ValueError
            If a modality, feature or batch is unknown.
        """
        modality = self._one_modality(modality)
        tensors = self._minibatches(self._validate_anndata(adata), indices, batch_size)
        request = self._request(modality, features, transform_batch, library_size, n_samples)
        return self._frame(adata, indices, modality, features, self._decoded(tensors, **request))

    def impute(
        self,
        modality: str,
        indices: Sequence[int] | None = None,
        *,
        adata: MuData | AnnData | None = None,
        features: Sequence[str] | None = None,
        transform_batch: str | None = None,
        library_size: float = 1.0,
        n_samples: int = 1,
        batch_size: int | None = None,
    ) -> pd.DataFrame:
        """Expected values of a modality, predicted from the *other* modalities of a cell.

        The cell's own measurement of ``modality``, if it has one, is withheld, so that predictions for measured cells
        can be held against what was measured. Units are those of :meth:`get_normalized_expression`. Where no cell of a
        batch has the modality, nothing is known of the batch's effect on it: name one that has it as ``transform_batch``.

        Parameters
        ----------
        modality
            Which modality to predict.
        indices
            Cells, by number or as a mask; by default those that lack the modality.
        adata
            Data other than the model's own.
        features, transform_batch, library_size, n_samples, batch_size
            As in :meth:`get_normalized_expression`.

        Returns
        -------
        DataFrame of cells by features.

        Raises
        ------
        ValueError
            If a cell has nothing but ``modality``, or a modality, feature or batch is unknown.
        """
        modality = self._one_modality(modality)
        data = self._validate_anndata(adata)
        cells = self._predictable(data, modality, indices)
        tensors = (self._withheld(t, modality) for t in self._minibatches(data, cells, batch_size))
        request = self._request(modality, features, transform_batch, library_size, n_samples)
        return self._frame(data, cells, modality, features, self._decoded(tensors, **request))

    def _one_modality(self, modality: str | None) -> str:
        self._check_if_trained(warn=False)
        if modality is None and len(self.modalities) == 1:
            return self.modalities[0]
        if modality is None or modality not in self.modalities:
            msg = f"Expected a modality, one of {self.modalities}; got {modality!r}."
            raise ValueError(msg)
        return modality

    def _predictable(self, data: MuData | AnnData, modality: str, indices: Indices | None) -> np.ndarray:
        presence = presence_of(data, self.modalities)
        index = self.modalities.index(modality)
        if indices is None:
            return np.flatnonzero(~presence[:, index])
        cells = numbers_of(data, indices)
        others = np.delete(presence[cells], index, axis=1).any(axis=1)
        if not others.all():
            example = data.obs_names[cells[~others][0]]
            msg = (
                f"Expected cells with another modality than '{modality}' to predict it from; {int((~others).sum())} "
                f"cells, such as '{example}', have none. Leave them out of indices."
            )
            raise ValueError(msg)
        return cells

    def _withheld(self, tensors: dict[str, Tensor], modality: str) -> dict[str, Tensor]:
        """The minibatch as it would be if no cell had the modality."""
        present = tensors[PRESENT].clone()
        present[:, self.modalities.index(modality)] = False
        return tensors | {PRESENT: present, layer_key(modality): tensors[layer_key(modality)][:0]}

    def _request(
        self,
        modality: str,
        features: Sequence[str] | None,
        transform_batch: str | None,
        library_size: float,
        n_samples: int,
    ) -> dict[str, Any]:
        check_numbers({"n_samples": COUNT}, n_samples=n_samples)
        likelihood = self.module.likelihoods[modality]
        return {
            "modality": modality,
            "columns": self._columns(modality, features),
            "batch": None if transform_batch is None else self._batch_code(transform_batch),
            "scale": library_size if likelihood.relative else 1.0,
            "n_samples": n_samples,
        }

    def _columns(self, modality: str, features: Sequence[str] | None) -> np.ndarray | slice:
        if features is None:
            return slice(None)
        names = pd.Index(self._features[modality])
        found = names.get_indexer(pd.Index(list(features)))
        if (found < 0).any():
            unknown = [f for f, i in zip(features, found, strict=True) if i < 0]
            msg = f"Expected features of '{modality}'; {len(unknown)} are unknown, such as '{unknown[0]}'."
            raise ValueError(msg)
        return found

    def _batch_code(self, batch: str) -> int:
        state = self.registry_["field_registries"][REGISTRY_KEYS.BATCH_KEY]["state_registry"]
        known = [str(c) for c in state["categorical_mapping"]]
        if str(batch) not in known:
            msg = f"Expected transform_batch among {known}; got '{batch}'."
            raise ValueError(msg)
        return known.index(str(batch))

    @torch.inference_mode()
    def _decoded(
        self,
        minibatches: Iterator[dict[str, Tensor]],
        *,
        modality: str,
        columns: np.ndarray | slice,
        batch: int | None,
        scale: float,
        n_samples: int,
    ) -> np.ndarray:
        """Rates of every cell, minibatch by minibatch, ``(n_cells, n_columns)``."""
        blocks = []
        for tensors in minibatches:
            if batch is not None:
                tensors[REGISTRY_KEYS.BATCH_KEY] = torch.full_like(tensors[REGISTRY_KEYS.BATCH_KEY], batch)
            covariates = covariates_of(tensors)
            draws = self._fused_draws(tensors, n_samples)
            total = cast("Tensor", sum(self.module.rates(modality, z, covariates)[:, columns] for z in draws))
            blocks.append((scale / n_samples * total).cpu().numpy())
        return np.concatenate(blocks) if blocks else np.zeros((0, len(self._features[modality][columns])))

    def _fused_draws(self, tensors: dict[str, Tensor], n_samples: int) -> Iterator[Tensor]:
        """What the decoders read: once at the posterior mean, or at each of ``n_samples`` draws."""
        outputs = self.module.inference(**self.module._get_inference_input(tensors))
        fusion, experts, posterior = self.module.fusion, outputs[EXPERTS], outputs[QZ]
        for _ in range(n_samples):
            latent = posterior.loc if n_samples == 1 else fusion.sample(experts, posterior)
            yield fusion.fuse(latent, experts)

    def _frame(
        self,
        adata: MuData | AnnData | None,
        indices: Indices | None,
        modality: str,
        features: Sequence[str] | None,
        values: np.ndarray,
    ) -> pd.DataFrame:
        columns = self._features[modality] if features is None else pd.Index(features)
        return pd.DataFrame(values, index=self._cell_names(adata, indices), columns=columns)
