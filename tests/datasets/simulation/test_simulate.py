"""The simulator keeps its promises about truth, counts, mosaics and order."""

from functools import cache

import mudata
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import issparse
from scipy.spatial import KDTree

from mmvae._compat import unpulled
from mmvae.datasets import simulate

SIZES = {"rna": 120, "atac": 150, "protein": 20}
PAIR = {"rna": 40, "atac": 50}
ALL = "rna+atac+protein"


@cache
def complete() -> mudata.MuData:
    """Complete cells of all modalities with their rates; not to be changed by a test."""
    return simulate(600, modalities=SIZES, keep_rates=True, seed=1)


def dense(adata) -> np.ndarray:
    return adata.X.toarray() if issparse(adata.X) else np.asarray(adata.X)


def in_cell_order(mdata: mudata.MuData, name: str) -> np.ndarray:
    """Counts of one modality in the order of ``mdata.obs``, for the cells that have it."""
    adata = mdata.mod[name]
    rows = adata.obs_names.get_indexer(mdata.obs_names)
    return dense(adata)[rows[rows >= 0]]


def fraction_explained(of: np.ndarray, by: np.ndarray) -> float:
    design = np.column_stack([by, np.ones(len(by))])
    residual = of - design @ np.linalg.lstsq(design, of, rcond=None)[0]
    return 1.0 - residual.var(axis=0).sum() / of.var(axis=0).sum()


def log_batch_difference(mdata: mudata.MuData) -> np.ndarray:
    """Difference between two batches of each gene's log mean fraction of the counts."""
    totals = [in_cell_order(mdata, "rna")[mdata.obs["batch"] == f"batch_{b}"].sum(axis=0) + 1 for b in (0, 1)]
    return np.diff(np.log([total / total.sum() for total in totals]), axis=0)


def test_default_sizes_are_those_of_the_documentation():
    mdata = simulate(20)
    assert {name: adata.n_vars for name, adata in mdata.mod.items()} == {"rna": 300, "atac": 800, "protein": 30}


def test_names_shapes_and_types_are_as_documented():
    mdata = complete()
    assert list(mdata.mod) == list(SIZES)
    assert not mdata.is_view
    for name, first in {"rna": "gene_0", "atac": "peak_0", "protein": "protein_0"}.items():
        adata = mdata.mod[name]
        assert adata.shape == (600, SIZES[name])
        assert adata.var_names[0] == first
        assert adata.X.dtype == np.float32
        assert adata.obs.empty
        assert mdata.obsm[f"private_{name}"].shape == (600, 3)
        assert mdata.obsm[f"rate_{name}"].shape == (600, SIZES[name])
    assert issparse(mdata["rna"].X)
    assert issparse(mdata["atac"].X)
    assert isinstance(mdata["protein"].X, np.ndarray)
    assert mdata.obsm["shared"].shape == (600, 5)
    assert list(mdata.obs.columns) == ["cluster", "trajectory", "batch", "pattern"]
    assert (mdata.obs.dtypes.drop("trajectory") == "category").all()


@pytest.mark.parametrize("name", SIZES)
def test_values_are_counts_and_no_cell_is_empty(name):
    counts = dense(complete().mod[name])
    assert (counts >= 0).all()
    assert (counts == np.rint(counts)).all()
    assert (counts.sum(axis=1) > 0).all()


@pytest.mark.parametrize(("name", "depth"), [("rna", 1600), ("atac", 320)])
def test_mean_depth_is_as_documented(name, depth):
    assert dense(complete().mod[name]).sum(axis=1).mean() == pytest.approx(depth, rel=0.1)


def test_genes_are_overdispersed_and_fragments_are_poisson():
    mdata = complete()
    ratio = {}
    for name in ("rna", "atac"):
        counts, rates = dense(mdata.mod[name]), mdata.obsm[f"rate_{name}"]
        one_batch = (mdata.obs["batch"] == "batch_0").to_numpy()
        mean = counts[one_batch].sum(axis=1, keepdims=True) * rates[one_batch]
        mean *= counts[one_batch].sum(axis=0) / mean.sum(axis=0)
        ratio[name] = ((counts[one_batch] - mean) ** 2).sum() / mean.sum()
    assert ratio["rna"] > 2
    assert ratio["atac"] == pytest.approx(1.0, abs=0.15)


def test_proteins_have_background_and_foreground():
    counts = dense(complete()["protein"])
    low, high = np.quantile(counts, [0.2, 0.8], axis=0)
    assert np.median(low) > 3
    assert np.median(high / low) > 5


def test_same_seed_gives_identical_data():
    first, second = (simulate(100, modalities=SIZES, missing=0.3, spatial=True, seed=7) for _ in range(2))
    pd.testing.assert_frame_equal(first.obs, second.obs)
    for name in SIZES:
        assert first.mod[name].obs_names.equals(second.mod[name].obs_names)
        np.testing.assert_array_equal(dense(first.mod[name]), dense(second.mod[name]))
    for key in ("shared", "spatial", "private_rna"):
        np.testing.assert_array_equal(first.obsm[key], second.obsm[key])


def test_different_seeds_give_different_data():
    first, second = (simulate(100, modalities=PAIR, seed=seed) for seed in (0, 1))
    assert (dense(first["rna"]) != dense(second["rna"])).any()
    assert not np.allclose(first.obsm["shared"], second.obsm["shared"])


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"modalities": ("rna",)}, id="fewer_modalities"),
        pytest.param({"modalities": {"protein": 5, "rna": 300}}, id="another_order"),
        pytest.param({"missing": {"batch_1": "atac"}}, id="a_mosaic"),
        pytest.param({"keep_rates": True}, id="rates_kept"),
    ],
)
def test_other_parts_leave_factors_and_rna_counts_alone(change):
    reference, other = (
        simulate(60, modalities=("rna", "atac")),
        simulate(60, **{"modalities": ("rna", "atac"), **change}),
    )
    np.testing.assert_array_equal(reference.obsm["shared"], other.obsm["shared"])
    np.testing.assert_array_equal(reference.obsm["private_rna"], other.obsm["private_rna"])
    np.testing.assert_array_equal(in_cell_order(reference, "rna"), in_cell_order(other, "rna"))


@pytest.mark.parametrize("key", ["shared", "private_rna", "private_atac", "private_protein"])
def test_factors_are_standardised(key):
    factors = complete().obsm[key]
    np.testing.assert_allclose(factors.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(factors.std(axis=0), 1.0)


@pytest.mark.parametrize("name", SIZES)
def test_private_factors_say_nothing_about_shared_ones(name):
    mdata = complete()
    assert fraction_explained(mdata.obsm["shared"], by=mdata.obsm[f"private_{name}"]) < 0.05


def test_shared_factors_explain_most_of_the_cluster():
    mdata = complete()
    clusters = pd.get_dummies(mdata.obs["cluster"]).to_numpy(dtype=float)
    assert fraction_explained(mdata.obsm["shared"], by=clusters) > 0.6


def test_trajectory_runs_through_half_of_the_clusters():
    obs = complete().obs
    inside = obs["trajectory"].notna()
    on, off = set(obs["cluster"][inside]), set(obs["cluster"][~inside])
    assert (len(on), len(off)) == (4, 4)
    assert on.isdisjoint(off)
    assert obs["trajectory"][inside].between(0, 1).all()
    assert obs["trajectory"].dtype == np.float64


@pytest.mark.parametrize("name", SIZES)
def test_rates_are_relative(name):
    rates = complete().obsm[f"rate_{name}"]
    assert (rates > 0).all()
    np.testing.assert_allclose(rates.sum(axis=1), 1.0)


@pytest.mark.parametrize("name", ["rna", "atac"])
def test_factors_are_linear_in_log_rates(name):
    mdata = complete()
    log_rates = np.log(mdata.obsm[f"rate_{name}"])
    assert fraction_explained(mdata.obsm["shared"], by=log_rates) > 0.99
    assert fraction_explained(mdata.obsm[f"private_{name}"], by=log_rates) > 0.99


@pytest.mark.parametrize("name", SIZES)
def test_counts_follow_the_rates(name):
    mdata = simulate(600, modalities=SIZES, batch_strength=0.0, keep_rates=True)
    counts = dense(mdata.mod[name])
    fractions = counts / counts.sum(axis=1, keepdims=True)
    correlation = [np.corrcoef(x, r)[0, 1] for x, r in zip(fractions.T, mdata.obsm[f"rate_{name}"].T, strict=True)]
    assert np.median(correlation) > 0.25


def test_rates_and_positions_are_left_out_unless_asked_for():
    assert set(simulate(20, modalities=PAIR).obsm) == {"shared", "private_rna", "private_atac", *PAIR}


def test_rates_carry_no_batch_effect():
    weak, strong = (simulate(60, modalities=PAIR, batch_strength=b, keep_rates=True) for b in (0.0, 1.0))
    np.testing.assert_array_equal(weak.obsm["rate_rna"], strong.obsm["rate_rna"])


def test_batches_shift_the_counts_by_their_strength():
    spread = {b: log_batch_difference(simulate(600, modalities=PAIR, batch_strength=b)).std() for b in (0.0, 0.6)}
    assert spread[0.0] < 0.15
    assert spread[0.6] == pytest.approx(0.6 * np.sqrt(2), rel=0.35)


def test_every_cluster_and_batch_occurs_in_a_tiny_data_set():
    obs = simulate(10, modalities=PAIR, n_clusters=10, n_batches=4).obs
    assert obs["cluster"].nunique() == 10
    assert set(obs["batch"]) == {f"batch_{b}" for b in range(4)}


def test_complete_cells_keep_one_order_everywhere():
    mdata = complete()
    assert set(mdata.obs["pattern"]) == {ALL}
    assert all(adata.obs_names.equals(mdata.obs_names) for adata in mdata.mod.values())


def test_a_fraction_makes_so_many_cells_lose_one_modality():
    patterns = simulate(200, modalities=SIZES, missing=0.3).obs["pattern"].value_counts()
    assert patterns.sum() - patterns[ALL] == 60
    assert set(patterns.index) == {ALL, "rna+atac", "rna+protein", "atac+protein"}


def test_pattern_fractions_are_met_exactly():
    mdata = simulate(200, modalities=SIZES, missing={ALL: 0.5, "rna": 0.25, "protein+rna": 0.25})
    assert mdata.obs["pattern"].value_counts().to_dict() == {ALL: 100, "rna": 50, "rna+protein": 50}


def test_a_pattern_of_fraction_zero_does_not_occur():
    mdata = simulate(100, modalities=PAIR, missing={"rna": 0.0, "atac": 1 / 3, "rna+atac": 2 / 3})
    assert set(mdata.obs["pattern"]) == {"atac", "rna+atac"}


def test_a_batch_loses_its_modality_and_nothing_else_is_lost():
    obs = simulate(150, modalities=SIZES, missing={"batch_1": "protein", "batch_2": "rna"}).obs
    expected = obs["batch"].astype(str).map({"batch_0": ALL, "batch_1": "rna+atac", "batch_2": "atac+protein"})
    assert (obs["pattern"].astype(str) == expected).all()


@pytest.mark.parametrize(
    "missing",
    [0.0, 0.5, 1.0, {ALL: 0.2, "rna": 0.4, "atac+protein": 0.4}, {"batch_0": "rna"}],
    ids=["none", "half", "all", "patterns", "batches"],
)
def test_mosaics_keep_cells_in_order_and_shuffle_the_modalities(missing):
    mdata = simulate(90, modalities=SIZES, missing=missing, seed=3)
    assert list(mdata.obs_names) == [f"cell_{i}" for i in range(90)]
    for name, adata in mdata.mod.items():
        has = mdata.obs_names[
            mdata.obs["pattern"].astype(str).str.split("+").map(lambda parts, name=name: name in parts)
        ]
        assert set(adata.obs_names) == set(has)
        assert list(adata.obs_names) != list(has)
        rows = mdata.obsmap[name]
        assert list(adata.obs_names[rows[rows > 0] - 1]) == list(has)


def test_updating_a_mosaic_changes_neither_order_nor_truth():
    mdata = simulate(60, modalities=PAIR, missing=0.5)
    obs, shared = mdata.obs.copy(), mdata.obsm["shared"].copy()
    with unpulled():
        mdata.update()
    pd.testing.assert_frame_equal(mdata.obs, obs)
    np.testing.assert_array_equal(mdata.obsm["shared"], shared)


@pytest.mark.skipif(not hasattr(mudata, "set_options"), reason="mudata 0.4 needs no option")
def test_mudata_options_are_left_as_they_were():
    with mudata.set_options(display_style="html") as options:
        before = dict(options)
        simulate(20, modalities=PAIR)
        assert options == before


def test_neighbours_on_a_slide_share_a_cluster_more_often_than_chance():
    mdata = simulate(900, modalities={"rna": 20}, spatial=True)
    cluster = mdata.obs["cluster"].cat.codes.to_numpy()
    _, neighbours = KDTree(mdata.obsm["spatial"]).query(mdata.obsm["spatial"], k=7)
    agreement = (cluster[neighbours[:, 1:]] == cluster[:, None]).mean()
    chance = (np.bincount(cluster) / len(cluster)) @ (np.bincount(cluster) / len(cluster))
    assert chance + 0.3 < agreement < 0.95


def test_spots_are_hexagonal_and_slides_are_apart():
    mdata = simulate(300, modalities={"rna": 20}, spatial=True)
    position, batch = mdata.obsm["spatial"], mdata.obs["batch"].cat.codes.to_numpy()
    pairs = KDTree(position).query_pairs(1.01, output_type="ndarray")
    distance = np.linalg.norm(position[pairs[:, 0]] - position[pairs[:, 1]], axis=1)
    np.testing.assert_allclose(distance, 1.0)
    assert np.bincount(pairs.ravel()).max() == 6
    assert (batch[pairs[:, 0]] == batch[pairs[:, 1]]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"n_cells": 9}, "n_cells as a whole number of at least 10; got 9", id="too_few_cells"),
        pytest.param(
            {"n_cells": 11, "n_clusters": 12},
            "n_cells as a whole number of at least 12",
            id="fewer_cells_than_clusters",
        ),
        pytest.param({"n_batches": 0}, "n_batches as a whole number above 0", id="no_batch"),
        pytest.param({"n_clusters": 0}, "n_clusters as a whole number above 0", id="no_cluster"),
        pytest.param({"batch_strength": -0.1}, "batch_strength as a number of at least 0", id="negative_strength"),
        pytest.param({"batch_strength": float("nan")}, "batch_strength as a number", id="nan_strength"),
        pytest.param({"modalities": ("rna", "dna")}, r"among \['rna', 'atac', 'protein'\]; got", id="unknown_modality"),
        pytest.param({"modalities": ()}, "Choose at least one", id="no_modality"),
        pytest.param({"modalities": ("rna", "rna")}, "distinct", id="repeated_modality"),
        pytest.param({"modalities": {"rna": 0}}, "modalities of 'rna' as a whole number above 0", id="no_features"),
        pytest.param({"n_cells": 100.0}, "n_cells as a whole number", id="cells_as_float"),
        pytest.param({"n_cells": True}, "n_cells as a whole number", id="cells_as_bool"),
        pytest.param({"modalities": {"rna": 5.5}}, "modalities of 'rna' as a whole number", id="half_a_feature"),
        pytest.param({"seed": -1}, "seed as a whole number of at least 0", id="negative_seed"),
        pytest.param({"missing": 1.5}, "between 0 and 1; got 1.5", id="fraction_above_one"),
        pytest.param({"missing": -0.5}, "between 0 and 1", id="negative_fraction"),
        pytest.param({"missing": {}}, "Use keys of one kind", id="empty_mapping"),
        pytest.param({"missing": {"rna+dna": 1.0}}, "Use keys of one kind", id="unknown_pattern"),
        pytest.param({"missing": {"rna+rna": 1.0}}, "Use keys of one kind", id="modality_twice_in_a_pattern"),
        pytest.param({"missing": {3: 1.0}}, "Use keys of one kind", id="key_that_is_no_name"),
        pytest.param({"missing": {"batch_9": "rna"}}, "Use keys of one kind", id="unknown_batch"),
        pytest.param({"missing": {"batch_1": "rna", ALL: 1.0}}, "Use keys of one kind", id="keys_of_both_kinds"),
        pytest.param({"missing": {ALL: 0.5, "rna": 0.4}}, "sum to 1", id="fractions_below_one"),
        pytest.param({"missing": {ALL: 1.5, "rna": -0.5}}, "non-negative", id="negative_pattern_fraction"),
        pytest.param({"missing": {ALL: "all"}}, "non-negative", id="fraction_that_is_no_number"),
        pytest.param({"missing": {"batch_1": "dna"}}, r"got \['dna'\]", id="batch_loses_unknown_modality"),
        pytest.param({"missing": {"rna": 1.0}}, r"none in \['atac', 'protein'\]", id="modality_without_cells"),
        pytest.param(
            {"missing": {f"batch_{b}": "rna" for b in range(3)}}, r"none in \['rna'\]", id="lost_in_every_batch"
        ),
        pytest.param({"modalities": ("rna",), "missing": 0.5}, "got 50 cells with none", id="cells_without_anything"),
    ],
)
def test_unusable_values_are_refused_with_a_remedy(arguments, message):
    with pytest.raises(ValueError, match=message):
        simulate(**{"n_cells": 100, **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"modalities": "rna"}, "Give a tuple of names", id="a_bare_name"),
        pytest.param({"modalities": None}, "Give a tuple of names", id="no_names"),
        pytest.param({"missing": "rna"}, "one of the three forms", id="missing_as_name"),
        pytest.param({"missing": True}, "one of the three forms", id="missing_as_bool"),
    ],
)
def test_unusable_types_are_refused_with_a_remedy(arguments, message):
    with pytest.raises(TypeError, match=message):
        simulate(**{"n_cells": 100, **arguments})


def test_fractions_that_are_rounded_are_of_all_cells():
    sizes = {"rna": 1, "atac": 1}
    patterns = simulate(60_000, modalities=sizes, missing={"rna": 0.33333, "atac": 0.66666}).obs["pattern"]
    assert patterns.value_counts().to_dict() == {"atac": 40_000, "rna": 20_000}
