"""Mixture of the modalities' posteriors: C cells, M modalities, D latent dimensions, K = M + 1 components."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal

from mmvae.fusion import Posteriors

from ._base import Prior, PriorContext


class MMVM(Prior, name="mmvm"):
    r"""A modality's latent is expected where the cell's modalities put theirs :cite:p:`Sutter2024`.

    .. math:: p(z_m \mid x) = \frac{1}{1 + |S|} \Big( N(z_m; 0, I) + \sum_{s \in S} q_s(z_m \mid x_s) \Big)

    over the modalities S that the encoders saw of a cell, m among them. This pulls the modalities' latents together,
    dimension by dimension, so all must have the same number. N(0, I) is there for cells of a single modality, which
    would otherwise cost nothing wherever they lie.

    The cost is not the divergence from the mixture, which is at most :math:`\log(1 + |S|)` and stops pulling there, but
    its upper bound

    .. math:: KL(q_m \| p) \le \frac{1}{1 + |S|} \Big( KL(q_m \| N(0, I)) + \sum_{s \in S} KL(q_m \| q_s) \Big)

    The mixture depends on the cell's own data, so ELBOs under this prior are not comparable with those under others.
    """

    needs_posteriors = True

    def forward(self, context: PriorContext) -> Distribution:
        """The mixture, batch shape ``(n_cells,)``; N(0, I) without posteriors."""
        if context.posteriors is None:
            return self.standard_normal()
        components, log_weights = self._components(context.posteriors)
        mixing = Categorical(logits=log_weights, validate_args=False)
        return MixtureSameFamily(mixing, Independent(components, 1, validate_args=False), validate_args=False)

    def kl(self, posterior: Distribution, sample: Tensor, context: PriorContext) -> Tensor:
        """The mean of the divergences from the components, in closed form; an upper bound, in nats, ``(n_cells,)``."""
        if context.posteriors is None:
            return super().kl(posterior, sample, context)
        components, log_weights = self._components(context.posteriors)
        q: Any = posterior
        loc, scale = q.base_dist.loc[:, None], q.base_dist.scale[:, None]
        ratio = (scale / components.scale).square()
        distance = ((loc - components.loc) / components.scale).square()
        each = 0.5 * (ratio + distance - 1 - ratio.log()).sum(dim=-1)
        return (log_weights.softmax(dim=-1) * each).sum(dim=-1)

    def _components(self, posteriors: Posteriors) -> tuple[Normal, Tensor]:
        """N(0, I) and the posteriors, batch shape ``(n_cells, K, D)``, and their log-weights, ``(n_cells, K)``.

        Posteriors that a cell does not have are N(0, I) too, with weight 0.
        """
        standard = self.zeros.expand(len(posteriors.encoded), -1)
        loc = torch.stack([standard, *(q.loc for q in posteriors.normals.values())], dim=1)
        scale = torch.stack([1 + standard, *(q.scale for q in posteriors.normals.values())], dim=1)
        present = torch.cat([torch.ones_like(posteriors.encoded[:, :1]), posteriors.encoded], dim=1)
        log_weights = torch.zeros_like(present, dtype=loc.dtype).masked_fill(~present, -torch.inf)
        return Normal(loc, scale, validate_args=False), log_weights
