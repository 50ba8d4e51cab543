"""Priors beside cells."""

from __future__ import annotations

from matplotlib.patches import Ellipse

import mmvae


def fit_to(model, kind):
    """Let every other component of the mixture be where cells are, or next to nothing."""
    return model, kind


def test_cells_and_draws_and_components_are_drawn(trained):
    model, mdata = trained
    pair, *marginals = mmvae.pl.priors(model, "atac", show=False)
    n_cells = int((mdata.obsmap["atac"] > 0).sum())
    assert [len(group.get_offsets()) for group in pair.collections] == [n_cells, n_cells]
    assert len(marginals) == 4
    weights = model.prior_summary().query("latent == 'atac'")["weight"]
    ellipses = [patch for patch in pair.patches if isinstance(patch, Ellipse)]
    assert len(ellipses) == len(pair.texts) == (weights >= 0.002).sum()
    (legend,) = pair.figure.legends
    assert len(legend.get_texts()) == 2 + bool(ellipses)
    assert "atac: prior 'mog'" in pair.figure.get_suptitle()
