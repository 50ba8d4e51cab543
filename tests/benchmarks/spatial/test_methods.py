"""Spots are embedded as the methods say."""

from __future__ import annotations

from benchmarks.spatial._methods import METHODS


def test_smoothing_adds_the_neighbours(sections):
    plain = METHODS["pca"](sections, sections, 0)
    smooth = METHODS["pca smoothed"](sections, sections, 0)
    column = sections.obsm["spatial"][:, 1]
    side = column > column.mean()
    apart = [abs(z[side, 0].mean() - z[~side, 0].mean()) / z[:, 0].std() for z in (plain, smooth)]
    assert apart[1] > apart[0]
