"""Real data go in as they are. The full runs, with scores, are in benchmarks/peers/."""

from __future__ import annotations

import mudata
import numpy as np
import pytest
import scanpy as sc

from mmvae import MultiVAE
from mmvae._compat import unpulled

# Two epochs teach a model little, and it says so.
pytestmark = [
    pytest.mark.real,
    pytest.mark.filterwarnings(
        "ignore:The latent of", "ignore:The validation ELBO never", "ignore:batch .batch. coincides"
    ),
]

FILES = {
    "teaseq_pbmc_rna_adt_paired.h5mu": (None, {"rna": "nb", "protein": "nb"}),
    "neurips_bmmc_cite600.h5mu": ("batch", {"rna": "nb", "protein": "nb"}),
    "neurips_bmmc_multiome500.h5mu": ("batch", {"rna": "nb", "atac": "poisson"}),
    "neurips_bmmc_trimodal_mosaic.h5mu": ("batch", {"rna": "nb", "atac": "poisson", "protein": "nb"}),
    "bulk_breast_tcga_mosaic.h5mu": (None, {"rna": "normal", "mirna": "normal", "protein": "normal"}),
}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:var_names are not unique")
def test_a_real_data_set_goes_in_as_it_is(file, data_dir, tmp_path):
    if not (data_dir / file).is_file():
        pytest.skip(f"no {file} in {data_dir}")
    batch_key, likelihoods = FILES[file]
    with unpulled():
        mdata = mudata.read_h5mu(data_dir / file)
    MultiVAE.setup_mudata(mdata, batch_key=batch_key)
    model = MultiVAE(mdata, n_hidden=32)
    assert {n: likelihood.name for n, likelihood in model.module.likelihoods.items()} == likelihoods
    model.train(max_epochs=2, enable_progress_bar=False)
    latent = model.get_latent_representation()
    assert latent.shape == (mdata.n_obs, model.module.fusion.n_output)
    assert np.isfinite(latent).all()
    mdata.obsm["X_mmvae"] = latent
    sc.pp.neighbors(mdata, use_rep="X_mmvae")
    model.save(tmp_path / "model")
    assert np.allclose(MultiVAE.load(tmp_path / "model", mdata).get_latent_representation(), latent, atol=1e-5)
