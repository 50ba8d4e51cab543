"""Coupled prior: C cells, L latent dimensions of all modalities together, K components."""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, MixtureSameFamily, MultivariateNormal, Normal

from mmvae._checks import COUNT, check_numbers, name_faults
from mmvae.fusion import ObservedDims

from ._base import PosteriorSample, PriorContext, WarmStarted
from ._components import PartlyObserved, cholesky
from ._mixture import fit_mixture
from ._scale import LOG_SCALE_RANGE, mixture_anchor

Kind = Literal["gaussian", "mog", "mog_full"]
JITTER = 1e-4
N_COMPONENTS = {"gaussian": 1, "mog": 16, "mog_full": 8}


class CoupledPrior(WarmStarted, name="coupled"):
    r"""One mixture over the modalities' latents together, :math:`p(z) = \sum_k \pi_k N(z; \mu_k, \Sigma_k)`.

    Its marginals :math:`p_m(z_m) = \sum_k \pi_k N(z_m; \mu_k^m, \Sigma_k^{mm})` are the modalities' own priors. A
    block that a cell lacks is integrated out, so the ELBO is exact for every missing pattern, and is filled in from
    the conditional distribution

    .. math::
        p(z_a \mid z_b) = \sum_k \rho_k N\big(\mu_k^a + \Sigma_k^{ab} (\Sigma_k^{bb})^{-1} (z_b - \mu_k^b),\;
        \Sigma_k^{aa} - \Sigma_k^{ab} (\Sigma_k^{bb})^{-1} \Sigma_k^{ba}\big), \qquad
        \rho_k \propto \pi_k N(z_b; \mu_k^b, \Sigma_k^{bb})

    Before the warm start's end it is N(0, I), which couples nothing; then it is fitted to the latents.

    Parameters
    ----------
    n_latent
        Latent dimensions of all modalities together, L.
    kind
        ``"gaussian"``: one component with a full covariance, probabilistic canonical correlation of the latents.
        ``"mog"``: components with diagonal covariances; modalities are tied by the component alone. ``"mog_full"``:
        components with full covariances.
    n_components
        Number of components, K; by default 16 for ``"mog"``, 8 for ``"mog_full"``; 1 for ``"gaussian"``.

    Raises
    ------
    ValueError
        If ``kind`` is unknown, or ``"gaussian"`` is to have several components.
    """

    is_joint = True

    def __init__(self, n_latent: int, kind: Kind = "gaussian", n_components: int | None = None) -> None:
        super().__init__(n_latent)
        check_numbers(
            {"n_components": COUNT}, name_faults({"kind": N_COMPONENTS}, kind=kind), n_components=n_components
        )
        n_components = N_COMPONENTS[kind] if n_components is None else n_components
        if kind == "gaussian" and n_components != 1:
            msg = f"Expected one component for kind 'gaussian'; got {n_components}. Use kind 'mog_full'."
            raise ValueError(msg)
        self.kind, self.n_components = kind, n_components
        self.loc = nn.Parameter(torch.zeros(n_components, n_latent))
        self.log_scale = nn.Parameter(torch.zeros(n_components, n_latent))
        self.logits = nn.Parameter(torch.zeros(n_components), requires_grad=n_components > 1)
        if kind != "mog":
            self.lower = nn.Parameter(torch.zeros(n_components, n_latent, n_latent))

    def covariance(self) -> Tensor:
        """Covariance of each component, ``(K, L, L)``."""
        factor = torch.diag_embed(self.log_scale.clamp(*LOG_SCALE_RANGE).exp())
        if self.kind != "mog":
            factor = factor + self.lower.tril(-1)
        return factor @ factor.mT + JITTER * torch.eye(self.n_latent, device=factor.device)

    def learned(self, context: PriorContext) -> Distribution:
        return self.marginal(slice(None))

    def marginal(self, block: slice) -> Distribution:
        """The prior of one modality's latent, the dimensions ``block``."""
        factor = cholesky(self.covariance()[:, block, block])
        components = MultivariateNormal(self.loc[:, block], scale_tril=factor, validate_args=False)
        return MixtureSameFamily(Categorical(logits=self.logits, validate_args=False), components, validate_args=False)

    def log_ratio(self, posterior: Distribution, sample: Tensor, context: PriorContext) -> Tensor:
        r""":math:`\sum_{m \in S} \log q_m(z_m) - \log p(z_S)` over the blocks S that were encoded."""
        observed = context.observed_dims
        if observed is None:
            return super().log_ratio(posterior, sample, context)
        q: Any = posterior
        encoded = (q.base_dist.log_prob(sample) * observed.mask).sum(dim=-1)
        return encoded - self._over(observed).log_joint(sample).logsumexp(dim=1)

    def impute_missing(self, latent: Tensor, observed_dims: ObservedDims) -> Normal:
        """Mean and standard deviation of the missing dimensions of ``latent``, ``(n_cells, n_latent)``, given the rest.

        The rest as given, with spread 1e-4.
        """
        mean, variance = self._over(observed_dims).missing(latent).moments()
        loc = torch.where(observed_dims.mask, latent, mean)
        return Normal(loc, torch.where(observed_dims.mask, JITTER, variance.sqrt()), validate_args=False)

    def sample_missing(self, latent: Tensor, observed_dims: ObservedDims) -> Tensor:
        """As :meth:`impute_missing`, a draw; its component has no gradient, everything else has."""
        return torch.where(observed_dims.mask, latent, self._over(observed_dims).missing(latent).draw())

    @torch.no_grad()
    def init_from(self, sample: PosteriorSample) -> None:
        """Fit the mixture to the latents; dimensions that a cell lacks are filled in by regression on what it has."""
        known = torch.ones_like(sample.loc, dtype=torch.bool) if sample.observed_dims is None else sample.observed_dims
        filled = _regressed(sample.loc.cpu().double(), known.cpu())
        within = fit_mixture(self, filled, diagonal=self.kind == "mog", ridge=1e-2)
        spread = (sample.scale.square() * known).sum(dim=0) / known.sum(dim=0).clamp_min(1)
        within = torch.diag_embed(within) if self.kind == "mog" else within
        factor = torch.linalg.cholesky(within + torch.diag(spread.to(within)))
        self.log_scale[: len(factor)] = factor.diagonal(dim1=1, dim2=2).log()
        if self.kind != "mog":
            self.lower[: len(factor)].copy_(factor.tril(-1))
        self.mark_initialised()

    def scale_cost(self) -> Tensor:
        """Hold the mixture's overall mean near 0 and variance near 1."""
        return mixture_anchor(self.logits, self.loc, self.covariance().diagonal(dim1=1, dim2=2))

    def _over(self, observed: ObservedDims) -> PartlyObserved:
        if self.is_initialised:
            return PartlyObserved(self.logits, self.loc, self.covariance(), observed)
        standard = torch.eye(self.n_latent, device=self.loc.device).expand(self.n_components, -1, -1)
        return PartlyObserved(torch.zeros_like(self.logits), torch.zeros_like(self.loc), standard, observed)


def _regressed(values: Tensor, known: Tensor) -> Tensor:
    """``values`` with what is not ``known`` replaced by its regression on what is; moments are of pairs that are known."""
    count = known.double()
    mean = (values * count).sum(dim=0) / count.sum(dim=0).clamp_min(1)
    centred = (values - mean) * count
    covariance = centred.mT @ centred / (count.mT @ count).clamp_min(1)
    # Moments over different pairs of cells need not make a covariance: lift its eigenvalues.
    eigenvalues, vectors = torch.linalg.eigh(covariance)
    covariance = vectors * eigenvalues.clamp_min(1e-3) @ vectors.mT
    filled = centred.clone()
    for pattern in torch.unique(known, dim=0):
        if not pattern.all() and pattern.any():
            rows = (known == pattern).all(dim=1)
            slope = torch.linalg.solve(covariance[pattern][:, pattern], covariance[pattern][:, ~pattern])
            filled[rows.outer(~pattern)] = (centred[rows][:, pattern] @ slope).flatten()
    return filled + mean
