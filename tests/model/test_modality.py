"""One word, ``modality``, for what is read of a modality, in every method that reads."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest


def test_other_names_of_a_modality_mean_the_same(trained):
    model, _ = trained
    by_modality = model.get_latent_representation(modality="rna")
    np.testing.assert_array_equal(by_modality, model.get_latent_representation(representation="rna"))
    np.testing.assert_array_equal(by_modality, model.get_latent_representation(modality="rna", representation="rna"))
    shares = model.get_responsibilities(modality="rna")
    pd.testing.assert_frame_equal(shares, model.get_responsibilities(latent="rna"))


@pytest.mark.parametrize(
    ("method", "alias"), [("get_latent_representation", "representation"), ("get_responsibilities", "latent")]
)
def test_names_that_disagree_are_refused(trained, method, alias):
    with pytest.raises(ValueError, match=f"modality and {alias}, which mean the same, to agree.*Give modality"):
        getattr(trained[0], method)(modality="rna", **{alias: "atac"})


def test_a_modality_that_is_none_is_named(trained):
    model, _ = trained
    for method in (model.get_responsibilities, model.check_prior, model.prior_summary, model.spatial_spectrum):
        with pytest.raises(ValueError, match=r"modality, one of \['rna', 'atac', 'protein'\]; got 'RNA'"):
            method(modality="RNA")
    with pytest.raises(ValueError, match="Give modality"):
        model.get_responsibilities()


def test_tables_of_one_modality_are_parts_of_those_of_all(trained):
    model, _ = trained
    every, one = model.prior_summary(n_features=2), model.prior_summary(n_features=2, modality="atac")
    expected = every[every["latent"] == "atac"].reset_index(drop=True)
    pd.testing.assert_frame_equal(one, expected)
    every, one = model.check_prior(n_cells=60), model.check_prior(n_cells=60, modality="atac")
    expected = every[every["latent"] == "atac"].reset_index(drop=True)
    pd.testing.assert_frame_equal(one, expected)


def test_outlier_scores_of_one_modality_rank_the_cells_that_have_it(trained):
    model, mdata = trained
    score = model.get_outlier_score(modality="protein")
    has = np.ravel(mdata.obsmap["protein"]) > 0
    assert np.isnan(score[~has]).all()
    trained_cells = has & np.isin(np.arange(mdata.n_obs), model.train_indices_)
    # the ranks of the training cells themselves: each place once, but for those that differ in their last digits alone
    n = trained_cells.sum()
    np.testing.assert_allclose(np.sort(score[trained_cells]), (np.arange(n) + 0.5) / n, atol=1 / n)
    assert not np.allclose(score[has], model.get_outlier_score()[has])
