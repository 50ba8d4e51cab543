"""Concatenation: C cells, M modalities, U = sum of D_m fused dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.distributions import Normal, kl_divergence

from mmvae._keys import COUPLED
from mmvae.nn import Predictor

from ._base import Fusion, Priced, event
from ._posteriors import Posteriors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from ._base import Coupling
    from ._experts import Experts


class Concatenation(Fusion, name="concat"):
    r"""Concatenate the modalities' latents, :math:`u = [z_1; \dots; z_M]`.

    Every modality keeps a latent and a prior of its own. The block of a modality that a cell lacks is filled in by
    :class:`~mmvae.nn.Predictor` from the blocks it has. The predictor learns from the cells that have both, which sends
    no gradient to the encoders, and from what the decoders make of its fill, which does: so an encoder learns to tell
    of its cell what the other modalities would. Under a coupled prior there is no predictor: the prior charges for all
    blocks at once, and its conditional distribution fills in the missing ones. There is no network between the
    concatenation and the decoders: in simulation one made the embeddings of different missing patterns differ.

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
        # In a tuple, so that torch does not take the prior for a part of the fusion.
        self._coupling: tuple[Coupling, ...] = ()

    def couple(self, coupling: Coupling) -> None:
        self._coupling = (coupling,)
        self.latents = {COUPLED: sum(self.n_latent.values())}
        self.predictor.requires_grad_(False)

    def link(self, shared: Tensor) -> None:
        self.predictor.link(shared > 0)

    def posterior(self, experts: Experts) -> Normal:
        return self._join(self._filled(experts))

    def sample(self, experts: Experts, posterior: Normal) -> Tensor:
        drawn = posterior.rsample()
        if self._coupling:
            (coupling,) = self._coupling
            return coupling.sample_missing(drawn, Posteriors(experts.posteriors, experts.encoded).observed_dims)
        blocks = self.blocks(drawn)
        # From the draws that the priors charge for: from the means the decoders would learn more than is paid for.
        for name, rows, guess in self._predicted(blocks, experts.encoded):
            blocks[name] = blocks[name].index_put((rows,), guess.rsample())
        return torch.cat(list(blocks.values()), dim=-1)

    def single(self, name: str, experts: Experts) -> Normal:
        return self._filled(experts)[name]

    def blocks(self, fused: Tensor) -> dict[str, Tensor]:
        return dict(zip(self.n_latent, fused.split(list(self.n_latent.values()), dim=-1), strict=True))

    def place(self, name: str) -> tuple[str, slice]:
        if not self._coupling:
            return name, slice(None)
        before = list(self.n_latent).index(name)
        start = sum(list(self.n_latent.values())[:before])
        return COUPLED, slice(start, start + self.n_latent[name])

    def priced(self, experts: Experts, posterior: Normal, sample: Tensor) -> list[Priced]:
        if self._coupling:
            everywhere = experts.encoded.new_ones(len(sample))
            return [Priced(COUPLED, event(posterior), sample, everywhere, self._known(experts))]
        rows = {name: experts.rows(name) for name in self.n_latent}
        return [
            Priced(name, event(experts.posteriors[name]), block[rows[name]], rows[name])
            for name, block in self.blocks(sample).items()
        ]

    def loss(self, experts: Experts) -> Tensor | None:
        r""":math:`\sum_t KL(q_t \| r_t)` over modalities t held out at random from cells that have several."""
        if len(self.n_latent) == 1 or self._coupling:
            return None
        sources, targets = self._hold_out(experts.encoded)
        drawn = {name: experts.scatter(name, q.sample()) for name, q in experts.posteriors.items()}
        total = sources.new_zeros(len(sources), dtype=torch.float32)
        for index, (name, q) in enumerate(experts.posteriors.items()):
            use = self.predictor.sources(name, sources)
            rows = targets[:, index] & use.any(dim=1)
            loc, scale = experts.scatter(name, q.loc.detach()), experts.scatter(name, q.scale.detach(), 1.0)
            truth = Normal(loc[rows], scale[rows], validate_args=False)
            guess = self.predictor(name, {n: value[rows] for n, value in drawn.items()}, use[rows])
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
        """Posterior of every modality's latent in every cell, filled in where the cell lacks the modality."""
        loc = {name: experts.scatter(name, q.loc) for name, q in experts.posteriors.items()}
        scale = {name: experts.scatter(name, q.scale, fill=1.0) for name, q in experts.posteriors.items()}
        if not bool(experts.encoded.all()):
            fill = self._fill_expected if self._coupling else self._fill_predicted
            fill(experts, loc, scale)
        return {name: Normal(loc[name], scale[name], validate_args=False) for name in self.n_latent}

    def _fill_expected(self, experts: Experts, loc: dict[str, Tensor], scale: dict[str, Tensor]) -> None:
        (coupling,) = self._coupling
        known = self._known(experts)
        own_loc, own_scale = (torch.cat(list(part.values()), dim=-1) for part in (loc, scale))
        expected = coupling.impute_missing(own_loc, Posteriors(experts.posteriors, experts.encoded).observed_dims)
        # What is known keeps its gradient, which `impute_missing` has not.
        loc |= self.blocks(torch.where(known, own_loc, expected.loc))
        scale |= self.blocks(torch.where(known, own_scale, expected.scale))

    def _fill_predicted(self, experts: Experts, loc: dict[str, Tensor], scale: dict[str, Tensor]) -> None:
        for name, rows, guess in self._predicted(loc, experts.encoded):
            loc[name] = loc[name].index_put((rows,), guess.loc)
            scale[name] = scale[name].index_put((rows,), guess.scale)

    def _predicted(self, values: dict[str, Tensor], known: Tensor) -> Iterator[tuple[str, Tensor, Normal]]:
        """Name, cells and prediction of each missing block; what the caller puts into ``values`` informs the next round.

        A second round reaches modalities that only a filled one informs: protein from ATAC by way of RNA.
        """
        for _ in range(len(self.n_latent) - 1):
            if bool(known.all()):
                return
            before, reached = dict(values), known.clone()
            for index, name in enumerate(self.n_latent):
                use = self.predictor.sources(name, known)
                rows = (~known[:, index] & use.any(dim=1)).nonzero(as_tuple=True)[0]
                yield name, rows, self.predictor(name, {n: value[rows] for n, value in before.items()}, use[rows])
                reached[rows, index] = True
            known = reached

    def _known(self, experts: Experts) -> Tensor:
        """Which dimensions of the concatenation an encoder set, boolean, ``(n_cells, n_output)``."""
        widths = torch.tensor(list(self.n_latent.values()), device=experts.encoded.device)
        return experts.encoded.repeat_interleave(widths, dim=1)

    @staticmethod
    def _join(blocks: Mapping[str, Normal]) -> Normal:
        loc = torch.cat([q.loc for q in blocks.values()], dim=-1)
        return Normal(loc, torch.cat([q.scale for q in blocks.values()], dim=-1), validate_args=False)
