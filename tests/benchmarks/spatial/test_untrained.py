"""Components are smoothed as their names say, and BANKSY sees what is around."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from benchmarks.spatial._graph import averaging, neighbours
from benchmarks.spatial._tissues import SECTION
from benchmarks.spatial._untrained import banksy, diffused, logged, mean, twice


def test_sections_are_no_neighbours_of_each_other_and_all_have_some(sections):
    graph = sp.coo_matrix(neighbours(sections))
    section = sections.obs[SECTION].to_numpy()
    assert (section[graph.row] == section[graph.col]).all()
    assert set(graph.row) == set(range(sections.n_obs))


def test_means_are_of_the_neighbours_alone(sections):
    graph = neighbours(sections)
    values = np.random.default_rng(0).normal(size=(sections.n_obs, 2))
    expected = [values[graph[i].indices].mean(axis=0) for i in range(sections.n_obs)]
    np.testing.assert_allclose(mean(sections, values, n_neighbors=6), expected)
    np.testing.assert_allclose(averaging(graph) @ np.ones(sections.n_obs), 1)


@pytest.mark.parametrize("smooth", [twice, diffused])
def test_smoothing_keeps_what_is_the_same_everywhere_and_calms_the_rest(sections, smooth):
    np.testing.assert_allclose(smooth(sections, np.ones((sections.n_obs, 1))), 1)
    noise = np.random.default_rng(0).normal(size=(sections.n_obs, 1))
    assert smooth(sections, noise).var() < 0.5 * noise.var()


def test_banksy_of_the_surroundings_alone_ignores_a_spot_s_own_counts(sections):
    changed = sections.copy()
    lone = 2 * 12 + 2
    counts = sections.X.toarray()
    counts[lone] = counts[lone + 20]
    changed.X = sp.csr_matrix(counts)
    own, around = (
        np.abs(banksy(sections, changed, 0, share=s) - banksy(sections, sections, 0, share=s)) for s in (0, 1)
    )
    assert own[lone].max() > 1e-3 * own.max()
    assert np.abs(logged(changed) - logged(sections))[lone].max() > 0.1
    assert np.median(around[lone]) < np.median(own[lone])
