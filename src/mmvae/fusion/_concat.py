"""Concatenation: C cells, M modalities, D_m latent dimensions of modality m, L = U = sum of them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from mmvae._keys import COUPLED
from mmvae.nn import Predictor, calibrate

from ._base import Fusion, JointPrior, LatentDraw, PriorTerm, as_vector
from ._posteriors import Posteriors


class Concatenation(Fusion, name="concat"):
    r"""Concatenate the modalities' latents, :math:`u = [z_1; \dots; z_M]`.

    Every modality keeps a latent and a prior of its own. The latent of a modality that a cell lacks is imputed by
    :class:`~mmvae.nn.Predictor` from those it has. The predictor learns from the latents of jointly profiled cells, which
    sends no gradient to the encoders, and validation cells tell in the end how sure it may be. What the decoders make of its
    imputation does train the encoders, so that one learns to tell of its cell what the other modalities would; the
    predictor learns nothing of it, as it would learn to be surer than is right. Under a coupled prior there is no
    predictor: the prior charges for all latents at once, and its conditional distribution imputes the missing ones. There
    is no network between the concatenation and the decoders: in simulation one made the embeddings of different missing
    patterns differ.
    """

    def __init__(self, n_latent: Mapping[str, int]) -> None:
        super().__init__(n_latent)
        self.latents = self.n_latent
        self.n_output = sum(self.n_latent.values())
        self.predictor = Predictor(self.n_latent) if len(self.n_latent) > 1 else None
        # In a tuple, so that torch does not take the prior for a part of the fusion.
        self._joint_prior: tuple[JointPrior, ...] = ()

    def set_joint_prior(self, prior: JointPrior) -> None:
        self._joint_prior = (prior,)
        self.latents = {COUPLED: sum(self.n_latent.values())}
        self.predictor = None

    def set_pair_counts(self, shared: Tensor) -> None:
        if self.predictor is not None:
            self.predictor.set_linked(shared > 0)

    def posterior(self, posteriors: Posteriors) -> Normal:
        if posteriors.is_complete:
            return posteriors.joined
        if not self._joint_prior:
            return self._impute(posteriors, posteriors.joined.loc, lambda q: q.loc)[1]
        (prior,) = self._joint_prior
        known, own = posteriors.observed_dims.mask, posteriors.joined
        expected = prior.impute_missing(own.loc, posteriors.observed_dims)
        loc, scale = torch.where(known, own.loc, expected.loc), torch.where(known, own.scale, expected.scale)
        return Normal(loc, scale, validate_args=False)

    def draw(self, posteriors: Posteriors) -> LatentDraw:
        own = posteriors.joined.rsample()
        if self._joint_prior:
            return self._joint_draw(posteriors, own)
        # Condition on samples, not means: means carry information that the KL does not account for.
        latent = own if posteriors.is_complete else self._impute(posteriors, own, Normal.rsample)[0]
        samples = self.split(latent)
        terms = [
            PriorTerm(name, as_vector(q), samples[name], has)
            for (name, q), has in zip(posteriors.normals.items(), posteriors.encoded.unbind(dim=1), strict=True)
        ]
        return LatentDraw(latent, terms)

    def unimodal_posterior(self, name: str, posteriors: Posteriors) -> Normal:
        q = self.posterior(posteriors)
        return Normal(self.split(q.loc)[name], self.split(q.scale)[name], validate_args=False)

    def split(self, fused: Tensor) -> dict[str, Tensor]:
        return dict(zip(self.n_latent, fused.split(list(self.n_latent.values()), dim=-1), strict=True))

    def latent_of(self, name: str) -> tuple[str, slice]:
        if not self._joint_prior:
            return name, slice(None)
        end = list(accumulate(self.n_latent.values()))[list(self.n_latent).index(name)]
        return COUPLED, slice(end - self.n_latent[name], end)

    def imputation_loss(self, posteriors: Posteriors) -> Tensor | None:
        r""":math:`\sum_t KL(q_t \| r_t)` over modalities t held out at random from jointly profiled cells."""
        if self.predictor is None:
            return None
        sources, targets = _hold_out(posteriors.encoded)
        truth = Normal(posteriors.joined.loc.detach(), posteriors.joined.scale.detach(), validate_args=False)
        guess = self.predictor(truth.rsample(), sources)
        counted = (targets & self.predictor.is_informed(sources))[:, self.predictor.modality_of_dim]
        return torch.where(counted, kl_divergence(truth, guess), 0.0).sum(dim=-1)

    def calibrate(self, posteriors: Posteriors) -> None:
        if self.predictor is not None:
            calibrate(self.predictor, posteriors.joined, posteriors.encoded)

    def _joint_draw(self, posteriors: Posteriors, own: Tensor) -> LatentDraw:
        (prior,) = self._joint_prior
        observed = None if posteriors.is_complete else posteriors.observed_dims
        latent = own if observed is None else prior.sample_missing(own, observed)
        every = torch.ones_like(posteriors.encoded[:, 0])
        return LatentDraw(latent, [PriorTerm(COUPLED, as_vector(posteriors.joined), latent, every, observed)])

    def _impute(
        self, posteriors: Posteriors, values: Tensor, read: Callable[[Normal], Tensor]
    ) -> tuple[Tensor, Normal]:
        """Impute missing latents in ``values``, ``(n_cells, L)``, and in the posterior, by what ``read`` makes of predictions.

        Later rounds use what earlier ones imputed, and so reach modalities over a bridge: protein from ATAC by RNA.
        """
        q, known = posteriors.joined, posteriors.encoded
        if self.predictor is None:
            return values, q
        for _ in range(self.predictor.n_rounds):
            with _untrained(self.predictor):  # decoders are best off with what is surer than is right
                guess = self.predictor(values, known)
            reached = self.predictor.is_informed(known) & ~known
            new, known = reached[:, self.predictor.modality_of_dim], known | reached
            values = torch.where(new, read(guess), values)
            loc, scale = torch.where(new, guess.loc, q.loc), torch.where(new, guess.scale, q.scale)
            q = Normal(loc, scale, validate_args=False)
        return values, q


@contextmanager
def _untrained(module: nn.Module) -> Iterator[None]:
    """Weights of a module get no gradient of what it does inside, though what it reads does. No copies, no operations."""
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    for weight in weights:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in weights:
            weight.requires_grad_(True)


def _hold_out(encoded: Tensor) -> tuple[Tensor, Tensor]:
    """Split what each cell has at random into sources and targets, at least one of each where it has two."""
    score = torch.rand(encoded.shape, device=encoded.device).masked_fill(~encoded, 2.0)
    rank = score.argsort(dim=1).argsort(dim=1)
    count = encoded.sum(dim=1, keepdim=True)
    n_sources = 1 + (torch.rand_like(count, dtype=torch.float32) * (count - 1)).floor()
    sources = encoded & (rank < n_sources)
    return sources, encoded & ~sources
