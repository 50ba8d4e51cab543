"""Which data and which cells a method reads: given ones or the model's own, by number or as a mask."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import mmvae
from mmvae import MultiVAE
from mmvae.data import numbers_of

# A few epochs on a hundred cells teach a model little, and it says so.
pytestmark = pytest.mark.filterwarnings(
    "ignore:The latent of", "ignore:The validation ELBO never", "ignore:The modalities agree on nothing"
)

SIZES = {"rna": 40, "protein": 8}
CELLS = 120
# Each from a model and further arguments to a value for every cell.
READERS = {
    "get_modality_information": lambda model, **kwargs: model.get_modality_information(**kwargs),
    "leave_one_out": lambda model, **kwargs: model.leave_one_out(**kwargs),
    "predict": lambda model, **kwargs: model.predict(soft=True, **kwargs),
    "get_responsibilities": lambda model, **kwargs: model.get_responsibilities(modality="rna", **kwargs),
    "get_latent_representation": lambda model, **kwargs: model.get_latent_representation(**kwargs),
    "shared": lambda model, **kwargs: model.get_latent_representation(modality="shared", **kwargs),
    "get_normalized_expression": lambda model, **kwargs: model.get_normalized_expression(modality="rna", **kwargs),
    "get_likelihood_parameters": lambda model, **kwargs: model.get_likelihood_parameters(
        modality="rna", give_mean=True, **kwargs
    )["mean"],
    "get_latent_library_size": lambda model, **kwargs: model.get_latent_library_size(modality="rna", **kwargs),
    "get_normalized_accessibility": lambda model, **kwargs: model.get_normalized_accessibility(
        modality="rna", **kwargs
    ),
    "get_outlier_score": lambda model, **kwargs: model.get_outlier_score(**kwargs),
    "impute": lambda model, **kwargs: model.impute("rna", **kwargs),
}
# Of scvi-tools, and of all cells together or drawn at random.
INHERITED = {
    "get_elbo": lambda model, **kwargs: model.get_elbo(return_mean=False, **kwargs),
    "get_reconstruction_error": lambda model, **kwargs: model.get_reconstruction_error(**kwargs),
    "get_marginal_ll": lambda model, **kwargs: model.get_marginal_ll(n_mc_samples=2, **kwargs),
}
OWN_DATA_ONLY = {
    "train": lambda model: model.train(1),
    "check_prior": lambda model: model.check_prior(),
    "prior_summary": lambda model: model.prior_summary(),
    "sample": lambda model: model.sample(3, "rna"),
    "get_shared_spectrum": lambda model: model.get_shared_spectrum(),
}


def simulated(n_cells=CELLS, seed=1):
    return mmvae.datasets.simulate(n_cells, modalities=SIZES, n_clusters=3, missing=0.3, seed=seed)


@pytest.fixture(scope="module")
def model():
    mdata = simulated()
    MultiVAE.setup_mudata(mdata, batch_key="batch", labels_key="cluster")
    model = MultiVAE(mdata, n_hidden=16, n_latent=4)
    model.train(3, accelerator="cpu", enable_progress_bar=False)
    return model


@pytest.fixture
def bare(model, tmp_path):
    """The model as it is loaded without data."""
    model.save(tmp_path / "model")
    return MultiVAE.load(tmp_path / "model", adata=False)


@pytest.mark.parametrize("name", READERS | INHERITED | OWN_DATA_ONLY)
def test_a_model_without_data_says_so(bare, name):
    read = (READERS | INHERITED | OWN_DATA_ONLY)[name]
    with pytest.raises(ValueError, match=r"Expected .* loaded without.* Give"):
        read(bare)


@pytest.mark.parametrize("name", sorted(set(READERS) - {"shared", "get_outlier_score"}))
def test_a_model_without_data_reads_those_it_is_given(bare, model, name):
    for data in (simulated(), simulated(30, seed=2)):
        found = READERS[name](bare, adata=data)
        if name == "leave_one_out" and data.n_obs < CELLS:  # in units of the model's own cells, where it has any
            assert len(found) == data.n_obs
        else:
            np.testing.assert_allclose(found, READERS[name](model, adata=data), atol=1e-3)
        assert len(READERS[name](bare, adata=data.copy())) == len(found)


def test_given_data_do_not_become_those_that_the_model_was_trained_with(bare):
    query = simulated(30, seed=2)
    bare.get_latent_representation(query)
    with pytest.raises(ValueError, match="Give reference"):
        bare.get_outlier_score(query)
    assert bare.get_outlier_score(query, reference=simulated()).shape == (30,)


def bridged(model):
    """Numbers of cells that have both modalities, not in their order."""
    return np.flatnonzero(np.asarray([model.adata.obsmap[name] for name in SIZES]).all(axis=0))[[7, 2, 30, 11]]


# Ties of ranks; differences of sums of a thousand, in single precision.
TOLERANCE = {"get_outlier_score": 0.01, "leave_one_out": 5e-3}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", [list, tuple, pd.Index, pd.Series])
def test_numbers_of_any_kind_choose_cells_in_their_order(model, name, kind):
    cells = bridged(model)
    found = READERS[name](model, indices=kind(cells.tolist()))
    one_by_one = [np.asarray(READERS[name](model, indices=cells[[i]]))[0] for i in range(len(cells))]
    np.testing.assert_allclose(found, one_by_one, atol=TOLERANCE.get(name, 1e-3))
    if isinstance(found, pd.DataFrame):
        assert list(found.index) == list(model.adata.obs_names[cells])


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", [np.asarray, list, pd.Series, pd.array])
def test_a_mask_of_any_kind_chooses_its_cells(model, name, kind):
    cells = np.sort(bridged(model))
    mask = kind(np.isin(np.arange(CELLS), cells))
    # Minibatches smaller than the mask.
    found, expected = (READERS[name](model, indices=indices, batch_size=8) for indices in (mask, cells))
    np.testing.assert_allclose(found, expected, atol=TOLERANCE.get(name, 1e-3))


@pytest.mark.parametrize("name", READERS | INHERITED)
@pytest.mark.parametrize(
    ("indices", "fault"),
    [
        pytest.param(np.ones(CELLS - 1, dtype=bool), "size of corresponding boolean", id="mask_of_fewer"),
        pytest.param([0, CELLS], "out of bounds", id="beyond_the_data"),
        pytest.param(["cell_0"], "integer", id="names"),
        pytest.param(3, "0 dimensions", id="one_number"),
    ],
)
def test_what_names_no_cells_is_refused(model, name, indices, fault):
    with pytest.raises(ValueError, match=rf"Expected indices as numbers .*120 cells; got .*{fault}.*get_indexer"):
        (READERS | INHERITED)[name](model, indices=indices)


@pytest.mark.parametrize("name", READERS)
def test_no_cells_are_chosen_by_an_empty_list_or_mask(model, name):
    some = np.asarray(READERS[name](model, indices=[0, 1]))
    for none in ([], np.zeros(CELLS, dtype=bool), np.array([])):
        assert len(numbers_of(model.adata, none)) == 0
        assert np.asarray(READERS[name](model, indices=none)).shape == (0, *some.shape[1:])
