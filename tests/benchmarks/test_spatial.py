"""Scores of tissue regions, on sections whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from benchmarks import pdac, spatial, table
from benchmarks.spatial_methods import METHODS, SECTION

SIDE = 12


@pytest.fixture
def sections() -> AnnData:
    """Two sections of two halves, with one spot of the other half's region in the midst of the first."""
    row, column = np.tile(np.divmod(np.arange(SIDE**2), SIDE), 2)
    half = column >= SIDE // 2
    half[2 * SIDE + 2] = True
    counts = np.random.default_rng(0).poisson(np.where(half[:, None] == (np.arange(20) % 2 == 0), 5.0, 1.0))
    obs = pd.DataFrame(
        {SECTION: np.repeat(["a", "b"], SIDE**2), "region": np.where(half, "right", "left")},
        index=[f"spot{i}" for i in range(len(row))],
    )
    adata = AnnData(
        sp.csr_matrix(counts.astype(np.float32)), obs=obs, obsm={"spatial": np.stack([row, column], axis=1)}
    )
    adata.obs.loc["spot5", "region"] = "undetermined"
    return adata


@pytest.mark.filterwarnings("ignore:.*n_jobs value 1 overridden.*")
def test_an_embedding_of_the_regions_scores_1_and_noise_does_not(sections):
    truth = (sections.obs["region"] == "right").to_numpy(dtype=float)
    noise = np.random.default_rng(0).normal(size=(len(truth), 2))
    good, bad = truth[:, None] * 10 + noise[:, :1], noise
    assert spatial.domain_scores(good, sections)["nmi"] > 0.5
    assert spatial.domain_scores(bad, sections)["nmi"] < 0.2
    scores = spatial.patch_scores(good, sections)
    assert scores["n_isolated"] == 1
    assert scores["isolated"] == 1
    assert scores["others"] > 0.99
    assert spatial.patch_scores(bad, sections)["others"] < 0.8


@pytest.mark.filterwarnings("ignore:.*n_jobs value 1 overridden.*")
def test_regions_that_lie_elsewhere_in_each_section_are_found_within_sections(sections):
    truth = (sections.obs["region"] == "right").to_numpy()
    other = (sections.obs[SECTION] == "b").to_numpy()
    noise = np.random.default_rng(0).normal(size=(len(truth), 1))
    swapped = np.where(truth ^ other, 10.0, 0.0)[:, None] + noise
    scores = spatial.domain_scores(swapped, sections)
    assert scores["nmi_within"] > 0.5 > 0.1 > scores["nmi"]
    assert scores["ari_within"] > scores["ari"]
    one = spatial.domain_scores(swapped[~other], sections[~other].copy())
    assert one["nmi_within"] == one["nmi"]


def test_a_section_is_held_out_of_method_and_classifier(sections, monkeypatch):
    seen = []

    def method(trained, shown, seed):
        seen.append((set(trained.obs[SECTION]), set(shown.obs[SECTION])))
        return (shown.obs["region"] == "right").to_numpy(dtype=float)[:, None]

    monkeypatch.setitem(METHODS, "told", method)
    assert spatial.held_out_score(sections, "told", 0) == 1
    assert seen == [({"b"}, {"a", "b"}), ({"a"}, {"a", "b"})]


def test_smoothing_adds_the_neighbours(sections):
    plain = METHODS["pca"](sections, sections, 0)
    smooth = METHODS["pca smoothed"](sections, sections, 0)
    side = (np.tile(np.arange(SIDE**2), 2) % SIDE) >= SIDE // 2
    apart = [abs(z[side, 0].mean() - z[~side, 0].mean()) / z[:, 0].std() for z in (plain, smooth)]
    assert apart[1] > apart[0]


def test_the_page_shows_mean_and_spread_and_no_mean_of_what_was_not_run():
    rows = [
        (data, "domains", method, seed, "nmi", value)
        for data, method, seed, value in [
            ("her2st", "pca", 0, 0.5),
            ("mob", "pca", 0, 0.7),
            ("her2st", "mmvae gmrf", 0, 0.6),
            ("her2st", "mmvae gmrf", 1, 0.8),
        ]
    ]
    found = spatial.page(pd.DataFrame(rows, columns=[*table.RUN, "metric", "value"]))
    assert "| pca | 0.500 | 0.700 | 0.600 |" in found
    assert "| mmvae gmrf | 0.700 ± 0.141 | – | – |" in found


def test_every_tissue_has_a_section_to_validate_on():
    import mmvae

    adata = pdac.with_genes(mmvae.datasets.simulate_pdac(12, n_spots=30, n_genes=300))
    held = pdac.validated_sections(adata, 0)
    tissues = adata.obs.drop_duplicates(SECTION).set_index(SECTION)["tissue"]
    many = [tissue for tissue, n in tissues.value_counts().items() if n > 1]
    assert set(tissues[held]) == set(many)
    assert len(held) < len(tissues) / 2
    scores = pdac.score(adata, "pca", 0)
    assert 0 <= scores["accuracy"] <= 1
    assert scores["n_sections"] == len(held)
