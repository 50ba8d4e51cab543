"""Conditional prior: C cells, D latent dimensions, J covariates of K_j categories."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from mmvae._checks import COUNT, check_is, check_numbers

from ._base import Prior, PriorContext
from ._scale import LOG_SCALE_RANGE, anchor


class Conditional(Prior, name="conditional"):
    r"""Gaussian whose mean and scale depend on biological covariates c, such as tissue or stage.

    .. math:: p(z \mid c) = N\Big(\sum_j A_j e_{c_j},\; \operatorname{diag} \exp\big(2 \sum_j B_j e_{c_j}\big)\Big)

    A prior given an observed variable is what makes the latents of an identifiable VAE :cite:p:`Khemakhem2020` so. The
    columns of :math:`A_j` and :math:`B_j` are learned, one for each category of covariate j, and start at 0: the prior
    starts as N(0, I). It is N(0, I) again for categories that a query brings, and where covariates are not known.

    Not for batches, or for anything that tells batches apart: what the prior expects of a batch costs a latent nothing
    to carry, and the pressure that keeps batches out of the latent is gone.

    Parameters
    ----------
    n_latent
        Latent dimensions, D.
    n_categories
        Number of categories of each covariate, K_j.

    Raises
    ------
    ValueError
        If there are no covariates.
    """

    needs_covariates = True

    def __init__(self, n_latent: int, n_categories: Sequence[int]) -> None:
        super().__init__(n_latent)
        check_is("n_categories", n_categories, Sequence)
        if len(n_categories) == 0:
            msg = "Expected covariates for prior 'conditional'; got none. Give prior_covariate_keys in setup_mudata."
            raise ValueError(msg)
        check_numbers({"n_categories": COUNT}, n_categories=dict(enumerate(n_categories)))
        self.n_categories = list(n_categories)
        # Location and log-scale. Categories come last, where scvi-tools appends those of a query.
        self.tables = nn.ParameterList([nn.Parameter(torch.zeros(2, n_latent, n)) for n in n_categories])

    def forward(self, context: PriorContext) -> Distribution:
        loc, log_scale = self._shifts(context.covariates)
        return Independent(Normal(loc, log_scale.clamp(*LOG_SCALE_RANGE).exp(), validate_args=False), 1)

    def regularizer(self) -> Tensor:
        """Pull each category's Gaussian towards N(0, I): the latent's scale is otherwise free."""
        costs = [anchor(loc, (2 * log_scale).exp()).mean(dim=-1).sum() for loc, log_scale in self.tables]
        return torch.stack(costs).sum()

    def _shifts(self, covariates: Tensor | None) -> Tensor:
        """Location and log-scale, ``(2, n_cells, n_latent)``, or ``(2, n_latent)`` where nothing is known."""
        if covariates is None:
            return self.tables[0].new_zeros(2, self.n_latent)
        parts = [table[:, :, codes] for table, codes in zip(self.tables, covariates.unbind(dim=1), strict=True)]
        return torch.stack(parts).sum(dim=0).mT
