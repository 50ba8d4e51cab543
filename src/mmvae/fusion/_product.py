"""Product of experts: C cells, M modalities, D latent dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.distributions import Normal

from mmvae._keys import JOINT

from ._base import Fusion, Priced

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from ._experts import Experts


class ProductOfExperts(Fusion, name="poe"):
    r"""One latent, the product of a standard normal and the modalities' posteriors :cite:p:`Wu2018`.

    .. math:: \Lambda = 1 + \sum_m v_m^{-1}, \qquad \mu = \Lambda^{-1} \sum_m v_m^{-1} \mu_m

    Any subset of modalities has a posterior in closed form, and nothing needs to be filled in. There is one prior,
    on the joint latent.

    Parameters
    ----------
    n_latent
        Latent dimensions of each modality; all equal.

    Raises
    ------
    ValueError
        If the modalities' widths differ.
    """

    def __init__(self, n_latent: Mapping[str, int]) -> None:
        super().__init__(n_latent)
        if len(set(n_latent.values())) != 1:
            msg = f"Expected one n_latent for all modalities under fusion 'poe'; got {dict(n_latent)}. Give one number."
            raise ValueError(msg)
        self.n_output = next(iter(n_latent.values()))
        self.latents = {JOINT: self.n_output}

    def posterior(self, experts: Experts) -> Normal:
        return self._product(experts, list(experts.posteriors))

    def single(self, name: str, experts: Experts) -> Normal:
        own, joint = self._product(experts, [name]), self.posterior(experts)
        has = experts.rows(name)[:, None]
        loc, scale = torch.where(has, own.loc, joint.loc), torch.where(has, own.scale, joint.scale)
        return Normal(loc, scale, validate_args=False)

    def priced(self, experts: Experts, posterior: Normal, sample: Tensor) -> list[Priced]:
        return [Priced(JOINT, posterior, sample, experts.encoded.any(dim=1))]

    def _product(self, experts: Experts, names: Sequence[str]) -> Normal:
        precision = torch.ones(len(experts.encoded), self.n_output, device=experts.encoded.device)
        weighted = torch.zeros_like(precision)
        for name in names:
            q = experts.posteriors[name]
            share = q.scale.square().reciprocal()
            precision = precision + experts.scatter(name, share)
            weighted = weighted + experts.scatter(name, share * q.loc)
        return Normal(weighted / precision, precision.rsqrt(), validate_args=False)
