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
        modalities. ``get_latent_representation`` gives each modality's part of ``"fused"`` the total variance
        :math:`r_m^2`.

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
        """Each modality's part of what the decoders read, at total variance 1 and shrunk by its reliability.

        A learned prior lets a latent have any scale, so its variance says nothing of its weight. The factor is
        Kelley's: the expectation of a true score, given an observed one of reliability r, is r times that.
        """
        weights = {name: r / self._spread(name) for name, r in self._reliability().items()}
        return self.module.fusion.weighted(fused, weights)

    def _spread(self, name: str) -> float:
        """Root of the total variance of draws of a modality's latent over training cells."""
        return (self.spread_ or {}).get(name, 1.0)

    @torch.inference_mode()
    def _remember_reliability(self) -> None:
        """Read training cells from two halves of the features, always the same ones, and from all of them."""
        generator = np.random.default_rng(0)
        cells = np.sort(generator.permutation(np.asarray(self.train_indices_))[:MOST_CELLS])
        parts = {name: self._parts(name, generator) for name in self.modalities}
        found: dict[str, list[Tensor]] = {name: [] for name in self.modalities}
        for tensors in self._minibatches(None, cells, None):
            inputs = self.module._get_inference_input(tensors)
            for index, name in enumerate(self.modalities):
                if bool(tensors[PRESENT][:, index].any()):
                    found[name].append(self.module.read_parts(name, parts[name], **inputs).cpu())
        # Means and variances, (2, 3, C, D_m).
        read = {name: torch.cat(batches, dim=2).double() for name, batches in found.items() if batches}
        ones = dict.fromkeys(self.modalities, 1.0)
        self.reliability_ = ones | {name: _agreement(*means[:2]) for name, (means, _) in read.items()}
        self.spread_ = ones | {name: _spread(means[2], variances[2]) for name, (means, variances) in read.items()}

    def _parts(self, name: str, generator: np.random.Generator) -> Tensor:
        """Which features are in the first half, the second, and the whole, ``(3, G_m)``; all in each if there is one."""
        n_features = self.module.likelihoods[name].n_features
        first = generator.permutation(n_features) < n_features // 2
        whole = np.ones(n_features, dtype=bool)
        parts = np.stack([first, ~first, whole] if n_features > 1 else [whole] * 3)
        return torch.as_tensor(parts, dtype=torch.float32, device=self.module.device)


def _agreement(first: Tensor, second: Tensor) -> float:
    """Reliability from a cell's two latents, both ``(C, D_m)``."""
    first, second = first - first.mean(dim=0), second - second.mean(dim=0)
    variance = (first.square().sum() + second.square().sum()) / 2
    agreement = float((first * second).sum() / variance) if variance > 0 else 1.0
    return max(FLOOR, agreement)


def _spread(means: Tensor, variances: Tensor) -> float:
    """Root of the total variance of draws from the posteriors of all cells, both ``(C, D_m)``.

    Of draws and not of means: those of a modality that tells nothing hardly vary, and need not be blown up.
    """
    return float((means.var(dim=0, correction=0) + variances.mean(dim=0)).sum()) ** 0.5
