"""Priors beside cells."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from images import image, without_text
from matplotlib.patches import Ellipse
from matplotlib.text import Text
from mudata import MuData

import mmvae


def made(n_latent=4, **kwargs):
    """A model whose prior of rna is a mixture of three, at 0 and at 4 and -4 in the first dimension, with weights .5, .5, 0."""
    mdata = mmvae.datasets.simulate(80, missing=0.3)
    mmvae.MultiVAE.setup_mudata(mdata, batch_key="batch")
    prior = {"name": "mog", "n_components": 3}
    model = mmvae.MultiVAE(mdata, n_hidden=16, n_latent=n_latent, **{"prior": prior} | kwargs)
    # how they are drawn does not depend on what they have learnt
    model.is_trained_ = True
    if "prior" not in kwargs:
        prior = model.module.priors["rna"]
        with torch.no_grad():
            prior.loc.zero_()
            prior.loc[:, 0] = torch.tensor([4.0, -4.0, 0.0])
            prior.log_scale.fill_(np.log(0.5))
            prior.logits.copy_(torch.tensor([0.0, 0.0, -20.0]))
        prior.mark_initialised()
    return model, mdata


def test_each_cell_is_drawn_and_as_many_of_the_prior():
    model, mdata = made()
    pair, *marginals = mmvae.pl.priors(model, "rna", show=False)
    n_cells = int((mdata.obsmap["rna"] > 0).sum())
    assert [len(dots.get_offsets()) for dots in pair.collections] == [n_cells, n_cells]
    assert [panel.get_title()[:4] for panel in marginals] == ["PC 1", "PC 2", "PC 3", "PC 4"]
    assert pair.figure.get_suptitle() == "rna: prior 'mog'"
    first, _ = mmvae.pl.priors(model, "rna", n_cells=10, show=False)[0].collections
    assert len(first.get_offsets()) == 10


def test_panels_stand_beneath_each_other_on_a_narrow_page():
    model, _ = made()
    pair, *marginals = mmvae.pl.priors(model, "rna", tall=True, show=False)
    pair.figure.draw_without_rendering()
    assert pair.figure.get_figwidth() < 4.5
    assert all(panel.get_window_extent().y1 < pair.get_window_extent().y0 for panel in marginals)


def test_components_are_drawn_where_they_are():
    model, _ = made()
    pair = mmvae.pl.priors(model, "rna", show=False)[0]
    ellipses = [patch for patch in pair.patches if isinstance(patch, Ellipse)]
    # that without weight is left out
    assert [text.get_text() for text in pair.texts] == ["0", "1"]
    centres = np.array([ellipse.get_center() for ellipse in ellipses])
    np.testing.assert_allclose(np.abs(centres[0] - centres[1]), 8 * _first_two(model), atol=0.2)
    for ellipse in ellipses:
        assert ellipse.get_width() == pytest.approx(2.0, rel=0.1)
        assert ellipse.get_height() == pytest.approx(2.0, rel=0.1)


def _first_two(model):
    """How far the first latent dimension reaches along the first two principal components of the posterior means."""
    cells = np.flatnonzero(np.ravel(model.adata.obsmap["rna"]) > 0)
    means = model.get_latent_representation(indices=cells, representation="rna")
    return np.abs(np.linalg.svd(means - means.mean(axis=0))[2][:2, 0])


def test_names_of_components_do_not_touch():
    model, _ = made()
    with torch.no_grad():
        model.module.priors["rna"].loc.zero_()
        model.module.priors["rna"].logits.zero_()
    pair = mmvae.pl.priors(model, "rna", show=False)[0]
    pair.figure.canvas.draw()
    boxes = [Text.get_window_extent(text) for text in pair.texts]
    assert len(boxes) == 3
    assert not any(box.overlaps(other) for number, box in enumerate(boxes) for other in boxes[:number])


def test_draws_of_the_prior_lie_in_its_components():
    model, _ = made()
    _, drawn = mmvae.pl.priors(model, "rna", show=False)[0].collections
    ellipses = [p for p in drawn.axes.patches if isinstance(p, Ellipse)]
    centres = np.array([ellipse.get_center() for ellipse in ellipses])
    distance = np.linalg.norm(np.asarray(drawn.get_offsets())[:, None] - centres, axis=2).min(axis=1)
    assert np.quantile(distance, 0.9) < 1.5


@pytest.mark.parametrize(
    ("kwargs", "n_axes"),
    [
        pytest.param({"n_latent": 1}, 1, id="one_dimension"),
        pytest.param({"n_latent": 2}, 3, id="two_dimensions"),
        pytest.param({"prior": "normal"}, 5, id="no_mixture"),
        pytest.param({"prior": "coupled"}, 5, id="one_prior_of_all"),
        pytest.param({"prior": "mmvm"}, 5, id="of_each_cell"),
        pytest.param({"prior": "vamp", "fusion": "concat"}, 5, id="vamp"),
        pytest.param({"prior": "mog", "fusion": "poe"}, 5, id="joint_latent"),
    ],
)
def test_every_kind_of_prior_is_drawn(kwargs, n_axes):
    model, mdata = made(**kwargs)
    axes = mmvae.pl.priors(model, "rna", show=False)
    assert len(axes) == n_axes
    if n_axes > 1:
        assert [len(dots.get_offsets()) for dots in axes[0].collections] == [int((mdata.obsmap["rna"] > 0).sum())] * 2
    assert [text.get_text() for text in axes[0].figure.legends[0].get_texts()][:2] == [
        "cells, a draw of each posterior",
        "draws of the prior",
    ]


def test_the_same_seed_gives_the_same_draws(trained):
    model, _ = trained
    drawn = [mmvae.pl.priors(model, "atac", seed=s, show=False)[0].collections[1].get_offsets() for s in (0, 0, 1)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


def test_all_faults_are_told(trained):
    model, _ = trained
    with pytest.raises(ValueError, match=r"n_cells.*got 0.*seed.*got -1"):
        mmvae.pl.priors(model, "rna", n_cells=0, seed=-1)
    with pytest.raises(ValueError, match="Expected a modality, one of .*; got 'rnaa'"):
        mmvae.pl.priors(model, "rnaa")


def test_that_no_cell_has_the_modality_is_told(trained, tmp_path):
    model, mdata = trained
    model.save(tmp_path / "model")
    few = {name: own[: 0 if name == "protein" else 20].copy() for name, own in mdata.mod.items()}
    other = MuData(few)
    other.obs["batch"] = mdata.obs["batch"].iloc[0]
    with pytest.raises(ValueError, match="Expected cells that have 'protein'; the model's data have none"):
        mmvae.pl.priors(mmvae.MultiVAE.load(tmp_path / "model", other), "protein")


@image
def test_image_of_priors():
    model, _ = made()
    return without_text(mmvae.pl.priors(model, "rna", return_fig=True))
