"""Sections are held out by tissue."""

from __future__ import annotations

import mmvae
from benchmarks.spatial._tissues import SECTION
from benchmarks.spatial.pdac import score, validated_sections, with_genes


def test_every_tissue_has_a_section_to_validate_on():
    adata = with_genes(mmvae.datasets.simulate_pdac(12, n_spots=30, n_genes=300))
    held = validated_sections(adata, 0)
    tissues = adata.obs.drop_duplicates(SECTION).set_index(SECTION)["tissue"]
    many = [tissue for tissue, n in tissues.value_counts().items() if n > 1]
    assert set(tissues[held]) == set(many)
    assert len(held) < len(tissues) / 2
    scores = score(adata, "pca", 0)
    assert 0 <= scores["accuracy"] <= 1
    assert scores["n_sections"] == len(held)
