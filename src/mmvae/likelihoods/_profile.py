r"""Log-likelihoods of counts x from their non-zeros, their means :math:`\mu_g = l \rho_g` a share of a cell's total l.

Shares are :math:`\rho = \mathrm{softmax}(a)`. What depends on a count is computed where one is stored; value and
gradient of the rest take one pass over the profile. Logits a and ``counts`` x are ``(n_cells, n_features)``, ``total``
is ``(n_cells, 1)``.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from mmvae.nn import SparseRows, in_full_precision, sparse_product


def poisson_log_likelihood(logits: Tensor, total: Tensor, counts: SparseRows) -> Tensor:
    r""":math:`\sum_g \log \mathrm{Poisson}(x_g; l \rho_g)` in nats, ``(n_cells,)``.

    .. math:: \sum_g x_g (a_g - \log \sum_h e^{a_h}) + \log l \sum_g x_g - l - \sum_g \log x_g!
    """
    with in_full_precision(logits):
        value: Tensor = _Poisson.apply(logits.to(total), total, counts)  # type: ignore[no-untyped-call]
    return value


def sampled_poisson_log_likelihood(
    hidden: Tensor, weight: Tensor, bias: Tensor, proposal: Tensor, n_sampled: int, total: Tensor, counts: SparseRows
) -> Tensor:
    r"""The same for :math:`a = W h + b`, with the normaliser from S features drawn with replacement by a proposal q.

    .. math:: \sum_h e^{a_h} \approx \frac{1}{S} \sum_s \frac{e^{a_s}}{q_s}, \qquad s \sim q

    The sum is unbiased, and so is its gradient. The logarithm falls short of that of the sum by half of the estimate's
    squared relative error, in expectation and to first order, so that log-likelihoods are too large by that times the
    cell's total :cite:p:`Bengio2008`.
    """
    drawn = torch.multinomial(proposal, n_sampled, replacement=True)
    offset = bias[drawn] - (n_sampled * proposal[drawn]).log()
    log_total = torch.addmm(offset, hidden, weight[drawn].mT).float().logsumexp(dim=1)
    # The stored counts times their logits, without a logit: x W h.
    fit = (sparse_product(counts, weight) * hidden).sum(dim=1) + counts.row_sums(counts.values * bias[counts.columns])
    return fit + _of_means((total[:, 0].log() - log_total)[counts.rows], total, counts)


def negative_binomial_log_likelihood(logits: Tensor, theta: Tensor, total: Tensor, counts: SparseRows) -> Tensor:
    r""":math:`\sum_g \log \mathrm{NB}(x_g; l \rho_g, \theta_g)` in nats, ``(n_cells,)``.

    .. math::
        \sum_g \theta_g \log \frac{\theta_g}{\theta_g + \mu_g}
        + \sum_{x_g > 0} \left( x_g \log \frac{\mu_g}{\theta_g + \mu_g}
        + \log \frac{\Gamma(x_g + \theta_g)}{\Gamma(\theta_g)\, x_g!} \right)

    ``theta`` holds the inverse dispersions, ``(n_features,)``.
    """
    with in_full_precision(logits):
        value: Tensor = _NegativeBinomial.apply(logits.to(total), theta, total, counts)  # type: ignore[no-untyped-call]
    return value


class _Poisson(torch.autograd.Function):
    r"""See :func:`poisson_log_likelihood`. The gradient in a is :math:`x - \rho \sum_g x_g`."""

    @staticmethod
    def forward(ctx: FunctionCtx, logits: Tensor, total: Tensor, counts: SparseRows) -> Tensor:
        shares = logits.softmax(dim=1)
        ctx.save_for_backward(shares)
        ctx.counts = counts  # type: ignore[attr-defined]
        scale = _log_scale(logits, shares, total)[counts.rows]
        return _of_means(logits[counts.rows, counts.columns] + scale, total, counts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        counts: SparseRows = ctx.counts
        (shares,) = ctx.saved_tensors
        back = shares * -(gradient * counts.row_sums())[:, None]
        return counts.add_to(back, gradient[counts.rows] * counts.values), None, None


class _NegativeBinomial(torch.autograd.Function):
    r"""See :func:`negative_binomial_log_likelihood`. With :math:`r = \theta / (\theta + \mu)`:

    The gradient in :math:`\log \mu` is :math:`s = r (x - \mu)`, in a :math:`s - \rho \sum_g s_g`, and in :math:`\theta`
    :math:`\log r + 1 - r - x / (\theta + \mu) + \psi(x + \theta) - \psi(\theta)`.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, logits: Tensor, theta: Tensor, total: Tensor, counts: SparseRows) -> Tensor:
        shares, place = logits.softmax(dim=1), (counts.rows, counts.columns)
        x, own = counts.values, theta[counts.columns]
        log_ratio = torch.log1p(shares * total / theta).neg_()
        of_stored = log_ratio[place]
        ctx.save_for_backward(shares, log_ratio, of_stored, theta, total)
        ctx.counts = counts  # type: ignore[attr-defined]
        scale = _log_scale(logits, shares, total)[counts.rows]
        gammas = torch.lgamma(x + own) - torch.lgamma(theta)[counts.columns] - torch.lgamma(x + 1.0)
        return log_ratio @ theta + counts.row_sums(x * (logits[place] + scale - own.log() + of_stored) + gammas)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        counts: SparseRows = ctx.counts
        shares, log_ratio, of_stored, theta, total = ctx.saved_tensors
        own, of_cell = theta[counts.columns], gradient[counts.rows]
        kept, fall = counts.values * of_stored.exp(), log_ratio.expm1()
        of_theta = gradient @ (log_ratio - fall)
        digammas = torch.digamma(counts.values + own) - torch.digamma(theta)[counts.columns]
        of_theta.index_add_(0, counts.columns, of_cell * (digammas - kept / own))
        expected = fall.add_(1).mul_(shares).mul_(total)
        scores = gradient * (counts.row_sums(kept) - expected.sum(dim=1))
        back = expected.mul_(-gradient[:, None]).addcmul_(shares, scores[:, None], value=-1)
        return counts.add_to(back, of_cell * kept), of_theta, None, None


def _log_scale(logits: Tensor, shares: Tensor, total: Tensor) -> Tensor:
    """What the logarithms of means exceed logits by, ``(n_cells,)``; the softmax is at hand, and so is its normaliser."""
    return (total[:, 0] * shares.amax(dim=1)).log() - logits.amax(dim=1)


def _of_means(logs: Tensor, total: Tensor, counts: SparseRows) -> Tensor:
    """Poisson log-likelihood from the logarithms of the means of what is stored, in nats, ``(n_cells,)``."""
    # Term by term, each less its count: sums of counts times logarithms would leave what they differ in few digits.
    terms = counts.values * (logs - 1) - torch.lgamma(counts.values + 1.0)
    return counts.row_sums(terms) + (counts.row_sums() - total[:, 0])
