"""Whatever reads a model's own data refuses them once they were changed, and says what was."""

from __future__ import annotations

import pytest

import mmvae
from mmvae import MultiVAE, SetupError

pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")
RNA, GROUPS = {"modality": "rna"}, {"groupby": "cluster"}

# what reads data, and how it is called
READING = {
    "check_imputation": lambda m, _: m.check_imputation("protein"),
    "check_prior": lambda m, _: m.check_prior(),
    "diagnose": lambda m, _: m.diagnose(),
    "differential_abundance": lambda m, _: m.differential_abundance(sample_key="cluster"),
    "differential_accessibility": lambda m, _: m.differential_accessibility(**GROUPS),
    "differential_expression": lambda m, _: m.differential_expression(**GROUPS, **RNA),
    "get_accessibility_estimates": lambda m, _: m.get_accessibility_estimates(),
    "get_aggregated_posterior": lambda m, _: m.get_aggregated_posterior(),
    "get_attributions": lambda m, _: m.get_attributions("rna_0"),
    "get_deviance_explained": lambda m, _: m.get_deviance_explained(),
    "get_elbo": lambda m, _: m.get_elbo(),
    "get_feature_correlation_matrix": lambda m, _: m.get_feature_correlation_matrix(**RNA),
    "get_latent_library_size": lambda m, _: m.get_latent_library_size(**RNA),
    "get_latent_representation": lambda m, _: m.get_latent_representation(),
    "get_likelihood_parameters": lambda m, _: m.get_likelihood_parameters(**RNA),
    "get_loadings": lambda m, _: m.get_loadings("rna"),
    "get_marginal_ll": lambda m, _: m.get_marginal_ll(n_mc_samples=2),
    "get_modality_information": lambda m, _: m.get_modality_information(),
    "get_normalized_accessibility": lambda m, _: m.get_normalized_accessibility(),
    "get_normalized_expression": lambda m, _: m.get_normalized_expression(**RNA),
    "get_outlier_score": lambda m, _: m.get_outlier_score(),
    "get_protein_foreground_probability": lambda m, _: m.get_protein_foreground_probability(),
    "get_reconstruction_error": lambda m, _: m.get_reconstruction_error(),
    "get_responsibilities": lambda m, _: m.get_responsibilities(**RNA),
    "get_shared_spectrum": lambda m, _: m.get_shared_spectrum(),
    "impute": lambda m, _: m.impute("protein"),
    "leave_one_out": lambda m, _: m.leave_one_out(),
    "minify_mudata": lambda m, _: m.minify_mudata(),
    "posterior_predictive_sample": lambda m, _: m.posterior_predictive_sample(),
    "predict": lambda m, _: m.predict(),
    "prior_summary": lambda m, _: m.prior_summary(),
    "report": lambda m, folder: m.report(folder / "report.html"),
    "save": lambda m, folder: m.save(folder / "model", save_anndata=True),
    "train": lambda m, _: m.train(max_epochs=1),
    "translate": lambda m, _: m.translate("rna", "protein"),
    "tl.embed": lambda m, _: mmvae.tl.embed(m, m.adata),
    "tl.responsibilities": lambda m, _: mmvae.tl.responsibilities(m, m.adata),
    "MosaicDataModule": lambda m, _: m.get_latent_representation(
        dataloader=mmvae.MosaicDataModule(m.adata).inference_dataloader()
    ),
}
# what is said of a model without a look at cells, what takes other data, and what is refused for this one
OTHERS = {
    "convert_legacy_save",
    "data_registry",
    "deregister_manager",
    "get_anndata_manager",
    "get_from_registry",
    "get_modality_weights",
    "get_reliability",
    "get_setup_arg",
    "get_state_registry",
    "get_var_names",
    "load",
    "load_query_data",
    "load_registry",
    "minify_adata",
    "prepare_query_anndata",
    "prepare_query_mudata",
    "register_manager",
    "remember",
    "sample",
    "setup_anndata",
    "setup_annbatch",
    "setup_mudata",
    "spatial_spectrum",
    "to_device",
    "transfer_fields",
    "update_setup_method_args",
    "view_anndata_setup",
    "view_registry",
    "view_setup_args",
    "view_setup_method_args",
}


def reverse(mdata):
    mdata.mod["rna"] = mdata["rna"][::-1].copy()


def recode(mdata):
    mdata.obs["_scvi_batch"] = 1 - mdata.obs["_scvi_batch"].to_numpy()


def add_one(mdata):
    """A count of one cell among many, where a look at some of them would hardly find it."""
    values = mdata["protein"].X
    (values.data if hasattr(values, "indptr") else values.reshape(-1))[200] += 1


CHANGES = {
    "order of cells": (reverse, "'rna' was changed"),
    "codes": (recode, r"obs\['_scvi_batch'\].*in 300 cells"),
    "one count": (add_one, "modality 'protein', X: values are not"),
}


@pytest.fixture(scope="module", params=CHANGES)
def changed(request):
    mdata = mmvae.datasets.simulate(
        300, modalities={"rna": 20, "atac": 10, "protein": 6}, n_clusters=3, n_batches=2, seed=3
    )
    MultiVAE.setup_mudata(mdata, batch_key="batch", labels_key="cluster", likelihoods={"protein": "nb_mixture"})
    model = MultiVAE(mdata, n_hidden=8, n_latent=2, n_layers=1)
    model.train(max_epochs=1, enable_progress_bar=False, accelerator="cpu")
    change, words = CHANGES[request.param]
    change(mdata)
    return model, words


def test_every_method_is_known_to_read_data_or_not():
    methods = {name for name in dir(MultiVAE) if name[0] != "_" and callable(getattr(MultiVAE, name))}
    assert methods == OTHERS | {name for name in READING if name in methods}


@pytest.mark.parametrize("method", READING)
def test_changed_data_are_not_read(changed, method, tmp_path):
    model, words = changed
    with pytest.raises(SetupError, match=words):
        READING[method](model, tmp_path)
    assert not list(tmp_path.iterdir())
