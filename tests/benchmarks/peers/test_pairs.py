"""mmvae is compared with a peer on the sets that both take."""

from __future__ import annotations

import pandas as pd

from benchmarks.peers._pairs import pairs

SCORES = [
    ("teaseq", "mmvae", "fused", 0.6),
    ("teaseq", "mmvae", "shared", 0.1),
    ("teaseq", "pca", "concatenated", 0.7),
    ("tcga", "mmvae", "fused", 0.8),
    ("tcga", "pca", "concatenated", 0.6),
    ("tcga", "mofa", "factors", 0.5),
    ("cite600", "mmvae", "fused", 0.9),
]


def test_pairs_compare_on_common_sets_by_the_first_readout():
    table = pd.DataFrame(SCORES, columns=["data", "method", "readout", "value"]).assign(task="complete", seed=0)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in pairs(table).splitlines()[2:]]
    assert rows == [
        ["PCA", "2", "0.650", "0.700", "-0.100", "TEA-seq PBMC"],
        ["MOFA+", "1", "0.500", "0.800", "+0.300", "TCGA breast tumours (bulk)"],
    ]
