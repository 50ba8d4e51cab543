"""Joint posteriors: C cells, M modalities, D latent dimensions, K subsets of the modalities."""

import itertools
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal

from mmvae._keys import JOINT
from mmvae.nn import draw_category

from ._base import Fusion, LatentDraw, PriorTerm, as_vector
from ._posteriors import Posteriors

MOST_MODALITIES, SAMPLED_SUBSETS = 4, 16
PARTS = ("loc", "scale")


class JointPosterior(Fusion):
    r"""One latent for all modalities, with one prior; base of ``poe``, ``moe`` and ``mopoe``.

    The posterior is an even mixture over some subsets S of what a cell has, each a product of a standard normal and
    the subset's experts:

    .. math:: q(u) = \frac{1}{K} \sum_S N(\mu_S, \Lambda_S^{-1}), \qquad
              \Lambda_S = 1 + \sum_{m \in S} v_m^{-1}, \quad \mu_S = \Lambda_S^{-1} \sum_{m \in S} v_m^{-1} \mu_m

    Any missing pattern has a posterior, and nothing needs to be filled in. A subclass says which subsets
    (:meth:`subsets`). A training step draws one subset for each cell. Readouts are the mixture's mean and standard
    deviation. The modalities must have equal ``n_latent``.
    """

    def __init__(self, n_latent: Mapping[str, int]) -> None:
        super().__init__(n_latent)
        if len(set(n_latent.values())) != 1:
            msg = (
                f"Expected one n_latent for all modalities under fusion '{self.name}'; got {dict(n_latent)}. "
                "Give one number."
            )
            raise ValueError(msg)
        self.n_output = next(iter(n_latent.values()))
        self.latents = {JOINT: self.n_output}

    def subsets(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """Subsets to mix, boolean, ``(n_cells or 1, K, M)``, and which of them each cell has, ``(n_cells, K)``."""
        raise NotImplementedError

    def posterior(self, posteriors: Posteriors) -> Normal:
        q = self._mixture(posteriors)
        if isinstance(q, Independent):
            return cast("Normal", q.base_dist)
        return Normal(q.mean, q.variance.sqrt(), validate_args=False)

    def draw(self, posteriors: Posteriors) -> LatentDraw:
        q = self._mixture(posteriors)
        sample = q.rsample() if isinstance(q, Independent) else self._of_one_subset(q).rsample()
        return LatentDraw(sample, [PriorTerm(JOINT, q, sample, torch.ones_like(posteriors.encoded[:, 0]))])

    def unimodal_posterior(self, name: str, posteriors: Posteriors) -> Normal:
        """Product of the standard normal and the modality's posterior; the joint posterior where a cell lacks it."""
        has = posteriors.mask(name)[:, None]
        alone = torch.tensor([n == name for n in self.n_latent], device=has.device)[None, None]
        own, joint = self._product(posteriors, alone), self.posterior(posteriors)
        loc = torch.where(has, own.loc.squeeze(1), joint.loc)
        return Normal(loc, torch.where(has, own.scale.squeeze(1), joint.scale), validate_args=False)

    def latent_of(self, name: str) -> tuple[str, slice]:
        return JOINT, slice(None)

    def _of_one_subset(self, mixture: Any) -> Normal:
        """A subset drawn for each cell: it has no gradient, and needs none, since the weights are even."""
        drawn = draw_category(mixture.mixture_distribution.logits)
        base = mixture.component_distribution.base_dist
        index = drawn[:, None, None].expand(-1, 1, self.n_output)
        loc, scale = base.loc.gather(1, index).squeeze(1), base.scale.gather(1, index).squeeze(1)
        return Normal(loc, scale, validate_args=False)

    def _mixture(self, posteriors: Posteriors) -> Distribution:
        subsets, available = self.subsets(posteriors.encoded)
        components = self._product(posteriors, subsets)
        if components.loc.shape[1] == 1:
            return as_vector(Normal(components.loc.squeeze(1), components.scale.squeeze(1), validate_args=False))
        weights = torch.zeros_like(available, dtype=components.loc.dtype).masked_fill(~available, -torch.inf)
        mixing = Categorical(logits=weights, validate_args=False)
        return MixtureSameFamily(mixing, as_vector(components), validate_args=False)

    def _product(self, posteriors: Posteriors, subsets: Tensor) -> Normal:
        """Products over what a cell has of ``subsets``, ``(n_cells or 1, K, M)``: batch shape ``(n_cells, K, D)``."""
        loc, scale = (torch.stack([getattr(q, part) for q in posteriors.normals.values()], dim=1) for part in PARTS)
        share = scale.square().reciprocal()
        inside = (subsets & posteriors.encoded[:, None])[..., None]
        # No matrix product: mixed precision would take it in half precision.
        precision = 1 + (inside * share[:, None]).sum(dim=2)
        weighted = (inside * (share * loc)[:, None]).sum(dim=2)
        return Normal(weighted / precision, precision.rsqrt(), validate_args=False)


class ProductOfExperts(JointPosterior, name="poe"):
    """Everything that a cell has, multiplied :cite:p:`Wu2018`. See :class:`~mmvae.fusion.JointPosterior`."""

    def subsets(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        return encoded[:, None], encoded.new_ones(len(encoded), 1)


class MixtureOfExperts(JointPosterior, name="moe"):
    """Each modality by itself, mixed :cite:p:`Shi2019`. See :class:`~mmvae.fusion.JointPosterior`.

    The joint posterior is never sharper than one modality's. The experts are multiplied by a standard normal first,
    unlike in the original, so that a cell's view from one modality is the same under ``poe``, ``moe`` and ``mopoe``.
    """

    def subsets(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        n_modalities = encoded.shape[1]
        none = encoded.new_zeros(1, n_modalities)
        subsets = torch.cat([none, torch.eye(n_modalities, dtype=torch.bool, device=encoded.device)])
        return subsets[None], torch.cat([~encoded.any(dim=1, keepdim=True), encoded], dim=1)


class MixtureOfProducts(JointPosterior, name="mopoe"):
    """Every non-empty subset of what a cell has, mixed :cite:p:`Sutter2021`. See :class:`~mmvae.fusion.JointPosterior`.

    Beyond four modalities a training step mixes 16 subsets drawn anew, with each modality alone and all together
    among them; readouts mix all.
    """

    always: Tensor
    others: Tensor

    def __init__(self, n_latent: Mapping[str, int]) -> None:
        super().__init__(n_latent)
        subsets = torch.tensor(list(itertools.product((False, True), repeat=len(n_latent))))
        size = subsets.sum(dim=1)
        few = len(n_latent) <= MOST_MODALITIES
        always = torch.full_like(size, few, dtype=torch.bool) | (size <= 1) | (size == len(n_latent))
        # The empty one first.
        self.register_buffer("always", subsets[always], persistent=False)
        self.register_buffer("others", subsets[~always], persistent=False)

    def subsets(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        subsets = torch.cat([self.always, self.others[self._drawn()]])
        inside = ~(subsets[None] & ~encoded[:, None]).any(dim=2)
        empty = ~subsets.any(dim=1)
        return subsets[None], inside & (~empty | ~encoded.any(dim=1, keepdim=True))

    def _drawn(self) -> Tensor:
        """Which of the others are mixed; all outside training."""
        n_all, device = len(self.others), self.others.device
        if not self.training:
            return torch.arange(n_all, device=device)
        return torch.randperm(n_all, device=device)[: max(0, SAMPLED_SUBSETS - len(self.always) + 1)]
