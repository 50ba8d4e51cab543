r"""Log-likelihoods of counts x from their non-zeros, their means :math:`\mu_g = l \rho_g` a share of a cell's total l.

Shares are :math:`\rho = \mathrm{softmax}(a)`. What depends on a count is computed where one is stored; value and gradient
of the rest take one pass over the profile. The gradient of all but sampled ones takes the memory of what was
kept for it, so that a second backward pass through the same value is refused. Logits a and ``counts`` x are ``(n_cells, n_features)``, ``total`` is ``(n_cells, 1)``.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from mmvae.nn import SparseRows, in_full_precision


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
    with in_full_precision(hidden):
        drawn = torch.multinomial(proposal, n_sampled, replacement=True)
        offset = -(n_sampled * proposal[drawn]).log()
        value: Tensor = _SampledPoisson.apply(hidden.to(weight), weight, bias, drawn, offset, total, counts)  # type: ignore[no-untyped-call]
    return value


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
        log_shares = logits.log_softmax(dim=1)
        logs = counts.of_places(log_shares) + counts.of_rows(total[:, 0].log())
        ctx.save_for_backward(log_shares.exp_())
        ctx.counts = counts  # type: ignore[attr-defined]
        return _of_means(logs, total, counts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        counts: SparseRows = ctx.counts
        (shares,) = _taken(ctx)
        back = shares.mul_(-(gradient * counts.row_sums())[:, None])
        return counts.add_to(back, counts.of_rows(gradient) * counts.values), None, None


class _SampledPoisson(torch.autograd.Function):
    r"""See :func:`sampled_poisson_log_likelihood`. The counts meet their logits as :math:`(x W) h`, without a logit.

    The gradient in the logit of a drawn feature is minus its share of the estimate times :math:`\sum_g x_g`.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        drawn: Tensor,
        offset: Tensor,
        total: Tensor,
        counts: SparseRows,
    ) -> Tensor:
        of_drawn, of_counts = weight.index_select(0, drawn), counts.product(weight)
        logits = torch.addmm(bias[drawn] + offset, hidden, of_drawn.mT)
        log_total = logits.logsumexp(dim=1, keepdim=True)
        ctx.save_for_backward(hidden, of_drawn, of_counts, drawn, logits.sub_(log_total).exp_())
        ctx.counts = counts  # type: ignore[attr-defined]
        fit = (of_counts * hidden).sum(dim=1) + counts.row_sums(counts.values * counts.of_columns(bias))
        return fit + _of_means(counts.of_rows((total.log() - log_total)[:, 0]), total, counts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        counts: SparseRows = ctx.counts
        hidden, of_drawn, of_counts, drawn, shares = ctx.saved_tensors
        of_cell, of_logits = gradient[:, None], shares * -(gradient * counts.row_sums())[:, None]
        of_weight = counts.transposed_product(of_cell * hidden).index_add_(0, drawn, of_logits.mT @ hidden)
        of_bias = hidden.new_zeros(counts.n_columns)
        of_bias.index_add_(0, counts.columns, counts.of_rows(gradient) * counts.values)
        of_bias.index_add_(0, drawn, of_logits.sum(dim=0))
        return of_cell * of_counts + of_logits @ of_drawn, of_weight, of_bias, None, None, None, None


class _NegativeBinomial(torch.autograd.Function):
    r"""See :func:`negative_binomial_log_likelihood`.

    With :math:`r = \theta / (\theta + \mu)`, ``share`` is :math:`1 - r`, and ``ratio`` is :math:`\mu / \theta`. The gradient
    in :math:`\log \mu` is :math:`s = r (x - \mu)`, in a :math:`s - \rho \sum_g s_g`, and in :math:`\theta`
    :math:`\log r + 1 - r - x / (\theta + \mu) + \psi(x + \theta) - \psi(\theta)`.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, logits: Tensor, theta: Tensor, total: Tensor, counts: SparseRows) -> Tensor:
        x, own, log_shares = counts.values, counts.of_columns(theta), logits.log_softmax(dim=1)
        log_ratio = counts.of_places(log_shares) + counts.of_rows(total[:, 0].log()) - counts.of_columns(theta.log())
        ratio = log_shares.exp_().mul_(total).div_(theta)
        log_rest = torch.log1p(ratio).neg_()
        of_stored = counts.of_places(log_rest)
        ctx.save_for_backward(ratio, log_rest, of_stored, theta, total)
        ctx.counts = counts  # type: ignore[attr-defined]
        gammas = torch.lgamma(x + own) - counts.of_columns(torch.lgamma(theta)) - torch.lgamma(x + 1.0)
        return log_rest @ theta + counts.row_sums(x * (log_ratio + of_stored) + gammas)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        counts: SparseRows = ctx.counts
        ratio, log_rest, of_stored, theta, total = _taken(ctx)
        own, of_cell = counts.of_columns(theta), counts.of_rows(gradient)
        kept, of_theta = counts.values * of_stored.exp(), gradient @ log_rest
        share = torch.add(ratio, 1, out=log_rest).reciprocal_().mul_(ratio)
        of_theta += gradient @ share
        digammas = torch.digamma(counts.values + own) - counts.of_columns(torch.digamma(theta))
        of_theta.index_add_(0, counts.columns, of_cell * (digammas - kept / own))
        scores = gradient * (counts.row_sums(kept) - share @ theta)
        back = share.mul_(gradient[:, None]).addcmul_(ratio, scores[:, None] / total).mul_(-theta)
        return counts.add_to(back, of_cell * kept), of_theta, None, None


def _taken(ctx: Any) -> tuple[Tensor, ...]:
    """What was kept for the gradient, whose memory it takes."""
    if getattr(ctx, "is_taken", False):
        msg = (
            "Expected one backward pass through a log-likelihood of counts, as it takes the memory of what was kept for it; "
            "got a second one. Compute the log-likelihood again."
        )
        raise RuntimeError(msg)
    ctx.is_taken = True
    saved: tuple[Tensor, ...] = ctx.saved_tensors
    return saved


def _of_means(logs: Tensor, total: Tensor, counts: SparseRows) -> Tensor:
    """Poisson log-likelihood from the logarithms of the means of what is stored, in nats, ``(n_cells,)``."""
    # Term by term, each less its count: sums of counts times logarithms would leave what they differ in few digits.
    terms = counts.values * (logs - 1) - torch.lgamma(counts.values + 1.0)
    return counts.row_sums(terms) + (counts.row_sums() - total[:, 0])
