"""Gaussian Markov random field over a graph of cells: C cells, D latent dimensions, N cells in the graph."""

import math

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from mmvae.graph import CellGraph, Spectrum

from ._base import PosteriorSample, PriorContext, WarmStarted, is_diagonal
from ._scale import anchor

# Of precision and smoothness, which are inverse squares of a scale and so have a wider range.
LOG_RANGE = (-7.0, 5.0)
FIT_STEPS = 200


class GaussianMarkovField(WarmStarted, name="gmrf"):
    r"""Correlated latents of neighbouring cells; how strongly is learned for each dimension :cite:p:`Rue2005`.

    Over the N cells of a graph with Laplacian L, dimension d has the density

    .. math:: p(z_{\cdot d}) = N\big(0, (\kappa_d I + \tau_d L)^{-1}\big)

    with learned precision :math:`\kappa_d` and smoothness :math:`\tau_d`. Against a posterior of independent cells its KL has
    a closed form, a sum over cells and edges,

    .. math:: KL(q \| p) = \sum_d \Big\{ -\tfrac{1}{2} \sum_i (1 + \log v_{id})
              + \tfrac{\kappa_d}{2} \sum_i (\mu_{id}^2 + v_{id})
              + \tfrac{\tau_d}{2} \sum_{i \sim j} w_{ij} \big[(\mu_{id} - \mu_{jd})^2 + v_{id} + v_{jd}\big]
              - \tfrac{1}{2} \sum_k \log(\kappa_d + \tau_d \lambda_k) \Big\}

    of which a cell is charged its own terms, half of its edges, and an equal share of the last term, with the eigenvalues
    :math:`\lambda_k` of L. Neighbours outside the minibatch are taken as they were last seen: the graph remembers all
    cells' posteriors, which whoever gives it by :meth:`set_graph` fills in, before :meth:`init_from` or the first KL.

    N(0, I) during a short warm start; then both parameters start where the density of the latents is highest. With
    :math:`\tau_d = 0` and :math:`\kappa_d = 1` it is N(0, I). :meth:`forward` is the density of a single cell, which knows no
    neighbours: a draw of it is a draw of any spot. Its variance depends on the graph; the training cells' is kept.
    """

    needs_graph = True
    variance: Tensor

    def __init__(self, n_latent: int) -> None:
        super().__init__(n_latent)
        self.log_precision = nn.Parameter(torch.zeros(n_latent))
        self.log_smoothness = nn.Parameter(torch.full((n_latent,), -2.0))
        # Of a single cell. Saved, because without data there is no graph to compute it from.
        self.register_buffer("variance", torch.ones(n_latent))

    @property
    def precision(self) -> Tensor:
        r""":math:`\kappa`, ``(n_latent,)``."""
        return self.log_precision.clamp(*LOG_RANGE).exp()

    @property
    def smoothness(self) -> Tensor:
        r""":math:`\tau`, ``(n_latent,)``."""
        return self.log_smoothness.clamp(*LOG_RANGE).exp()

    def learned(self, context: PriorContext) -> Distribution:
        return Independent(Normal(torch.zeros_like(self.variance), self.variance.sqrt(), validate_args=False), 1)

    def kl(self, posterior: Distribution, sample: Tensor, context: PriorContext) -> Tensor:
        """KL in nats that each cell is charged, ``(n_cells,)``; in closed form where the posterior is a Gaussian."""
        if not self.is_initialised or len(sample) == 0 or not is_diagonal(posterior):
            return super().kl(posterior, sample, context)
        mean, variance = posterior.mean, posterior.variance
        assert context.cells is not None
        graph = self._filled().to(mean.device)
        graph.remember(context.cells, mean, variance, context.mask)
        energy = self._energy(mean, variance, context.cells, graph)
        return (energy - 0.5 * (1 + variance.log())).sum(dim=-1) - 0.5 * self._log_determinant(graph).sum()

    def log_ratio(self, posterior: Distribution, sample: Tensor, context: PriorContext) -> Tensor:
        r""":math:`\log q(z) - \log p(z)` with the neighbours' latents averaged over their posteriors, ``(n_cells,)``.

        Its mean over draws is the KL; a bound from several draws is one given the neighbours' posteriors.
        """
        if not self.is_initialised or len(sample) == 0:
            return super().log_ratio(posterior, sample, context)
        assert context.cells is not None
        graph = self._filled().to(sample.device)
        # The spread of the cell itself is that of the draws.
        energy = self._energy(sample, torch.zeros_like(sample), context.cells, graph)
        normaliser = 0.5 * (math.log(2 * math.pi) - self._log_determinant(graph)).sum()
        return posterior.log_prob(sample) + energy.sum(dim=-1) + normaliser

    def _energy(self, mean: Tensor, variance: Tensor, cells: Tensor, graph: CellGraph) -> Tensor:
        """Expected precision-weighted squares of each cell and half of its edges, ``(n_cells, n_latent)``."""
        targets, weights = graph.edges(cells)
        other_mean, other_variance = graph.posterior(targets)
        gap = (mean[:, None] - other_mean).square() + variance[:, None] + other_variance
        rough = (weights[..., None] * gap).sum(dim=1)
        # A cell feels its edges whole, because the neighbours' halves have no gradient; smoothness feels each edge once.
        still = self.smoothness.detach()
        edge = 0.5 * still * (rough - rough.detach()) + 0.25 * self.smoothness * rough.detach()
        return 0.5 * self.precision * (mean.square() + variance) + edge

    def _filled(self) -> CellGraph:
        if self.graph is None:
            msg = (
                "Expected data with a graph of neighbouring cells, for the KL of prior 'gmrf'; got none in obsp. Make them "
                "with mmvae.pp.spatial."
            )
            raise ValueError(msg)
        if not self.graph.is_filled:
            msg = "Expected a graph that knows all cells' posteriors, for prior 'gmrf'; got none. Call CellGraph.fill first."
            raise ValueError(msg)
        return self.graph

    def _log_determinant(self, graph: CellGraph) -> Tensor:
        """A cell's share of the logarithm of the precision's determinant, ``(n_latent,)``."""
        return graph.spectrum.mean(self._precisions(graph.spectrum).log())

    @torch.no_grad()
    def init_from(self, sample: PosteriorSample) -> None:
        """Start where the expected log density of all cells' posteriors is highest, which the graph must know."""
        graph = self._filled()
        parts = [*graph.roughness(), *graph.spectrum]
        logs = torch.stack([self.log_precision, self.log_smoothness]).cpu().double()
        logs = _most_likely(logs, *(part.cpu().double() for part in parts)).clamp(*LOG_RANGE)
        self.log_precision.copy_(logs[0])
        self.log_smoothness.copy_(logs[1])
        self.mark_initialised()
        self.refresh()

    @torch.no_grad()
    def refresh(self) -> None:
        """Let ``variance`` be that of a single cell under the parameters as they are, on the present graph."""
        if self.is_initialised and self.graph is not None:
            self.variance.copy_(self._variance(self.graph))

    def scale_cost(self) -> Tensor:
        """Hold the mean variance of a cell near 1."""
        if self.graph is None:
            return super().scale_cost()
        variance = self._variance(self.graph)
        return anchor(torch.zeros_like(variance), variance).sum()

    def _variance(self, graph: CellGraph) -> Tensor:
        """Variance of a cell, a mean over the graph, ``(n_latent,)``."""
        spectrum = graph.to(self.log_precision.device).spectrum
        return spectrum.mean(1 / self._precisions(spectrum))

    def _precisions(self, spectrum: Spectrum) -> Tensor:
        """Eigenvalues of the precision matrix, ``(n_values, n_latent)``."""
        return self.precision + self.smoothness * spectrum.values[:, None]

    @torch.no_grad()
    def neighbor_correlation(self) -> Tensor:
        r"""Correlation of neighbours under the prior, a mean over edges, ``(n_latent,)``.

        .. math:: 1 - \frac{\overline{\lambda / (\kappa + \tau \lambda)}}
                  {\overline{\lambda} \cdot \overline{1 / (\kappa + \tau \lambda)}}

        with means over the eigenvalues of L; exact where all cells have the same number of neighbours. It is 0 without
        smoothness.
        """
        spectrum = self._filled().to(self.log_precision.device).spectrum
        values, spread = spectrum.values[:, None], 1 / self._precisions(spectrum)
        return 1 - spectrum.mean(values * spread) / (spectrum.mean(values) * spectrum.mean(spread)).clamp_min(1e-12)


@torch.enable_grad()
def _most_likely(logs: Tensor, square: Tensor, rough: Tensor, values: Tensor, shares: Tensor) -> Tensor:
    r"""Logarithms of precision and smoothness, ``(2, n_latent)``, that maximise the expected log density.

    Per dimension, :math:`-\frac{\kappa}{2} s - \frac{\tau}{2} r + \frac{1}{2} \overline{\log(\kappa + \tau \lambda)}`, which is
    concave in both; ``square`` and ``rough``, s and r, have shape ``(n_latent,)``.
    """
    logs = logs.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([logs], max_iter=FIT_STEPS, line_search_fn="strong_wolfe")

    def cost() -> Tensor:
        optimizer.zero_grad()
        precision, smoothness = logs.clamp(*LOG_RANGE).exp()
        normaliser = torch.tensordot(shares, (precision + smoothness * values[:, None]).log(), dims=1)
        value = (precision * square + smoothness * rough - normaliser).sum()
        value.backward()
        return value

    optimizer.step(cost)
    return logs.detach()
