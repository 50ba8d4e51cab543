"""Annotated sections, and simulated ones with known niches."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import anndata as ad
import numpy as np
import scanpy as sc

if TYPE_CHECKING:
    from pathlib import Path

N_GENES = 2_000
SECTION, LABEL = "section", "region"


class Tissue(NamedTuple):
    """Annotated sections: a file, and the column that names its sections, if it has several."""

    file: str
    section: str | None = None

    def read(self, folder: Path) -> ad.AnnData:
        """Labelled and unlabelled spots with counts of the genes that vary most, or of all where they are few."""
        adata = ad.read_h5ad(folder / self.file)
        adata.obs[SECTION] = "one" if self.section is None else adata.obs[self.section].astype(str)
        adata = adata[np.asarray(adata.X.sum(axis=1)).ravel() > 0].copy()
        sc.pp.filter_genes(adata, min_cells=5)
        if adata.n_vars <= N_GENES:
            return adata
        logged = sc.pp.log1p(sc.pp.normalize_total(adata, copy=True), copy=True)
        sc.pp.highly_variable_genes(logged, n_top_genes=N_GENES, batch_key=SECTION if self.section else None)
        return adata[:, logged.var["highly_variable"]].copy()


class Stand(NamedTuple):
    """Sections with known niches, simulated."""

    n_sections: int = 6
    n_spots: int = 300
    n_genes: int = 800

    def read(self, folder: Path) -> ad.AnnData:
        """Spots with few counts, as in Visium sections of which a part of the genes is modelled."""
        import mmvae

        adata = mmvae.datasets.simulate_pdac(self.n_sections, n_spots=self.n_spots, n_genes=self.n_genes)
        adata.obs[SECTION] = adata.obs["slide"].astype(str)
        adata.obs[LABEL] = adata.obs["CompositionCluster_CC"].astype(str)
        return adata


TISSUES: dict[str, Tissue | Stand] = {
    "dlpfc": Tissue("dlpfc_151673_151674.h5ad", "section"),
    "starmap": Tissue("starmap_mpfc_bz5_bz9.h5ad", "section"),
    "her2st": Tissue("her2st_labelled4.h5ad", "section"),
    "mob": Tissue("mob_st_stahl.h5ad"),
    "pdac_a": Tissue("pdac_a_st_moncada.h5ad"),
    "simulated": Stand(),
}
