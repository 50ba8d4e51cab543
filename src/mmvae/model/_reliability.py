"""How far a modality's latent repeats itself: C cells, G_m features, D_m dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from mmvae._keys import PRESENT, Z
from mmvae.train import seeded

from ._typing import ModelBase

if TYPE_CHECKING:
    from torch import Tensor

MOST_CELLS = 10_000
FLOOR = 0.01


class ReliabilityMixin(ModelBase):
    """``get_reliability``, and readouts weighted by it."""

    def get_reliability(self) -> pd.Series:
        r"""How reliable each modality's latent is: whether its features, read in halves, tell the same.

        The split-half reliability of psychometrics :cite:p:`Spearman1910`. Of the latent's means a and b, each from a
        random half of the features, summed over dimensions, and stepped up from half the features to all,

        .. math:: h_m = \frac{\sum_d \operatorname{cov}(a_d, b_d)}{\sum_d \frac{1}{2}(\operatorname{var} a_d
            + \operatorname{var} b_d)}, \qquad r_m = \frac{2 h_m}{1 + h_m}

        Near 1: the features tell the same. Near 0: what the latent holds is the noise of single features, or each
        feature tells something of its own, as in a panel of very few. It needs no labels, nor cells with several
        modalities. It depends on ``input_dropout``, which teaches an encoder to do with some of the features: compare
        models that have the same. ``get_latent_representation`` weighs the modalities of ``"fused"`` by it.

        Returns
        -------
        Reliability by modality, between 0.01 and 1, over the training cells, at most 10,000 of them; 1 for a
        modality of one feature, or without training cells.

        Raises
        ------
        RuntimeError
            If the model is not trained, or its reliability was not measured because training did not end well.
        """
        self._check_if_trained(warn=False)
        if self.reliability_ is None:
            msg = "Expected a model whose training has come to its end; got none. Call train."
            raise RuntimeError(msg)
        return pd.Series(self.reliability_, name="reliability")

    def _weighted(self, fused: Tensor) -> Tensor:
        """Each modality's part of what the decoders read, its draws at total variance 1, shrunk by its reliability.

        A learned prior lets a latent have any scale, so its variance says nothing of its weight. The factor is
        Kelley's: the expectation of a true score, given an observed one of reliability r, is r times that.
        """
        blocks = self.module.fusion.blocks(fused)
        if not blocks or self.reliability_ is None or self.spread_ is None:
            return fused
        scaled = [self.reliability_[name] / self.spread_[name] * block for name, block in blocks.items()]
        return torch.cat(scaled, dim=-1)

    @torch.inference_mode()
    def _remember_reliability(self) -> None:
        """Read training cells from two halves of the features, always the same ones, and draw their fused latents."""
        generator = np.random.default_rng(0)
        cells = np.sort(generator.permutation(np.asarray(self.train_indices_))[:MOST_CELLS])
        halves = {name: self._halves(name, generator) for name in self.modalities}
        read: dict[str, list[Tensor]] = {name: [] for name in self.modalities}
        drawn: dict[str, list[Tensor]] = {name: [] for name in self.modalities}
        with seeded(0):
            for tensors in self._minibatches(None, cells, None):
                inputs = self.module._get_inference_input(tensors)
                blocks = self.module.fusion.blocks(self.module.inference(**inputs)[Z].cpu())
                for name, has in zip(self.modalities, tensors[PRESENT].cpu().T, strict=True):
                    if bool(has.any()):
                        read[name].append(self.module.read_halves(name, halves[name], **inputs).cpu())
                        drawn[name].append(blocks[name][has] if blocks else torch.zeros(0, 1))
        ones = dict.fromkeys(self.modalities, 1.0)
        self.reliability_ = ones | {n: _reliability(*torch.cat(r, dim=1).double()) for n, r in read.items() if r}
        self.spread_ = ones | {n: _spread(torch.cat(d).double()) for n, d in drawn.items() if d}

    def _halves(self, name: str, generator: np.random.Generator) -> Tensor:
        """Which features are in the first half and which in the second, ``(2, G_m)``; all in both if there is one."""
        n_features = self.module.likelihoods[name].n_features
        first = generator.permutation(n_features) < n_features // 2
        both = np.stack([first, ~first]) if n_features > 1 else np.ones((2, 1), dtype=bool)
        return torch.as_tensor(both, dtype=torch.float32, device=self.module.device)


def _reliability(first: Tensor, second: Tensor) -> float:
    """Reliability of a latent from the means of two halves, both ``(C, D_m)``."""
    first, second = first - first.mean(dim=0), second - second.mean(dim=0)
    variance = (first.square().sum() + second.square().sum()) / 2
    agreement = float((first * second).sum() / variance) if variance > 0 else 1.0
    return max(FLOOR, 2 * agreement / (1 + agreement)) if agreement > 0 else FLOOR


def _spread(drawn: Tensor) -> float:
    """Root of the total variance of draws, ``(C, D_m)``; 1 if there is none.

    Of draws and not of means: those of a modality that tells nothing hardly vary, and need not be blown up.
    """
    total = float(drawn.var(dim=0, correction=0).sum()) if len(drawn) else 0.0
    return total**0.5 if total > 0 else 1.0
