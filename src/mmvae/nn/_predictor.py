"""Predictor of missing latents from the observed ones: C cells, M modalities, L latent dimensions, H hidden units."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Normal

LOG_VAR_RANGE = (-8.0, 3.0)


class Predictor(nn.Module):
    r"""Pairwise predictors, combined as a product of experts, each to a power.

    .. math::
        r(z_t \mid z_S) \propto \prod_{s \in S} N(z_t;\, m_{st}(z_s), \operatorname{diag} v_{st}(z_s))^{a_{st|S|}}

    Sources tell in part the same, which a plain product counts once for each. So each pair has a power of its own for
    every number of sources, learned with the rest. It starts at one over that number, and goes back there where so many
    are never seen with the target: if each alone is as sure as it should be, all together are then never too sure.

    One network with a hidden layer of width ``n_hidden`` for each ordered pair of modalities. Pairs, rather than one
    network with a mask as input, because in a mosaic many combinations are never seen together: a network asked for
    protein given rna and atac, trained on cells that have at most two of the three, would extrapolate. All pairs are
    computed together, those of a modality with itself too, which are masked as those without jointly profiled cells are.
    """

    linked: Tensor
    modality_of_dim: Tensor
    even_power: Tensor

    def __init__(self, n_latent: Mapping[str, int], *, n_hidden: int = 64) -> None:
        super().__init__()
        self.widths, self.n_hidden = list(n_latent.values()), n_hidden
        n, bound = len(n_latent), n_hidden**-0.5
        self.first = nn.ModuleDict({source: nn.Linear(d, n * n_hidden) for source, d in n_latent.items()})
        self.weight, self.bias = (
            nn.ParameterDict({t: torch.empty(n, size, 2 * d).uniform_(-bound, bound) for t, d in n_latent.items()})
            for size in (n_hidden, 1)
        )
        # By source, number of sources, of which none has no meaning, and target; beside one over the number.
        self.log_power = nn.Parameter(torch.zeros(n, n, n))
        self.register_buffer("even_power", -torch.arange(n).clamp_min(1).log()[:, None].expand(n, n), persistent=False)
        self.register_buffer("linked", ~torch.eye(n, dtype=torch.bool))
        modality_of_dim = torch.arange(n).repeat_interleave(torch.tensor(self.widths))
        self.register_buffer("modality_of_dim", modality_of_dim, persistent=False)
        self.n_rounds = 1

    def set_linked(self, linked: Tensor) -> None:
        """Say which pairs of modalities have jointly profiled cells, ``(n_modalities, n_modalities)``; others are not used."""
        self.linked.copy_(linked & ~torch.eye(len(self.widths), dtype=torch.bool, device=linked.device))
        self.n_rounds = _longest_path(self.linked)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        # Models that were saved without powers are plain products.
        state_dict.setdefault(f"{prefix}log_power", -self.even_power.expand_as(self.log_power))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
        self.n_rounds = _longest_path(self.linked)

    def is_informed(self, available: Tensor) -> Tensor:
        """Which modalities can be predicted from the ``available`` ones; both boolean, ``(n_cells, n_modalities)``."""
        return (available[:, :, None] & self.linked).any(dim=1)

    def forward(self, latent: Tensor, available: Tensor) -> Normal:
        """Prediction of every modality from the other ones; N(0, I) where :meth:`is_informed` is not true.

        ``latent``, ``(n_cells, L)``, holds finite values of all modalities together, of which those that are not
        ``available``, boolean, ``(n_cells, n_modalities)``, are not looked at.
        """
        sources = zip(self.first.values(), latent.split(self.widths, dim=-1), strict=True)
        shape = (len(self.widths), self.n_hidden)
        hidden = torch.stack([torch.relu(first(z)).unflatten(-1, shape) for first, z in sources])
        read = [
            torch.baddbmm(self.bias[target], of_target, self.weight[target]).chunk(2, dim=-1)
            for target, of_target in zip(self.first, hidden.unbind(dim=2), strict=True)
        ]
        # Under mixed precision products are of half precision, in which a sum of precisions has few digits.
        loc, log_var = (torch.cat(part, dim=-1).to(latent.dtype) for part in zip(*read, strict=True))
        use = available.mT[:, :, None] & self.linked[:, None]
        power = torch.where(
            use, (self.log_power + self.even_power).gather(1, use.sum(dim=0).expand_as(use)), -torch.inf
        )
        share = torch.exp(power[..., self.modality_of_dim] - log_var.clamp(*LOG_VAR_RANGE))
        precision = share.sum(dim=0)
        precision = precision + (precision == 0)
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
