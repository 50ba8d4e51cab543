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
        ctx.save_for_backward(logits.softmax(dim=1))
        ctx.counts = counts  # type: ignore[attr-defined]
        scale = (total[:, 0].log() - logits.logsumexp(dim=1))[counts.rows]
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
        ctx.save_for_backward(shares, log_ratio, theta, total)
        ctx.counts = counts  # type: ignore[attr-defined]
        log_odds = logits[place] + (total[:, 0].log() - logits.logsumexp(dim=1))[counts.rows] - own.log()
        gammas = torch.lgamma(x + own) - torch.lgamma(theta)[counts.columns] - torch.lgamma(x + 1.0)
        return log_ratio @ theta + counts.row_sums(x * (log_odds + log_ratio[place]) + gammas)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        counts: SparseRows = ctx.counts
        shares, log_ratio, theta, total = ctx.saved_tensors
        ratio, own = log_ratio.exp(), theta[counts.columns]
        kept = counts.values * ratio[counts.rows, counts.columns]
        score = counts.add_to((ratio * shares).mul_(-total), kept)
        back = score.sub_(shares * score.sum(dim=1, keepdim=True)).mul_(gradient[:, None])
        of_stored = torch.digamma(counts.values + own) - torch.digamma(theta)[counts.columns] - kept / own
        of_theta = (gradient @ (log_ratio + 1 - ratio)).index_add_(0, counts.columns, gradient[counts.rows] * of_stored)
        return back, of_theta, None, None


def _of_means(logs: Tensor, total: Tensor, counts: SparseRows) -> Tensor:
    """Poisson log-likelihood from the logarithms of the means of what is stored, in nats, ``(n_cells,)``."""
    # Term by term, each less its count: sums of counts times logarithms would leave what they differ in few digits.
    terms = counts.values * (logs - 1) - torch.lgamma(counts.values + 1.0)
    return counts.row_sums(terms) + (counts.row_sums() - total[:, 0])
