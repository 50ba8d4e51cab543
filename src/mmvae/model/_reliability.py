"""How far a modality's latent repeats itself: C cells, G_m features, D_m dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from mmvae._keys import PRESENT

from ._typing import ModelBase

if TYPE_CHECKING:
    from torch import Tensor

MOST_CELLS = 10_000
FLOOR = 0.01


class ReliabilityMixin(ModelBase):
    """``get_reliability``, and readouts weighted by it."""

    def get_reliability(self) -> pd.Series:
        r"""How far each modality's latent is the same when it is read from either half of the modality's features.

        The split-half reliability of psychometrics :cite:p:`Spearman1910`: of the latent's means a and b, each from a
        random half of the features, summed over dimensions,

        .. math:: r_m = \frac{\sum_d \operatorname{cov}(a_d, b_d)}{\sum_d \frac{1}{2}(\operatorname{var} a_d
            + \operatorname{var} b_d)}

        Near 1: the features tell the same. Near 0: what the latent holds is the noise of single features, or each
        feature tells something of its own, as in a panel of very few. It needs no labels, nor cells with several
        modalities. ``get_latent_representation`` scales each modality's part of ``"fused"`` by its square root.

        Returns
        -------
        Reliability by modality, between 0.01 and 1, over the training cells, at most 10,000 of them; 1 for a
        modality of one feature.

        Raises
        ------
        RuntimeError
            If the model is not trained.
        """
        self._check_if_trained(warn=False)
        return pd.Series(self._reliability(), name="reliability")

    def _reliability(self) -> dict[str, float]:
        """What training found; 1 for each modality of a model that has not been trained to the end."""
        return self.reliability_ or dict.fromkeys(self.modalities, 1.0)

    def _weighted(self, fused: Tensor) -> Tensor:
        """Each modality's part of what the decoders read, scaled by the square root of its reliability."""
        weights = {name: value**0.5 for name, value in self._reliability().items()}
        return self.module.fusion.weighted(fused, weights)

    @torch.inference_mode()
    def _remember_reliability(self) -> None:
        """Read training cells from two halves of the features, always the same ones."""
        generator = np.random.default_rng(0)
        cells = np.sort(generator.permutation(np.asarray(self.train_indices_))[:MOST_CELLS])
        halves = {name: self._halves(name, generator) for name in self.modalities}
        found: dict[str, list[Tensor]] = {name: [] for name in self.modalities}
        for tensors in self._minibatches(None, cells, None):
            inputs = self.module._get_inference_input(tensors)
            for index, name in enumerate(self.modalities):
                if bool(tensors[PRESENT][:, index].any()):
                    found[name].append(self.module.read_halves(name, halves[name], **inputs).cpu())
        self.reliability_ = {
            name: _agreement(torch.cat(parts, dim=1)) if parts else 1.0 for name, parts in found.items()
        }

    def _halves(self, name: str, generator: np.random.Generator) -> Tensor:
        """Which features are in the first half and which in the second, ``(2, G_m)``; all in both if there is one."""
        n_features = self.module.likelihoods[name].n_features
        first = generator.permutation(n_features) < n_features // 2
        both = np.stack([first, ~first]) if n_features > 1 else np.ones((2, 1), dtype=bool)
        return torch.as_tensor(both, dtype=torch.float32, device=self.module.device)


def _agreement(means: Tensor) -> float:
    """Reliability from a cell's two latents, ``(2, C, D_m)``."""
    first, second = (means - means.mean(dim=1, keepdim=True)).double()
    variance = (first.square().sum() + second.square().sum()) / 2
    agreement = float((first * second).sum() / variance) if variance > 0 else 1.0
    return max(FLOOR, agreement)
