"""Labels of cells. C cells, M modalities, Y labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from scvi import REGISTRY_KEYS
from torch.distributions import Normal

from mmvae._keys import EXPERTS, PRESENT, UNWEIGHTED
from mmvae.analysis import DiscriminantAnalysis, few_of_each
from mmvae.data import numbers_of, presence_of
from mmvae.fusion import Experts

from ._typing import ModelBase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from mudata import MuData

MIN_LABELLED = 10


class PredictionMixin(ModelBase):
    """``predict``."""

    def predict(
        self,
        adata: MuData | AnnData | None = None,
        indices: Sequence[int] | None = None,
        *,
        soft: bool = False,
        batch_size: int | None = None,
    ) -> np.ndarray | pd.DataFrame:
        """Labels of cells, whatever they have, learnt from the labelled cells that the model was trained with.

        A linear discriminant analysis of the fused latent, its probabilities calibrated on held-out labelled cells; before
        a cell is seen, a label is as likely as it is frequent among the labelled cells. There is one analysis for each
        missing pattern among the cells to predict. It learns from the labelled cells as they look when
        the model sees of them only what that pattern has; so a few labels, of cells that have all modalities or of
        cells that have some, serve all patterns. Any prior will do; ``prior="labels"`` lets the
        labels shape the latents, too.

        Parameters
        ----------
        adata
            Data other than the model's own.
        indices
            Cells, by number or as a mask; all by default.
        soft
            Whether to return probabilities.
        batch_size
            Cells at a time.

        Returns
        -------
        Labels, ``(n_cells,)``; with ``soft`` a DataFrame of probabilities, cells by labels. Cells that have a label are
        predicted as the others are.

        Raises
        ------
        ValueError
            If the model was trained without labels, or with fewer than 10 labelled cells or 2 labels, or with no more cells
            than labels.
        """
        self._check_if_trained(warn=False)
        known = self._learnt_labels()
        data = self._validate_anndata(adata)
        cells = numbers_of(data, indices)
        presence = presence_of(data, self.modalities)[cells]
        probabilities = np.zeros((len(cells), len(self.labels)))
        for pattern in np.unique(presence, axis=0):
            rows = (presence == pattern).all(axis=1)
            classifier = DiscriminantAnalysis.fit(self._as_seen(known, pattern), known["codes"], known["counts"])
            latent = self.get_latent_representation(data, cells[rows], batch_size=batch_size, representation=UNWEIGHTED)
            probabilities[rows] = classifier.probabilities(latent)
        if soft:
            return pd.DataFrame(probabilities, index=data.obs_names[cells], columns=self.labels)
        return np.asarray(self.labels)[probabilities.argmax(axis=1)]

    def _learnt_labels(self) -> dict[str, Any]:
        """What is remembered of the labelled cells.

        Raises
        ------
        ValueError
            If it is too little to learn from.
        """
        if self.labelled_ is None:
            msg = "Expected a model trained with labels; got none. Give labels_key in setup_mudata, and train."
            raise ValueError(msg)
        codes = self.labelled_["codes"]
        n_labels = len(np.unique(codes))
        if len(codes) < MIN_LABELLED or not 1 < n_labels < len(codes):
            msg = (
                f"Expected {MIN_LABELLED} labelled cells of two labels at the least, and more cells than labels; got "
                f"{len(codes)} cells of {n_labels}. Label more cells."
            )
            raise ValueError(msg)
        return self.labelled_

    @torch.inference_mode()
    def _remember_labelled(self) -> None:
        """Keep the posteriors of the labelled cells, which a query's model needs, too."""
        if not self.labels:
            return
        codes = np.asarray(self.adata_manager.get_from_registry(REGISTRY_KEYS.LABELS_KEY)).ravel().astype(int)
        n_labels = len(self.labels)
        cells = few_of_each(codes, n_labels)
        parts: dict[str, list[Normal]] = {name: [] for name in self.modalities}
        present = []
        for outputs in self._outputs(None, cells, None):
            for name, q in outputs[EXPERTS].posteriors.items():
                parts[name].append(q)
            present.append(outputs[PRESENT].cpu())
        self.labelled_ = {
            "codes": codes[cells],
            "counts": np.bincount(codes, minlength=n_labels)[:n_labels],
            "present": torch.cat(present).numpy() if present else np.zeros((0, len(self.modalities)), dtype=bool),
            "loc": {name: _joined([q.loc for q in qs]) for name, qs in parts.items()},
            "scale": {name: _joined([q.scale for q in qs]) for name, qs in parts.items()},
        }

    @torch.inference_mode()
    def _as_seen(self, known: dict[str, Any], pattern: np.ndarray) -> np.ndarray:
        """Fused latents of the labelled cells if they had no more than ``pattern``; as they are if they have none of it."""
        device = self.module.device
        present = torch.as_tensor(known["present"], device=device)
        kept = present & torch.as_tensor(pattern, device=device)
        kept = torch.where(kept.any(dim=1, keepdim=True), kept, present)
        posteriors = {}
        for index, name in enumerate(self.modalities):
            inside = kept[present[:, index], index]
            loc, scale = (torch.as_tensor(known[part][name], device=device)[inside] for part in ("loc", "scale"))
            posteriors[name] = Normal(loc, scale, validate_args=False)
        experts = Experts(posteriors, kept)
        fusion = self.module.fusion
        return fusion.fuse(fusion.posterior(experts).loc, experts).cpu().numpy()


def _joined(parts: list[torch.Tensor]) -> np.ndarray:
    return torch.cat(parts).cpu().numpy() if parts else np.zeros((0, 0), dtype=np.float32)
