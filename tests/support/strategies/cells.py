"""Which cell has which modality. C cells, M modalities."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st


@st.composite
def presence(draw: st.DrawFn, n_cells: int, n_modalities: int) -> np.ndarray:
    """Boolean, ``(C, M)``: every cell has a modality, and cells lead from each modality to each other."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    how = draw(st.sampled_from(["complete", "at random", "a chain", "one bridge"]))
    if how == "complete" or n_modalities == 1:
        return np.ones((n_cells, n_modalities), dtype=bool)
    if how == "at random":
        has = rng.random((n_cells, n_modalities)) < draw(st.sampled_from([0.2, 0.5, 0.9]))
    else:
        has = rng.integers(n_modalities, size=n_cells)[:, None] == np.arange(n_modalities)
    has[np.arange(n_cells), rng.integers(n_modalities, size=n_cells)] |= ~has.any(axis=1)
    # Cells that lead from one modality to the next.
    links = rng.permutation(n_cells)[: 1 if how == "one bridge" else n_modalities - 1]
    for i, cell in enumerate(links):
        has[cell] = True if how == "one bridge" else np.isin(np.arange(n_modalities), [i, i + 1])
    return has


def names(draw: st.DrawFn, n_cells: int) -> list[str]:
    """Names of cells, in no order."""
    kind = draw(st.sampled_from(["cell_{}", "{}", "zé {}-1", "{}#A:x"]))
    order = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).permutation(n_cells)
    return [kind.format(i) for i in order]
