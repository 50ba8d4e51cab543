"""Neighbours and UMAP of a readout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import scanpy as sc

from mmvae._keys import FUSED, UMAP, embedding_key

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


def add_umap(data: MuData | AnnData, readout: str) -> None:
    """Add ``obsm["X_umap"]`` of the fused latent, or ``obsm["X_umap_<readout>"]``, with its neighbour graph."""
    if readout == FUSED:
        sc.pp.neighbors(data, use_rep=embedding_key(FUSED))
        sc.tl.umap(data)
    else:
        sc.pp.neighbors(data, use_rep=embedding_key(readout), key_added=readout)
        sc.tl.umap(data, neighbors_key=readout, key_added=umap_key(readout))


def umap_key(readout: str) -> str:
    """Name in ``obsm`` of the UMAP of a readout."""
    return UMAP if readout == FUSED else f"{UMAP}_{readout}"
