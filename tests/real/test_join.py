"""Labels of dissociated cells, predicted for spots of a section of the same tumour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mudata
import pytest
import scanpy as sc

import mmvae
from mmvae._compat import unpulled

if TYPE_CHECKING:
    import pandas as pd

# Few epochs leave more to learn, and the model says so.
pytestmark = [
    pytest.mark.real,
    pytest.mark.filterwarnings(
        "ignore:The latent of", "ignore:The validation ELBO", "ignore:Category .* has fewer than 3 cells"
    ),
]

FILE = "pdac_moncada_rna_spatial.h5mu"
# Where pathologists marked a region, spots should look like cells of these types.
EXPECTED = {"Cancer": "Cancer clone", "Duct Epithelium": "Ductal", "Pancreatic": "Acinar", "Stroma": "Endothelial"}


@pytest.fixture(scope="module")
def probabilities(data_dir) -> pd.DataFrame:
    """Probabilities of the cells' types for each spot, and its region, after a short training on few genes."""
    if not (data_dir / FILE).is_file():
        pytest.skip(f"no {FILE} in {data_dir}")
    with unpulled(), pytest.warns(UserWarning, match="var_names are not unique"):
        mdata = mudata.read_h5mu(data_dir / FILE)
    # what the spots' column of this name holds are regions
    mdata["rna"].obs["type"] = mdata["rna"].obs["cell_type"]
    joined = mmvae.pp.join_features(mdata)
    logged = sc.pp.log1p(sc.pp.normalize_total(joined[joined.obs["assay"] == "rna"], copy=True), copy=True)
    joined = joined[:, sc.pp.highly_variable_genes(logged, n_top_genes=1000, inplace=False)["highly_variable"]].copy()
    mmvae.MultiVAE.setup_anndata(joined, batch_key="assay", labels_key="type")
    model = mmvae.MultiVAE(joined, n_hidden=64)
    model.train(20, accelerator="cpu", enable_progress_bar=False)
    found = model.predict(indices=(joined.obs["assay"] == "spatial").to_numpy(), soft=True)
    return found.assign(region=joined.obs["region"].astype(str))


@pytest.mark.parametrize("region", EXPECTED)
def test_spots_look_like_the_cells_expected_in_their_region(probabilities, region):
    types = [name for name in probabilities if name.startswith(EXPECTED[region])]
    share = probabilities[types].sum(axis=1)
    inside = probabilities["region"] == region
    assert share[inside].mean() > 1.2 * share[~inside].mean()
