"""Scores of tissue regions, on sections whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.spatial._methods import METHODS
from benchmarks.spatial._scores import domain_scores, held_out_score, patch_scores
from benchmarks.spatial._tissues import SECTION


@pytest.mark.filterwarnings("ignore:.*n_jobs value 1 overridden.*")
def test_an_embedding_of_the_regions_scores_1_and_noise_does_not(sections):
    truth = (sections.obs["region"] == "right").to_numpy(dtype=float)
    noise = np.random.default_rng(0).normal(size=(len(truth), 2))
    good, bad = truth[:, None] * 10 + noise[:, :1], noise
    assert domain_scores(good, sections)["nmi"] > 0.5
    assert domain_scores(bad, sections)["nmi"] < 0.2
    scores = patch_scores(good, sections)
    assert scores["n_isolated"] == 1
    assert scores["isolated"] == 1
    assert scores["others"] > 0.99
    assert patch_scores(bad, sections)["others"] < 0.8


@pytest.mark.filterwarnings("ignore:.*n_jobs value 1 overridden.*")
def test_regions_that_lie_elsewhere_in_each_section_are_found_within_sections(sections):
    truth = (sections.obs["region"] == "right").to_numpy()
    other = (sections.obs[SECTION] == "b").to_numpy()
    noise = np.random.default_rng(0).normal(size=(len(truth), 1))
    swapped = np.where(truth ^ other, 10.0, 0.0)[:, None] + noise
    scores = domain_scores(swapped, sections)
    assert scores["nmi_within"] > 0.5 > 0.1 > scores["nmi"]
    assert scores["ari_within"] > scores["ari"]
    one = domain_scores(swapped[~other], sections[~other].copy())
    assert one["nmi_within"] == one["nmi"]


def test_a_section_is_held_out_of_method_and_classifier(sections, monkeypatch):
    seen = []

    def method(trained, shown, seed):
        seen.append((set(trained.obs[SECTION]), set(shown.obs[SECTION])))
        return (shown.obs["region"] == "right").to_numpy(dtype=float)[:, None]

    monkeypatch.setitem(METHODS, "told", method)
    assert held_out_score(sections, "told", 0) == 1
    assert seen == [({"b"}, {"a", "b"}), ({"a"}, {"a", "b"})]
