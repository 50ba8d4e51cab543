"""The real file's form becomes one array of coordinates, slides, tissues, and counts in X."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from mmvae import SetupError
from mmvae.datasets.pdac._sections import TISSUES
from mmvae.datasets.pdac._tidy import tidy_pdac

SECTION_OF_SPOT = ["IU_PDA_T1", "IU_PDA_HM2_2", "IU_PDA_T1", "IU_PDA_LNM10", "IU_PDA_NP2", "IU_PDA_HM2_2"]
TISSUE_OF_SPOT = ["T", "HM", "T", "LNM", "NP", "HM"]
POSITION = np.arange(12.0).reshape(6, 2)


@pytest.fixture
def raw() -> AnnData:
    """Six spots of four sections, in no order, as the file has them."""
    obs = pd.DataFrame(
        {"orig.ident": SECTION_OF_SPOT, "patient": [f"PT_{i}" for i in range(6)], "first_type": list("abcabc")},
        index=[f"spot{i}" for i in range(6)],
    )
    arrays = {}
    for section in sorted(set(SECTION_OF_SPOT)):
        arrays[f"spatial_{section}"] = np.where((obs["orig.ident"] == section).to_numpy()[:, None], POSITION, np.nan)
    counts = sp.csr_matrix(np.random.default_rng(0).poisson(1.0, (6, 5)).astype(np.float32))
    uns = {"spatial": {"IU_PDA_T1": {"images": {"lowres": np.zeros((2, 2, 3))}}}}
    var = pd.DataFrame(index=[f"g{j}" for j in range(5)])
    return AnnData(counts, obs=obs, var=var, uns=uns, obsm={**arrays, "X_integrated": np.ones((6, 3))})


def layers_of(adata: AnnData) -> set[str]:
    return set(adata.layers) - {None}  # anndata 0.13 counts X among the layers


def faults_of(adata: AnnData) -> list[str]:
    with pytest.raises(SetupError) as caught:
        tidy_pdac(adata)
    return caught.value.faults


def test_coordinates_slides_and_tissues_come_from_the_sections_arrays(raw):
    tidied = tidy_pdac(raw)
    np.testing.assert_array_equal(tidied.obsm["spatial"], POSITION)
    assert tidied.obs["slide"].tolist() == SECTION_OF_SPOT
    assert tidied.obs["tissue"].tolist() == TISSUE_OF_SPOT
    assert list(tidied.obs["tissue"].cat.categories) == list(TISSUES)
    assert set(tidied.obs["slide"].cat.categories) == set(SECTION_OF_SPOT)


def test_labels_images_and_other_arrays_are_kept_and_the_sections_arrays_are_not(raw):
    tidied = tidy_pdac(raw)
    assert list(tidied.obs["patient"]) == list(raw.obs["patient"])
    assert list(tidied.obs["first_type"]) == list("abcabc")
    assert tidied.uns["spatial"] == raw.uns["spatial"]
    assert set(tidied.obsm) == {"spatial", "X_integrated"}
    assert tidied.X is raw.X
    assert sp.issparse(tidied.X)


def test_the_input_is_left_as_it_was(raw):
    before = raw.copy()
    tidied = tidy_pdac(raw)
    tidied.obs["patient"] = "another"
    tidied.uns["more"] = 1
    pd.testing.assert_frame_equal(raw.obs, before.obs)
    assert list(raw.obsm) == list(before.obsm)
    assert list(raw.uns) == list(before.uns)
    assert layers_of(raw) == set()


def test_patients_are_not_made_up(raw):
    del raw.obs["patient"]
    assert "patient" not in tidy_pdac(raw).obs


def test_names_may_go_without_their_prefix(raw):
    for key in [key for key in raw.obsm if key.startswith("spatial_")]:
        raw.obsm[key.replace("IU_PDA_", "")] = raw.obsm[key]
        del raw.obsm[key]
    tidied = tidy_pdac(raw)
    assert tidied.obs["slide"].tolist() == [section.removeprefix("IU_PDA_") for section in SECTION_OF_SPOT]
    assert tidied.obs["tissue"].tolist() == TISSUE_OF_SPOT


def test_a_section_without_spots_is_no_slide(raw):
    raw.obsm["spatial_IU_PDA_HM4"] = np.full((6, 2), np.nan)
    assert "IU_PDA_HM4" not in tidy_pdac(raw).obs["slide"].cat.categories


def test_the_column_of_sections_is_not_needed(raw):
    del raw.obs["orig.ident"]
    assert tidy_pdac(raw).obs["slide"].tolist() == SECTION_OF_SPOT


@pytest.mark.parametrize("layer", ["counts", "raw_counts", "anything"])
def test_counts_move_to_x_from_the_layer_that_holds_them(raw, layer):
    normalized = raw.X * 0.3
    adata = raw.copy()
    adata.layers[layer], adata.X = raw.X.copy(), normalized
    adata.layers["a_scaled_one"] = normalized * 2
    tidied = tidy_pdac(adata)
    assert (tidied.X != raw.X).nnz == 0
    assert (tidied.layers["normalized"] != normalized).nnz == 0
    assert layers_of(tidied) == {"normalized", "a_scaled_one"}
    assert layers_of(adata) == {layer, "a_scaled_one"}


def test_a_layer_named_after_counts_comes_before_others(raw):
    adata = raw.copy()
    adata.layers["binary"], adata.layers["counts"] = raw.X.sign(), raw.X.copy()
    adata.X = raw.X * 0.3
    assert (tidy_pdac(adata).X != raw.X).nnz == 0


def test_a_layer_that_is_named_normalized_is_not_overwritten(raw):
    adata = raw.copy()
    adata.layers["normalized"], adata.layers["counts"], adata.X = raw.X * 0.7, raw.X.copy(), raw.X * 0.3
    tidied = tidy_pdac(adata)
    assert (tidied.layers["normalized"] != raw.X * 0.7).nnz == 0
    assert (tidied.layers["normalized_X"] != raw.X * 0.3).nnz == 0


@pytest.mark.parametrize("genes", [slice(None), [3, 1]], ids=["same_genes", "fewer_genes_in_another_order"])
def test_counts_are_taken_from_raw(raw, genes):
    adata = raw[:, genes].copy()
    adata.raw = raw.copy()
    adata.X = adata.X * 0.3
    tidied = tidy_pdac(adata)
    assert (tidied.X != raw[:, genes].X).nnz == 0
    assert (tidied.layers["normalized"] != adata.X).nnz == 0
    assert tidied.raw.shape == raw.shape


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda x: x * 0.5, id="fractions"),
        pytest.param(lambda x: -x, id="negative"),
        pytest.param(lambda x: x * np.nan, id="nan"),
        pytest.param(lambda x: x * 0, id="zeros"),
        pytest.param(lambda x: x.toarray() * 0.5, id="dense"),
    ],
)
def test_data_without_counts_are_refused(raw, spoil):
    raw.X = spoil(raw.X)
    raw.layers["scaled"] = raw.X.copy()
    (fault,) = faults_of(raw)
    assert fault.startswith("Expected counts")
    assert "got none in X, layers['scaled']. Add them as layers['counts']." in fault


def test_spots_without_coordinates_are_counted_with_their_sections(raw):
    raw.obsm["spatial_IU_PDA_T1"][0] = np.nan
    raw.obsm["spatial_IU_PDA_LNM10"][3, 1] = np.nan
    (fault,) = faults_of(raw)
    assert "got none for 2 spots of sections ['IU_PDA_LNM10', 'IU_PDA_T1']" in fault


def test_spots_with_several_coordinates_are_counted_with_their_sections(raw):
    raw.obsm["spatial_IU_PDA_NP2"][[1, 5]] = 0.0
    (fault,) = faults_of(raw)
    assert "got several for 2 spots, in ['IU_PDA_HM2_2', 'IU_PDA_NP2']" in fault


def test_coordinates_in_another_section_than_the_spot_is_of_are_refused(raw):
    raw.obs["orig.ident"] = ["IU_PDA_T1", "IU_PDA_T1", *SECTION_OF_SPOT[2:]]
    (fault,) = faults_of(raw)
    assert "got others for 1 spots of sections ['IU_PDA_T1']" in fault


def test_a_section_of_no_tissue_is_refused(raw):
    raw.obsm["spatial_IU_PDA_X4"] = np.full((6, 2), np.nan)
    assert any("got ['IU_PDA_X4']" in fault for fault in faults_of(raw))


def test_all_faults_are_listed_together(raw):
    raw.obsm["spatial_IU_PDA_T1"][0] = np.nan
    raw.obsm["spatial_IU_PDA_NP2"][1] = 0.0
    raw.X = raw.X * 0.5
    assert len(faults_of(raw)) == 3


def test_data_without_sections_are_refused(raw):
    for key in [key for key in raw.obsm if key.startswith("spatial_")]:
        del raw.obsm[key]
    (fault,) = faults_of(raw)
    assert "Expected coordinates in obsm['spatial_<section>']; got no such array" in fault
