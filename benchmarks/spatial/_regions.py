"""Which spots have an annotated region."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._tissues import LABEL, SECTION

if TYPE_CHECKING:
    from anndata import AnnData

UNKNOWN = ("unlabelled", "undetermined", "unknown", "nan")


def known_regions(adata: AnnData) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Region of each spot, whether that is known, and its section, ``(N,)`` each."""
    labels = adata.obs[LABEL].astype(str).to_numpy()
    return labels, ~np.isin(labels, UNKNOWN), adata.obs[SECTION].to_numpy(dtype=str)
