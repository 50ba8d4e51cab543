"""What travels from the encoders to a fusion: C cells, M modalities, D_m latent dimensions of modality m."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch.distributions import Normal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


@dataclass(frozen=True)
class Experts:
    """Each modality's posterior over the cells that it encoded.

    ``posteriors[m]`` has batch shape ``(n_encoded, D_m)``: one row for each cell that ``encoded[:, m]`` marks, in
    the cells' order. ``encoded`` is boolean, ``(n_cells, n_modalities)``, its columns in the order of
    ``posteriors``.
    """

    posteriors: Mapping[str, Normal]
    encoded: Tensor

    def rows(self, name: str) -> Tensor:
        """Which cells modality ``name`` encoded, boolean, ``(n_cells,)``."""
        return self.encoded[:, list(self.posteriors).index(name)]

    def scatter(self, name: str, value: Tensor, fill: float = 0.0) -> Tensor:
        """Rows of modality ``name`` at their cells' places, ``fill`` elsewhere: ``(n_cells, D_m)``."""
        out = value.new_full((len(self.encoded), value.shape[-1]), fill)
        return out.index_put((self.rows(name).nonzero(as_tuple=True)[0],), value)

    def of_cells(self, rows: Tensor) -> Experts:
        """The cells that ``rows``, boolean, ``(n_cells,)``, marks."""
        if bool(rows.all()):
            return self
        posteriors = {}
        for name, q in self.posteriors.items():
            inside = rows[self.rows(name)]
            posteriors[name] = Normal(q.loc[inside], q.scale[inside], validate_args=False)
        return Experts(posteriors, self.encoded[rows])
