"""Concatenation: C cells, M modalities, U = sum of D_m fused dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.distributions import Normal, kl_divergence

from mmvae.nn import Predictor

from ._base import Fusion, Priced

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from ._experts import Experts


class Concatenation(Fusion, name="concat"):
    r"""Concatenate the modalities' latents, :math:`u = [z_1; \dots; z_M]`.

    Every modality keeps a latent and a prior of its own. The block of a modality that a cell lacks is filled in by
    :class:`~mmvae.nn.Predictor` from the blocks it has; the predictor learns from the cells that have both, and
    neither it nor the fill sends gradients to the encoders. There is no network between the concatenation and the
    decoders: in simulation one made the embeddings of different missing patterns differ.

    Parameters
    ----------
    n_latent
        Latent dimensions of each modality, D_m.
    """

    def __init__(self, n_latent: Mapping[str, int]) -> None:
        super().__init__(n_latent)
        self.latents = self.n_latent
        self.n_output = sum(self.n_latent.values())
        self.predictor = Predictor(self.n_latent)

    def link(self, shared: Tensor) -> None:
        self.predictor.link(shared > 0)

    def posterior(self, experts: Experts) -> Normal:
        return self._join(self._filled(experts))

    def single(self, name: str, experts: Experts) -> Normal:
        return self._filled(experts)[name]

    def priced(self, experts: Experts, posterior: Normal, sample: Tensor) -> list[Priced]:
        blocks = sample.split(list(self.n_latent.values()), dim=-1)
        rows = {name: experts.rows(name) for name in self.n_latent}
        return [
            Priced(name, experts.posteriors[name], block[rows[name]], rows[name])
            for name, block in zip(self.n_latent, blocks, strict=True)
        ]

    def loss(self, experts: Experts) -> Tensor | None:
        r""":math:`\sum_t KL(q_t \| r_t)` over modalities t held out at random from cells that have several."""
        if len(self.n_latent) == 1:
            return None
        sources, targets = self._hold_out(experts.encoded)
        known = {name: experts.scatter(name, q.loc.detach()) for name, q in experts.posteriors.items()}
        total = sources.new_zeros(len(sources), dtype=torch.float32)
        for index, (name, q) in enumerate(experts.posteriors.items()):
            use = self.predictor.sources(name, sources)
            rows = targets[:, index] & use.any(dim=1)
            truth = Normal(known[name][rows], experts.scatter(name, q.scale.detach(), 1.0)[rows], validate_args=False)
            guess = self.predictor(name, {n: value[rows] for n, value in known.items()}, use[rows])
            total = total.index_put((rows.nonzero(as_tuple=True)[0],), kl_divergence(truth, guess).sum(dim=-1))
        return total

    @staticmethod
    def _hold_out(encoded: Tensor) -> tuple[Tensor, Tensor]:
        """Split what each cell has at random into sources and targets, at least one of each where it has two."""
        score = torch.rand(encoded.shape, device=encoded.device).masked_fill(~encoded, 2.0)
        rank = score.argsort(dim=1).argsort(dim=1)
        count = encoded.sum(dim=1, keepdim=True)
        n_sources = 1 + (torch.rand_like(count, dtype=torch.float32) * (count - 1)).floor()
        sources = encoded & (rank < n_sources)
        return sources, encoded & ~sources

    def _filled(self, experts: Experts) -> dict[str, Normal]:
        """Posterior of every modality's latent in every cell, predicted where the cell lacks the modality."""
        loc = {name: experts.scatter(name, q.loc) for name, q in experts.posteriors.items()}
        scale = {name: experts.scatter(name, q.scale, fill=1.0) for name, q in experts.posteriors.items()}
        known = experts.encoded
        # A second round reaches modalities that only a filled one informs: protein from ATAC by way of RNA.
        for _ in range(len(self.n_latent) - 1):
            if bool(known.all()):
                break
            known = self._fill_once(loc, scale, known)
        return {name: Normal(loc[name], scale[name], validate_args=False) for name in self.n_latent}

    @torch.no_grad()
    def _predict(self, name: str, loc: Mapping[str, Tensor], use: Tensor) -> Normal:
        return self.predictor(name, loc, use)

    def _fill_once(self, loc: dict[str, Tensor], scale: dict[str, Tensor], known: Tensor) -> Tensor:
        reached = known.clone()
        before = dict(loc)
        for index, name in enumerate(self.n_latent):
            use = self.predictor.sources(name, known)
            rows = (~known[:, index] & use.any(dim=1)).nonzero(as_tuple=True)[0]
            guess = self._predict(name, {n: value[rows] for n, value in before.items()}, use[rows])
            loc[name] = loc[name].index_put((rows,), guess.loc)
            scale[name] = scale[name].index_put((rows,), guess.scale)
            reached[rows, index] = True
        return reached

    def _join(self, blocks: Mapping[str, Normal]) -> Normal:
        loc = torch.cat([q.loc for q in blocks.values()], dim=-1)
        return Normal(loc, torch.cat([q.scale for q in blocks.values()], dim=-1), validate_args=False)
