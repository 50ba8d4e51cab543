"""Predictor of missing latents from the observed ones: C cells, M modalities, D_m latent dimensions, H hidden units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.distributions import Normal

if TYPE_CHECKING:
    from collections.abc import Mapping

LOG_VAR_RANGE = (-8.0, 3.0)


class Predictor(nn.Module):
    r"""Pairwise predictors, combined as a product of experts.

    .. math:: r(z_t \mid z_S) \propto \prod_{s \in S} N(z_t;\, m_{st}(z_s), \operatorname{diag} v_{st}(z_s))

    One small network per ordered pair of modalities. Pairs, rather than one network with a mask as input, because in a
    mosaic many combinations are never seen together: a network asked for protein given rna and atac, trained on cells
    that have at most two of the three, would extrapolate. All pairs of a source share one matrix product, and so do
    all pairs of a target.

    Parameters
    ----------
    n_latent
        Latent dimensions of each modality, at least two modalities.
    n_hidden
        Width of the hidden layer of each pair's network, H.
    """

    linked: Tensor

    def __init__(self, n_latent: Mapping[str, int], *, n_hidden: int = 64) -> None:
        super().__init__()
        self.names, self.n_hidden = list(n_latent), n_hidden
        # By name, so that weights mean the same whatever the order of the modalities.
        self.others = {name: sorted(set(n_latent) - {name}) for name in n_latent}
        n_others = len(self.names) - 1
        self.first = nn.ModuleDict({s: nn.Linear(d, n_others * n_hidden) for s, d in n_latent.items()})
        bound = n_hidden**-0.5
        self.weight, self.bias = (
            nn.ParameterDict(
                {t: torch.empty(n_others, size, 2 * d).uniform_(-bound, bound) for t, d in n_latent.items()}
            )
            for size in (n_hidden, 1)
        )
        self.register_buffer("linked", ~torch.eye(len(self.names), dtype=torch.bool))
        self.n_rounds = 1

    def set_linked(self, linked: Tensor) -> None:
        """Say which pairs of modalities have jointly profiled cells, ``(n_modalities, n_modalities)``; others are not used."""
        self.linked.copy_(linked & ~torch.eye(len(self.names), dtype=torch.bool, device=linked.device))
        self.n_rounds = _longest_path(self.linked)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self.n_rounds = _longest_path(self.linked)

    def is_informed(self, available: Tensor) -> Tensor:
        """Which modalities can be predicted from the ``available`` ones; both boolean, ``(n_cells, n_modalities)``."""
        return (available[:, :, None] & self.linked).any(dim=1)

    def forward(self, latents: Mapping[str, Tensor], available: Tensor) -> dict[str, Normal]:
        """Prediction of every modality from the other ones.

        Parameters
        ----------
        latents
            A value per modality, ``(n_cells, D_m)``; finite, and ignored where not available.
        available
            Which of them may be looked at, boolean, ``(n_cells, n_modalities)``.

        Returns
        -------
        By modality, a Normal of batch shape ``(n_cells, D_m)``; N(0, I) where :meth:`is_informed` is not true.
        """
        hidden = {source: self._hidden(source, z) for source, z in latents.items()}
        use = (available[:, :, None] & self.linked).to(next(iter(latents.values())).dtype)
        return {t: self._of_target(t, hidden, use[:, :, i]) for i, t in enumerate(self.names)}

    def _hidden(self, source: str, latent: Tensor) -> dict[str, Tensor]:
        """Hidden layer of the networks of a source, by target, ``(n_cells, n_hidden)``."""
        parts = torch.relu(self.first[source](latent)).chunk(len(self.others[source]), dim=-1)
        return dict(zip(self.others[source], parts, strict=True))

    def _of_target(self, target: str, hidden: Mapping[str, dict[str, Tensor]], use: Tensor) -> Normal:
        sources = self.others[target]
        read = torch.baddbmm(self.bias[target], torch.stack([hidden[s][target] for s in sources]), self.weight[target])
        # Under mixed precision the product is of half precision, in which a sum of precisions has few digits.
        loc, log_var = read.to(self.bias[target].dtype).chunk(2, dim=-1)
        used = dict(zip(self.names, use.unbind(dim=1), strict=True))
        share = torch.exp(-log_var.clamp(*LOG_VAR_RANGE)) * torch.stack([used[s] for s in sources])[..., None]
        none = 1 - use.amax(dim=1)[:, None]
        precision = share.sum(dim=0) + none
        return Normal((share * loc).sum(dim=0) / precision, precision.rsqrt(), validate_args=False)


def _longest_path(linked: Tensor) -> int:
    """Rounds of prediction after which nothing new is reached: the longest of the shortest paths between modalities."""
    adjacent = linked.cpu()
    reached, rounds = adjacent | torch.eye(len(adjacent), dtype=torch.bool), 1
    while True:
        further = reached | (reached.float() @ adjacent.float() > 0)
        if torch.equal(further, reached):
            return rounds
        reached, rounds = further, rounds + 1
