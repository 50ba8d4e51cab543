"""Label-informed mixture: C cells, D latent dimensions, Y labels, J components a label, K = Y J components."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from ._anchor import moment_anchor
from ._base import WarmStarted

if TYPE_CHECKING:
    from torch import Tensor

    from ._base import PosteriorSample, PriorContext

LOG_SCALE_RANGE = (-2.5, 1.5)
EM_STEPS = 20
# Pooled spread that a label's own is shrunk to, in cells.
SHRINKAGE = 10.0


class LabelledMixture(WarmStarted, name="labels"):
    r"""Mixture whose components belong to the labels, :math:`p(z) = \sum_y \pi_y\, p(z \mid y)`.

    A cell of known label is charged by its label's components alone, :math:`KL(q \| p(z \mid y))`; a cell without, by
    the whole mixture, the label marginalised. Few labels suffice, and a label's density,
    :math:`p(y \mid z) \propto \pi_y\, p(z \mid y)`, classifies. The idea of a prior that depends on the label is
    scANVI's :cite:p:`Xu2021`, which has one for all modalities together.

    N(0, I) during a short warm start; then fitted to the latents by expectation-maximisation in which labelled cells
    keep their label.

    Parameters
    ----------
    n_latent
        Latent dimensions, D.
    n_labels
        Number of labels, Y.
    n_components
        Components of each label, J.

    Raises
    ------
    ValueError
        If there are no labels.
    """

    def __init__(self, n_latent: int, n_labels: int, n_components: int = 1) -> None:
        super().__init__(n_latent)
        if n_labels < 1:
            msg = "Expected labels for prior 'labels'; got none. Give labels_key in setup_mudata."
            raise ValueError(msg)
        self.n_labels, self.n_components = n_labels, n_components
        size = n_labels * n_components
        self.loc = nn.Parameter(torch.zeros(size, n_latent))
        self.log_scale = nn.Parameter(torch.zeros(size, n_latent))
        self.logits = nn.Parameter(torch.zeros(size))

    def learned(self, context: PriorContext) -> MixtureSameFamily:
        if context.labels is None or not bool((context.labels >= 0).any()):
            mixing = Categorical(logits=self.logits, validate_args=False)
            return MixtureSameFamily(mixing, self._components(), validate_args=False)
        of_label = self._label_of_component() == context.labels[:, None]
        allowed = of_label | (context.labels < 0)[:, None]
        logits = self.logits.log_softmax(dim=0).masked_fill(~allowed, -torch.inf)
        shape = (len(context.labels), len(self.loc))
        return MixtureSameFamily(
            Categorical(logits=logits, validate_args=False), self._components().expand(shape), validate_args=False
        )

    def label_log_prob(self, latent: Tensor) -> Tensor:
        r""":math:`\log p(z \mid y)` of each label, ``(n_cells, n_labels)``, in nats."""
        weights = self.logits.reshape(self.n_labels, -1).log_softmax(dim=1)
        components = self._components().log_prob(latent[:, None]).reshape(len(latent), self.n_labels, -1)
        return (weights + components).logsumexp(dim=-1)

    def label_log_weights(self) -> Tensor:
        r""":math:`\log \pi_y`, ``(n_labels,)``."""
        return self.logits.log_softmax(dim=0).reshape(self.n_labels, -1).logsumexp(dim=1)

    @torch.no_grad()
    def init_from(self, sample: PosteriorSample) -> None:
        labels = sample.labels
        if labels is None or not bool((labels >= 0).any()):
            labels = torch.full((len(sample.loc),), -1, device=sample.loc.device)
        allowed = ((self._label_of_component() == labels[:, None]) | (labels < 0)[:, None]).float()
        generator = torch.Generator().manual_seed(0)
        self.loc.copy_(self._label_means(sample.loc, labels))
        if self.n_components > 1:
            self.loc.add_(0.1 * torch.randn(self.loc.shape, generator=generator).to(self.loc))
        for _ in range(EM_STEPS):
            self._em_step(sample, allowed)
        self.ready.fill_(True)

    def regularizer(self) -> Tensor:
        """Hold the mixture's overall mean near 0 and variance near 1: the latent's scale is otherwise free."""
        if not self.ready:
            return super().regularizer()
        return moment_anchor(self.logits, self.loc, (2 * self.log_scale.clamp(*LOG_SCALE_RANGE)).exp())

    def _components(self) -> Independent[Normal]:
        scale = self.log_scale.clamp(*LOG_SCALE_RANGE).exp()
        return Independent(Normal(self.loc, scale, validate_args=False), 1, validate_args=False)

    def _label_of_component(self) -> Tensor:
        return torch.arange(self.n_labels, device=self.loc.device).repeat_interleave(self.n_components)

    def _label_means(self, latent: Tensor, labels: Tensor) -> Tensor:
        """Mean of each label's cells, of all cells where it has none, for each component, ``(K, D)``."""
        one_hot = (labels[:, None] == torch.arange(self.n_labels, device=labels.device)).to(latent)
        count = one_hot.sum(dim=0)[:, None]
        means = torch.where(count > 0, one_hot.T @ latent / count.clamp_min(1), latent.mean(dim=0))
        return means.repeat_interleave(self.n_components, dim=0)

    def _em_step(self, sample: PosteriorSample, allowed: Tensor) -> None:
        """One step of expectation-maximisation with diagonal covariances, shrunk to the pooled one."""
        fits = self.logits.log_softmax(dim=0) + self._components().log_prob(sample.loc[:, None])
        weight = fits.masked_fill(allowed == 0, -torch.inf).softmax(dim=1)
        count = weight.sum(dim=0)[:, None]
        mean = (weight.T @ sample.loc + 1e-3 * self.loc) / (count + 1e-3)
        spread = weight.T @ (sample.loc.square() + sample.scale.square()) - count * mean.square()
        pooled = spread.sum(dim=0) / len(sample.loc)
        variance = ((spread + SHRINKAGE * pooled) / (count + SHRINKAGE)).clamp_min(1e-3)
        self.loc.copy_(mean)
        self.log_scale.copy_(0.5 * variance.log())
        self.logits.copy_(((count[:, 0] + 1) / (len(sample.loc) + len(count))).log())
