"""Differences between groups of cells, in expression, accessibility and abundance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import mmvae
from mmvae import MultiVAE
from mmvae._compat import unpulled
from mmvae.model._reader import Reader
from mmvae.model.readouts._differences import MOST_VALUES, _options
from mmvae.model.readouts._group_means import GroupSampler, Rates

pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")
UNEVEN = "ignore:The groups of"


@pytest.fixture(scope="module")
def conditions() -> tuple[MultiVAE, np.ndarray]:
    """A model of cells of two conditions, each mostly of one batch, and the true fold changes; eight genes are rarer in each."""
    mdata = mmvae.datasets.simulate(
        600, modalities={"rna": 80, "protein": 10}, n_batches=2, missing=0.2, keep_rates=True
    )
    rng = np.random.default_rng(0)
    is_first = (mdata.obs["batch"] == "batch_0").to_numpy()
    treated = rng.random(600) < np.where(is_first, 0.7, 0.3)
    mdata.obs["condition"] = np.where(treated, "treated", "control")
    adata, rarer_in = mdata["rna"], np.repeat([1, -1, 0], [8, 8, 64])
    kept = np.where(np.where(treated, 1, -1)[:, None] * rarer_in == 1, 0.2, 1.0)
    cells = mdata.obs_names.get_indexer(adata.obs_names)
    adata.X = type(adata.X)(rng.binomial(adata.X.toarray().astype(int), kept[cells]).astype(np.float32))
    rates = (mdata.obsm["rate_rna"] * kept)[cells]
    rates /= rates.sum(axis=1, keepdims=True)
    change = np.log2(rates[treated[cells]].mean(axis=0) / rates[~treated[cells]].mean(axis=0))
    MultiVAE.setup_mudata(mdata, batch_key="batch")
    model = MultiVAE(mdata, batch_adversary=0.0)
    model.train(60, accelerator="cpu", enable_progress_bar=False)
    return model, change


def named(result: pd.DataFrame, features) -> pd.DataFrame:
    return result.loc[list(features)]


def test_changed_genes_are_found_and_few_others_though_batches_are_uneven(conditions):
    model, change = conditions
    asked = {"groupby": "condition", "group1": "treated", "group2": "control", "modality": "rna", "silent": True}
    result = named(model.differential_expression(**asked, batch_correction=True), model.adata["rna"].var_names)
    called = result["is_de_fdr_0.05"].to_numpy()
    differs = np.abs(change) > 0.25
    assert called[np.abs(change) > 1].all()
    assert (np.sign(result["lfc_mean"]) == np.sign(change))[called].all()
    assert (called & ~differs).sum() <= 0.075 * called.sum()


def test_nothing_is_found_between_batches_of_the_same_cells(conditions):
    model, _ = conditions
    asked = {"groupby": "batch", "within": "condition", "modality": "rna", "silent": True}
    corrected = model.differential_expression(**asked, group1="batch_0", group2="batch_1", batch_correction=True)
    assert corrected["is_de_fdr_0.05"].mean() < 0.03
    with pytest.warns(UserWarning, match="100% of the cells of one would have to be of other batches"):
        as_they_are = model.differential_expression(**asked, group1="batch_0", group2="batch_1")
    assert as_they_are["is_de_fdr_0.05"].mean() > 0.2


def test_abundance_that_differs_between_samples_is_seen_in_a_mosaic(conditions):
    model, _ = conditions
    rare = model.adata.obs["cluster"] == "cluster_0"
    gone = rare & (model.adata.obs["condition"] == "treated")
    with unpulled():
        fewer = model.adata[~gone.to_numpy()].copy()
    model.differential_abundance(fewer, sample_key="condition")
    scores = fewer.obsm["da_log_probs"]
    change = scores["treated"] - scores["control"]
    of_rare = change[fewer.obs["cluster"] == "cluster_0"]
    assert np.isfinite(change).all()
    assert of_rare.median() < change[fewer.obs["cluster"] != "cluster_0"].quantile(0.25)


def test_the_spread_of_a_mean_is_its_standard_error(conditions):
    model, _ = conditions
    data, reader = model.adata, Reader(model)
    cells = np.flatnonzero(data.obs_names.isin(data["rna"].obs_names))[:300]
    rows = data["rna"].obs_names.get_indexer(data.obs_names[cells])
    counts = data["rna"].X[rows].toarray()
    shares = counts / counts.sum(axis=1, keepdims=True)
    torch.manual_seed(0)
    drawn = GroupSampler(reader, data, Rates(reader, "rna"), None).means(cells, None, 2_000)
    expected = shares.std(axis=0) / np.sqrt(len(cells))
    assert np.median(drawn.std(axis=0) / expected) == pytest.approx(1.0, abs=0.1)
    assert np.corrcoef(drawn.mean(axis=0), shares.mean(axis=0))[0, 1] > 0.99


def test_imputed_cells_are_decoded_in_the_asked_batch(trained):
    model, mdata = trained
    reader, asked = Reader(model), set()

    class Recorded(Rates):
        def expected(self, fused, covariates):
            asked.update(covariates.batch.ravel().tolist())
            return super().expected(fused, covariates)

    sampler = GroupSampler(reader, mdata, Recorded(reader, "protein"), None)
    lacking = np.flatnonzero(~mdata.obs_names.isin(mdata["protein"].obs_names))
    assert len(set(reader.codes("batch")[lacking])) > 1
    for code, name in enumerate(("batch_0", "batch_1", "batch_2")):
        asked.clear()
        sampler.means(lacking, name, 10)
        assert asked == {code}


@pytest.mark.filterwarnings(UNEVEN)
class TestGroups:
    def test_a_group_against_the_rest_is_the_same_cells_by_number(self, trained):
        model, mdata = trained
        named_group = model.differential_expression(groupby="cluster", group1="cluster_1", modality="rna", silent=True)
        chosen = np.flatnonzero(mdata.obs["cluster"] == "cluster_1")
        query = "cluster == 'cluster_1'"
        for idx1 in (chosen, (mdata.obs["cluster"] == "cluster_1").to_numpy(), query):
            by_number = model.differential_expression(idx1=idx1, modality="rna", silent=True)
            pd.testing.assert_frame_equal(named_group.drop(columns=["comparison", "group1", "group2"]), by_number)

    def test_every_group_is_compared_by_default_and_pairs_if_asked_for(self, trained):
        model, mdata = trained
        every = model.differential_expression(groupby="cluster", modality="protein", silent=True)
        assert set(every["comparison"]) == {f"{name} vs Rest" for name in mdata.obs["cluster"].cat.categories}
        pairs = {"group1": ["cluster_0", "cluster_1"], "group2": ["cluster_2", "cluster_3"]}
        result = model.differential_expression(groupby="cluster", modality="protein", silent=True, **pairs)
        assert list(result["comparison"].unique()) == ["cluster_0 vs cluster_2", "cluster_1 vs cluster_3"]
        both = {"group1": "cluster_0", "group2": ["cluster_2", "cluster_3"]}
        result = model.differential_expression(groupby="cluster", modality="protein", silent=True, **both)
        assert list(result["comparison"].unique()) == ["cluster_0 vs cluster_2", "cluster_0 vs cluster_3"]

    def test_within_is_the_same_as_the_cells_of_that_group_alone(self, trained):
        model, mdata = trained
        asked = {"modality": "protein", "silent": True}
        names = {"groupby": "cluster", "group1": "cluster_0", "group2": "cluster_1"}
        result = model.differential_expression(within="batch", **names, **asked)
        assert set(result["batch"]) == {"batch_0", "batch_1", "batch_2"}
        inside = [f"cluster == '{names[group]}' and batch == 'batch_1'" for group in ("group1", "group2")]
        alone = model.differential_expression(idx1=inside[0], idx2=inside[1], **asked)
        own = result[result["batch"] == "batch_1"].loc[alone.index]
        statistics = ["raw_mean1", "raw_mean2", "non_zeros_proportion1", "raw_normalized_mean2"]
        pd.testing.assert_frame_equal(own[statistics], alone[statistics])
        assert np.allclose(own["scale1"], alone["scale1"], rtol=0.2)

    def test_too_few_cells_are_told(self, trained):
        model, mdata = trained
        with pytest.raises(ValueError, match="at least 3 cells; got fewer than 3 cells"):
            model.differential_expression(idx1=[0, 1], modality="rna", silent=True)

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({"groupby": "cluster", "group1": "cluster_9"}, r"groups among \['cluster_0'.*got \['cluster_9'\]"),
            ({"groupby": "cluster", "group1": ["cluster_0"] * 3, "group2": ["cluster_1"] * 2}, "got 3 and 2"),
            ({}, "Expected groupby"),
            ({"idx1": [1, 2, 3, 4], "idx2": [4, 5, 6]}, "no cell in common; got 1"),
            ({"groupby": "cluster", "mode": "means"}, "mode as one of"),
            ({"groupby": "cluster", "weights": "importance"}, "weights as one of"),
            ({"groupby": "cluster", "batchid1": ["batch_0"]}, "together with batch_correction=True"),
            ({"groupby": "cluster", "fdr_target": 2.0}, "fdr_target as a share"),
            ({"idx1": "clster == 'a'"}, "a query of obs, such as.*got \"clster.*Columns of obs are .*'cluster'"),
            ({"idx1": "cluster = 'a'"}, "a query of obs"),
            ({"idx1": "cluster =="}, "a query of obs"),
            ({"idx1": "cluster.str.len().sum()"}, "a query of obs"),
            ({"idx2": [1, 2, 3]}, "idx2 together with idx1.*got it alone"),
            ({"groupby": "cluster", "n_sample_overall": 5}, "'n_sample_overall'. Did you mean 'n_samples_overall'"),
            ({"groupby": "cluster", "fdr": 0.1, "mode": "x"}, "mode as one of.*options of the test among.*got 'fdr'"),
            (
                {"groupby": "cluster", "n_samples_overall": 0.5, "pseudocounts": "a"},
                "n_samples_overall as.*pseudocounts as",
            ),
            ({"groupby": "cluster", "cred_interval_lvls": 0.9}, "a list of shares; got 0.9"),
            (
                {"groupby": "cluster", "cred_interval_lvls": [0.9, 2], "test_mode": "one"},
                "share above 0.*test_mode as one of",
            ),
        ],
    )
    def test_faults_are_told_and_leave_the_data_as_they_were(self, trained, arguments, words):
        model, mdata = trained
        before = list(mdata.obs), list(mdata.uns), list(mdata["rna"].obs)
        with pytest.raises(ValueError, match=words):
            model.differential_expression(modality="rna", silent=True, **arguments)
        assert (list(mdata.obs), list(mdata.uns), list(mdata["rna"].obs)) == before

    def test_an_unknown_column_is_looked_for_everywhere(self, trained):
        model, _ = trained
        with pytest.raises(KeyError, match="Did you mean 'cluster'"):
            model.differential_expression(groupby="clusters", modality="rna")


@pytest.mark.filterwarnings(UNEVEN)
class TestExpression:
    def test_statistics_are_those_of_the_measured_cells(self, trained, capsys):
        model, mdata = trained
        before = mdata.obs.copy(), list(mdata["rna"].obs)
        asked = {"groupby": "cluster", "group1": "cluster_2", "modality": "rna"}
        result = model.differential_expression(**asked)
        n_lacking = mdata.n_obs - mdata["rna"].n_obs
        assert f"{n_lacking} of 200 cells are left out, as they lack 'rna'" in capsys.readouterr().out
        adata = mdata["rna"]
        counts, inside = adata.X.toarray(), (mdata.obs.loc[adata.obs_names, "cluster"] == "cluster_2").to_numpy()
        expected = pd.DataFrame(index=adata.var_names)
        for number, mask in ((1, inside), (2, ~inside)):
            expected[f"raw_mean{number}"] = counts[mask].mean(axis=0)
            expected[f"non_zeros_proportion{number}"] = (counts[mask] > 0).mean(axis=0)
            scaled = 1e4 * counts[mask] / counts[mask].sum(axis=1, keepdims=True)
            expected[f"raw_normalized_mean{number}"] = scaled.mean(axis=0)
        found = named(result, adata.var_names)[list(expected)]
        pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-4)
        with_imputed = model.differential_expression(**asked, include_imputed=True, silent=True)
        own = named(with_imputed, adata.var_names)
        pd.testing.assert_frame_equal(own[list(expected)], expected, check_dtype=False, rtol=1e-4)
        assert (own["scale1"] != named(result, adata.var_names)["scale1"]).all()
        pd.testing.assert_frame_equal(mdata.obs, before[0])
        assert list(adata.obs) == before[1]

    def test_columns_are_those_of_scvi_tools(self, trained):
        model, mdata = trained
        result = model.differential_expression(groupby="cluster", modality="rna", fdr_target=0.1, silent=True)
        wanted = ["proba_de", "proba_not_de", "bayes_factor", "scale1", "scale2", "pseudocounts", "delta", "lfc_mean"]
        wanted += ["lfc_median", "lfc_std", "lfc_min", "lfc_max", "raw_mean1", "raw_mean2", "is_de_fdr_0.1"]
        assert set(wanted) < set(result)
        assert result.shape[0] == mdata["rna"].n_vars * 8
        first = result[result["group1"] == "cluster_0"]
        assert list(first["is_de_fdr_0.1"]) == sorted(first["is_de_fdr_0.1"], reverse=True)

    def test_vanilla_and_options_of_scvi_tools(self, trained):
        model, _ = trained
        asked = {"groupby": "cluster", "group1": "cluster_2", "modality": "rna", "silent": True, "all_stats": False}
        vanilla = model.differential_expression(**asked, mode="vanilla")
        assert {"proba_m1", "proba_m2"} <= set(vanilla)
        assert "raw_mean1" not in vanilla
        levels = {"cred_interval_lvls": [0.9], "n_samples_overall": 300, "pseudocounts": 1e-3, "delta": None}
        result = model.differential_expression(**asked, **levels)
        assert (result["lfc_confidence_interval_0.9_min"] <= result["lfc_median"]).all()
        assert (result["pseudocounts"] == 1e-3).all()
        assert result["delta"].iloc[0] > 0

    def test_cells_are_compared_as_scvi_tools_does_if_asked_for(self, trained):
        model, mdata = trained
        asked = {"groupby": "cluster", "group1": "cluster_2", "modality": "rna", "silent": True}
        means, cells = (model.differential_expression(**asked, compare=way) for way in ("means", "cells"))
        features = mdata["rna"].var_names
        assert np.corrcoef(named(means, features)["scale1"], named(cells, features)["scale1"])[0, 1] > 0.99
        outliers = model.differential_expression(**asked, filter_outlier_cells=True)
        assert not named(outliers, features)["scale2"].equals(named(means, features)["scale2"])

    @pytest.mark.filterwarnings("ignore:batch 'batch' coincides")
    def test_cells_are_decoded_in_batches_that_have_the_modality(self):
        mdata = mmvae.datasets.simulate(120, modalities={"rna": 30, "protein": 6}, missing={"batch_1": "protein"})
        MultiVAE.setup_mudata(mdata, batch_key="batch")
        model = MultiVAE(mdata, n_latent=2, n_hidden=8)
        model.train(1, accelerator="cpu", enable_progress_bar=False)
        asked = {"groupby": "cluster", "group1": "cluster_2", "modality": "protein", "silent": True}
        by_default = model.differential_expression(**asked, batch_correction=True)
        having = ["batch_0", "batch_2"]
        named_ones = model.differential_expression(**asked, batch_correction=True, batchid1=having, batchid2=having)
        pd.testing.assert_frame_equal(by_default, named_ones)
        with pytest.raises(ValueError, match="such as those of 'batch_1'"):
            model.differential_expression(**asked, include_imputed=True)
        assert len(model.differential_expression(**asked, include_imputed=True, batch_correction=True)) == 6
        lacking = mdata[(mdata.obs["batch"] == "batch_1").to_numpy()].copy()
        asked |= {"include_imputed": True, "batch_correction": True}
        with pytest.raises(ValueError, match="some cells have 'protein'.*none has. Give batchid1 and batchid2"):
            model.differential_expression(lacking, **asked)
        assert len(model.differential_expression(lacking, **asked, batchid1=having, batchid2=having)) == 6

    def test_real_values_differ_in_standard_deviations(self):
        mdata = mmvae.datasets.simulate(100, modalities={"rna": 20, "protein": 6}, n_batches=1)
        mdata["protein"].X = np.log1p(mdata["protein"].X) - 3
        MultiVAE.setup_mudata(mdata, likelihoods={"protein": "normal"})
        model = MultiVAE(mdata, n_latent=2, n_hidden=8)
        model.train(2, accelerator="cpu", enable_progress_bar=False)
        result = model.differential_expression(groupby="cluster", group1="cluster_0", modality="protein", silent=True)
        result = named(result, mdata["protein"].var_names)
        assert not {"lfc_mean", "pseudocounts", "non_zeros_proportion1"} & set(result)
        expected = (result["scale1"] - result["scale2"]) / mdata["protein"].X.std(axis=0)
        assert np.allclose(result["difference_mean"], expected, atol=0.01)
        with pytest.raises(ValueError, match="'protein' has likelihood 'normal'"):
            model.differential_accessibility(groupby="cluster", modality="protein")

    def test_samples_of_many_features_are_bounded(self, trained):
        quantity = Rates(Reader(trained[0]), "rna")
        for quantity.n_features in (100, 5_000, 25_000):
            options = _options(quantity, 50)
            assert options["n_samples_overall"] * quantity.n_features <= MOST_VALUES


@pytest.mark.filterwarnings(UNEVEN)
class TestAccessibility:
    def test_columns_are_those_of_scvi_tools(self, trained):
        model, mdata = trained
        pair = {"groupby": "cluster", "group1": ["cluster_1", "cluster_2"], "group2": "cluster_3"}
        result = model.differential_accessibility(**pair, silent=True)
        assert list(result.columns[:5]) == ["prob_da", "is_da_fdr", "bayes_factor", "effect_size", "emp_effect"]
        assert np.allclose(result["effect_size"], result["est_prob2"] - result["est_prob1"])
        assert result["est_prob1"].between(0, 1).all()
        adata = mdata["atac"]
        inside = (mdata.obs.loc[adata.obs_names, "cluster"] == "cluster_1").to_numpy()
        seen = (adata.X[inside].toarray() > 0).mean(axis=0)
        first = named(result[result["group1"] == "cluster_1"], adata.var_names)
        assert np.allclose(first["emp_prob1"], seen)
        assert np.corrcoef(first["est_prob1"], seen)[0, 1] > 0.5

    def test_one_side_needs_a_change_that_counts(self, trained):
        with pytest.raises(ValueError, match="delta as a number together with two_sided=False; got None"):
            trained[0].differential_accessibility(groupby="cluster", delta=None, two_sided=False)

    def test_one_side_is_of_regions_that_are_more_open(self, trained):
        model, _ = trained
        asked = {"groupby": "cluster", "group1": "cluster_1", "silent": True, "delta": 0.0}
        one, two = (model.differential_accessibility(**asked, two_sided=sides) for sides in (False, True))
        more_open = one["est_prob1"] > one["est_prob2"]
        assert 0 < more_open.mean() < 1
        # With no change that does not count, what speaks for an increase speaks against a decrease.
        probability = two["prob_da"].reindex(one.index)
        expected = np.where(one["prob_da"] >= 0.5, probability, 1 - probability)
        assert np.allclose(one["prob_da"], expected, atol=1e-6)
