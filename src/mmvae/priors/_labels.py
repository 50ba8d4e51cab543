"""Label-informed mixture: C cells, D latent dimensions, Y labels, J components a label, K = Y J components."""

import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily

from mmvae._checks import COUNT, check_numbers

from ._base import PosteriorSample, PriorContext
from ._mixture import DiagonalMixture

EM_STEPS = 20
# Weight of the labelled cells' classification by the components, which their KL alone does not hold.
FIDELITY = 10.0
# Pooled spread that a label's own is shrunk to, in cells.
SHRINKAGE = 10.0


class LabelledMixture(DiagonalMixture, name="labels"):
    r"""Mixture whose components belong to the labels, :math:`p(z) = \sum_y \pi_y\, p(z \mid y)`.

    A cell of known label is charged by its label's components alone, :math:`KL(q \| p(z \mid y))`; a cell without, by
    the whole mixture, the label marginalised. Few labels suffice, and a label's density,
    :math:`p(y \mid z) \propto \pi_y\, p(z \mid y)`, classifies. The idea of a prior that depends on the label is
    scANVI's :cite:p:`Xu2021`, which has one for all modalities together.

    N(0, I) until the KL has warmed up; then fitted to the latents by expectation-maximisation in which labelled cells keep
    their label.

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

    # Before, the latents tell little of the labels.
    init_after_warmup = True

    def __init__(self, n_latent: int, n_labels: int, n_components: int = 1) -> None:
        if n_labels == 0:
            msg = "Expected labels for prior 'labels'; got none. Give labels_key in setup_mudata."
            raise ValueError(msg)
        check_numbers(dict.fromkeys(("n_labels", "n_components"), COUNT), n_labels=n_labels, n_components=n_components)
        super().__init__(n_latent, n_labels * n_components)
        self.n_labels, self.n_components = n_labels, n_components

    def learned(self, context: PriorContext) -> MixtureSameFamily:
        if context.labels is None:
            return super().learned(context)
        _, allowed = self._of_label(context.labels)
        logits = self.logits.log_softmax(dim=0).masked_fill(~allowed, -torch.inf)
        mixing = Categorical(logits=logits, validate_args=False)
        return MixtureSameFamily(mixing, self.gaussians().expand(logits.shape), validate_args=False)

    def label_log_prob(self, latent: Tensor) -> Tensor:
        r""":math:`\log p(z \mid y)` of each label, ``(n_cells, n_labels)``, in nats."""
        weights = self.logits.reshape(self.n_labels, -1).log_softmax(dim=1)
        components = self.gaussians().log_prob(latent[:, None]).reshape(len(latent), self.n_labels, -1)
        return (weights + components).logsumexp(dim=-1)

    def label_log_weights(self) -> Tensor:
        r""":math:`\log \pi_y`, ``(n_labels,)``."""
        return self.logits.log_softmax(dim=0).reshape(self.n_labels, -1).logsumexp(dim=1)

    def loss(self, sample: Tensor, context: PriorContext) -> Tensor | None:
        r""":math:`-\log p(y \mid z)` of the labelled cells, so that components stay with their labels.

        Unlabelled cells, being many, would else draw the component of a rare label to whatever the others leave out.
        """
        if not self.is_initialised or context.labels is None or len(sample) == 0:
            return None
        log_odds = (self.label_log_prob(sample) + self.label_log_weights()).log_softmax(dim=1)
        known = context.labels >= 0
        chosen = log_odds.gather(1, context.labels.clamp_min(0)[:, None]).squeeze(1)
        return FIDELITY * torch.where(known, -chosen, 0.0)

    @torch.no_grad()
    def init_from(self, sample: PosteriorSample) -> None:
        none = torch.full((len(sample.loc),), -1, device=sample.loc.device)
        labels = none if sample.labels is None else sample.labels
        of_label, allowed = self._of_label(labels)
        generator = torch.Generator().manual_seed(0)
        self.loc.copy_(self._label_means(sample.loc, labels))
        if self.n_components > 1:
            spread = 0.5 * sample.loc.std(dim=0)
            self.loc.add_(spread * torch.randn(self.loc.shape, generator=generator).to(self.loc))
        if bool((labels >= 0).any()):
            # The spread within labels first: with too wide components, EM would merge them.
            self._maximise(sample, of_label.float() / self.n_components)
        for _ in range(EM_STEPS):
            fits = self.logits.log_softmax(dim=0) + self.gaussians().log_prob(sample.loc[:, None])
            self._maximise(sample, fits.masked_fill(~allowed, -torch.inf).softmax(dim=1))
        self.mark_initialised()

    def _of_label(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Which components belong to each cell's label, and which a cell may be in, ``(n_cells, K)``: all if it has none."""
        own = torch.arange(self.n_labels, device=self.loc.device).repeat_interleave(self.n_components)
        of_label = own == labels[:, None]
        return of_label, of_label | (labels < 0)[:, None]

    def _label_means(self, latent: Tensor, labels: Tensor) -> Tensor:
        """Mean of each label's cells, of all cells where it has none, for each component, ``(K, D)``."""
        one_hot = (labels[:, None] == torch.arange(self.n_labels, device=labels.device)).to(latent)
        count = one_hot.sum(dim=0)[:, None]
        means = torch.where(count > 0, one_hot.T @ latent / count.clamp_min(1), latent.mean(dim=0))
        return means.repeat_interleave(self.n_components, dim=0)

    def _maximise(self, sample: PosteriorSample, weight: Tensor) -> None:
        """Components from the share of each cell in each, ``(n_cells, K)``; covariances are shrunk to the pooled one."""
        count = weight.sum(dim=0)[:, None]
        mean = (weight.T @ sample.loc + 1e-3 * self.loc) / (count + 1e-3)
        spread = weight.T @ (sample.loc.square() + sample.scale.square()) - count * mean.square()
        pooled = spread.sum(dim=0) / count.sum()
        variance = ((spread + SHRINKAGE * pooled) / (count + SHRINKAGE)).clamp_min(1e-3)
        self.loc.copy_(mean)
        self.log_scale.copy_(0.5 * variance.log())
        self.logits.copy_(((count[:, 0] + 1) / (count.sum() + len(count))).log())
