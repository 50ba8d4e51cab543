"""Labels of cells, from what is remembered of labelled ones. C cells, M modalities, Y labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from scvi import REGISTRY_KEYS
from torch import Tensor
from torch.distributions import Normal

from mmvae.analysis import DiscriminantAnalysis, few_of_each
from mmvae.fusion import Posteriors
from mmvae.model._data import Data, DataAccess, Indices
from mmvae.model._reader import Reader, labels_of

from ._posteriors import fused_mean

MIN_LABELLED = 10


class LabelMethods(DataAccess):
    """Labels that the model learnt from labelled cells."""

    @torch.inference_mode()
    def predict(
        self,
        adata: Data | None = None,
        indices: Indices | None = None,
        *,
        soft: bool = False,
        batch_size: int | None = None,
    ) -> np.ndarray | pd.DataFrame:
        """Labels of cells, whatever they have, learnt from the labelled cells that the model was trained with.

        A linear discriminant analysis of the fused latent, its probabilities calibrated on held-out labelled cells. A
        label is as likely beforehand as it is frequent among the labelled cells. There is one analysis for each missing
        pattern of the cells to predict, which learns from the labelled cells as they look when the model sees of them
        only what that pattern has. Any prior will do; ``prior="labels"`` lets the labels shape the latents, too.

        Parameters
        ----------
        adata, indices, batch_size
            As in :meth:`get_latent_representation`.
        soft
            Whether to return probabilities.

        Returns
        -------
        Labels, ``(n_cells,)``; with ``soft`` a DataFrame of probabilities, cells by labels. Cells that have a label are
        predicted as the others are. It takes 10 labelled cells of two labels at the least, and more cells than labels.
        """
        reader = Reader(self)
        known, labels, fusion = _labelled(self), labels_of(self.registry_), self.module.fusion
        data = reader.data(adata)
        cells, presence = reader.cells(data, indices)
        latent = [fused_mean(fusion, posteriors).cpu() for _, posteriors in reader.posteriors(data, cells, batch_size)]
        values = torch.cat(latent).numpy()
        found = np.zeros((len(cells), len(labels)))
        for pattern in np.unique(presence, axis=0):
            rows = (presence == pattern).all(axis=1)
            classifier = DiscriminantAnalysis.fit(_as_seen(reader, known, pattern), known["codes"], known["counts"])
            found[rows] = classifier.probabilities(values[rows])
        if soft:
            return pd.DataFrame(found, index=data.obs_names[cells], columns=labels)
        return np.asarray(labels)[found.argmax(axis=1)]


@torch.inference_mode()
def remember_labelled(reader: Reader, sample: Sequence[dict[str, Tensor]] | None = None) -> dict[str, Any] | None:
    """Codes and posteriors of some labelled cells, of the model's own or of ``sample``; ``None`` without labels.

    ``codes``, ``(N,)``; ``counts``, of all labelled cells by label, ``(Y,)``; ``present``, boolean, ``(N, M)``; ``loc``
    and ``scale``, by modality, ``(N, D_m)``, 0 and 1 where the modality is missing.
    """
    n_labels = len(labels_of(reader.model.registry_))
    if not n_labels:
        return None
    # From the number of labels on where a cell has none.
    if sample is None:
        codes = reader.codes(REGISTRY_KEYS.LABELS_KEY).astype(int)
    else:
        codes = torch.cat([tensors[REGISTRY_KEYS.LABELS_KEY] for tensors in sample]).numpy().ravel().astype(int)
    cells = few_of_each(codes, n_labels)
    read = [posteriors for _, posteriors in reader.posteriors(None, cells, dataloader=sample)]
    # What is read of a sample are all of its cells.
    among = slice(None) if sample is None else cells
    known = {"codes": codes[cells], "counts": np.bincount(codes, minlength=n_labels)[:n_labels]}
    known["present"] = torch.cat([p.encoded for p in read]).cpu().numpy()[among]
    return known | {
        part: {n: torch.cat([getattr(p.normals[n], part) for p in read]).cpu().numpy()[among] for n in reader.names}
        for part in ("loc", "scale")
    }


def _labelled(model: DataAccess) -> dict[str, Any]:
    """What is remembered of the labelled cells."""
    known = model.memory.labelled
    if known is None:
        msg = "Expected a model trained with labels; got none. Give labels_key in setup_mudata, and train."
        raise ValueError(msg)
    codes = known["codes"]
    n_labels = len(np.unique(codes))
    if len(codes) < MIN_LABELLED or not 1 < n_labels < len(codes):
        msg = (
            f"Expected {MIN_LABELLED} labelled cells of two labels at the least, and more cells than labels; got "
            f"{len(codes)} cells of {n_labels}. Label more cells."
        )
        raise ValueError(msg)
    return known


def _as_seen(reader: Reader, known: dict[str, Any], pattern: np.ndarray) -> np.ndarray:
    """Fused latents of the labelled cells if they had no more than ``pattern``; as they are if they have none of it."""
    device = reader.module.device
    present = torch.as_tensor(known["present"], device=device)
    kept = present & torch.as_tensor(pattern, device=device)
    kept = torch.where(kept.any(dim=1, keepdim=True), kept, present)
    normals = {}
    for name in reader.names:
        loc, scale = (torch.as_tensor(known[part][name], device=device) for part in ("loc", "scale"))
        normals[name] = Normal(loc, scale, validate_args=False)
    return fused_mean(reader.module.fusion, Posteriors.masked(normals, kept)).cpu().numpy()
