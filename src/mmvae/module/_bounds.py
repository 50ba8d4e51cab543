"""Importance-weighted bound on the marginal likelihood: C cells, S draws of the latent."""

import math

from torch import Tensor


def importance_bound(log_weights: Tensor) -> Tensor:
    r""":math:`\log \frac{1}{S} \sum_s w_s`, in nats, ``(n_cells,)`` :cite:p:`Burda2016`.

    A bound on the log marginal likelihood that lies above the ELBO, and the closer to it the more draws there are.

    Parameters
    ----------
    log_weights
        Log-weights of the draws, ``(n_samples, n_cells)``.
    """
    return log_weights.logsumexp(dim=0) - math.log(len(log_weights))
