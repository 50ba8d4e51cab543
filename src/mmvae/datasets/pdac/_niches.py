"""Cell types of simulated tumours, the niches they form, and the tissues these are found in."""

from typing import Final

import numpy as np

MARKERS: Final = {
    "Malignant": ("KRT19", "CEACAM6", "S100P", "TFF1", "LAMC2", "MUC1", "KRT17", "LCN2"),
    "Ductal": ("CFTR", "AMBP", "SLC4A4", "KRT7", "FXYD2", "ANXA4"),
    "Acinar": ("PRSS1", "CPA1", "CELA3A", "AMY2A", "CTRB1", "PNLIP", "CLPS", "REG1A"),
    "Endocrine": ("INS", "GCG", "SST", "CHGA", "PPY", "IAPP"),
    "Fibroblast": ("COL1A1", "DCN", "POSTN", "LUM", "COL3A1", "FAP", "ACTA2", "SFRP2"),
    "Endothelial": ("PECAM1", "VWF", "CDH5", "PLVAP", "CLDN5", "EMCN"),
    "Adipocyte": ("ADIPOQ", "PLIN1", "LEP", "CIDEC", "PLIN4"),
    "T cell": ("CD3D", "CD3E", "TRAC", "IL7R", "CD2", "CCL5"),
    "B cell": ("MS4A1", "CD79A", "BANK1", "CD19", "CR2", "TCL1A"),
    "Plasma cell": ("JCHAIN", "IGKC", "MZB1", "IGHG1", "XBP1"),
    "Macrophage": ("CD68", "CD163", "C1QA", "C1QB", "LYZ", "MARCO"),
    "Hepatocyte": ("ALB", "APOA1", "TF", "SERPINA1", "HP", "CYP3A4", "FGB", "TTR"),
}
CELL_TYPES: Final = tuple(MARKERS)

_COMPOSITIONS: Final[dict[str, dict[str, float]]] = {
    "CC1": {"Malignant": 0.70, "Fibroblast": 0.15, "Macrophage": 0.10, "Endothelial": 0.05},
    "CC2": {"Fibroblast": 0.65, "Malignant": 0.10, "Endothelial": 0.10, "Macrophage": 0.10, "T cell": 0.05},
    "CC3": {"Malignant": 0.40, "Macrophage": 0.35, "Fibroblast": 0.20, "T cell": 0.05},
    "CC4": {"T cell": 0.40, "Macrophage": 0.20, "Plasma cell": 0.20, "B cell": 0.10, "Fibroblast": 0.10},
    "CC5": {"B cell": 0.60, "T cell": 0.30, "Plasma cell": 0.05, "Macrophage": 0.05},
    "CC6": {"Acinar": 0.75, "Ductal": 0.10, "Fibroblast": 0.10, "Endocrine": 0.05},
    "CC7": {"Endocrine": 0.45, "Acinar": 0.35, "Endothelial": 0.10, "Fibroblast": 0.10},
    "CC8": {"Ductal": 0.55, "Fibroblast": 0.25, "Acinar": 0.15, "Macrophage": 0.05},
    "CC9": {"Adipocyte": 0.45, "Endothelial": 0.30, "Fibroblast": 0.20, "Macrophage": 0.05},
    "CC10": {"Hepatocyte": 0.80, "Endothelial": 0.08, "Macrophage": 0.07, "Ductal": 0.05},
}
NICHES: Final = tuple(_COMPOSITIONS)
# Mean share of each cell type in each niche, ``(n_niches, n_types)``; rows sum to 1.
COMPOSITIONS: Final = np.array([[niche.get(kind, 0.0) for kind in CELL_TYPES] for niche in _COMPOSITIONS.values()])

# How often each niche is found in each tissue, ``(n_niches,)``; each sums to 1. Every niche but a tissue's own parenchyma is found in several tissues: what a spot is made of tells where it is from,
# though not of every spot.
NICHE_SHARES: Final = {
    "NP": np.array([0.02, 0.20, 0.02, 0.06, 0.02, 0.36, 0.10, 0.14, 0.08, 0.00]),
    "T": np.array([0.30, 0.26, 0.14, 0.08, 0.02, 0.08, 0.02, 0.05, 0.05, 0.00]),
    "HM": np.array([0.28, 0.18, 0.16, 0.08, 0.02, 0.00, 0.00, 0.02, 0.04, 0.22]),
    "LNM": np.array([0.28, 0.18, 0.12, 0.14, 0.20, 0.00, 0.00, 0.00, 0.08, 0.00]),
}
