"""Attention between the modalities' latents: C cells, M modalities, D_m latent dimensions, W token width."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mmvae._checks import COUNT, check_numbers

from ._concat import Concatenation
from ._posteriors import Posteriors


class Attention(Concatenation, name="attention"):
    r"""Concatenation in which every modality's latent is refined by what the others say.

    Each latent becomes a token; one layer of multi-head attention :cite:p:`Vaswani2017` lets it read the tokens of the
    modalities that the cell has; what it reads is added to it.

    .. math:: t_m = P_m z_m + e_m, \qquad u_m = z_m + O_m \operatorname{attention}(t_m; \{t_s\}_{s \in S})

    :math:`O_m` starts at 0, so the fusion starts as ``concat``. Latents, their priors, and the fill of missing ones are
    those of :class:`~mmvae.fusion.Concatenation`. A filled latent is refined, and no other reads it. The weights of the
    attention measure no modality's importance, as what is read is multiplied by learned matrices that can undo any
    weight; :meth:`~mmvae.MultiVAE.get_modality_information` does.

    Parameters
    ----------
    n_latent
        Latent dimensions of each modality, D_m.
    width
        Width of the tokens, W.
    n_heads
        Number of attention heads.

    Raises
    ------
    ValueError
        If ``n_heads`` does not divide ``width``.
    """

    def __init__(self, n_latent: Mapping[str, int], width: int = 32, n_heads: int = 4) -> None:
        super().__init__(n_latent)
        check_numbers(dict.fromkeys(("width", "n_heads"), COUNT), width=width, n_heads=n_heads)
        if width % n_heads != 0:
            msg = f"Expected width as a multiple of n_heads; got {width} and {n_heads}. Change one of them."
            raise ValueError(msg)
        self.width, self.n_heads = width, n_heads
        self.project = nn.ModuleDict({name: nn.Linear(d, width, bias=False) for name, d in n_latent.items()})
        self.embedding = nn.ParameterDict({name: nn.Parameter(torch.randn(width)) for name in n_latent})
        self.attention = nn.MultiheadAttention(width, n_heads, batch_first=True)
        self.refine = nn.ModuleDict({name: nn.Linear(width, d) for name, d in n_latent.items()})
        for parameter in self.refine.parameters():
            nn.init.zeros_(parameter)

    def fuse(self, latent: Tensor, posteriors: Posteriors) -> Tensor:
        """The refined concatenation, ``(n_cells, n_output)``."""
        blocks = self.split(latent).items()
        tokens = torch.stack([self.project[name](z) + self.embedding[name] for name, z in blocks], dim=1)
        # A cell without any modality, which no data hold, reads its fill: a softmax over nothing is not a number.
        unread = ~posteriors.encoded & posteriors.encoded.any(dim=1, keepdim=True)
        read, _ = self.attention(tokens, tokens, tokens, key_padding_mask=unread, need_weights=False)
        return torch.cat([z + self.refine[name](read[:, index]) for index, (name, z) in enumerate(blocks)], dim=-1)
