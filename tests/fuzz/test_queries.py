"""Whatever query is drawn, it is refused in words, or its cells lie where the reference puts them."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, event, given, settings
from hypothesis import strategies as st
from strategies.contents import contents
from strategies.promises import CLOSE, QUIET
from strategies.queries import FEATURES, Query, queries

import mmvae
from mmvae import MultiVAE, SetupError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

N_CELLS = 40
SIZES = {"rna": 12, "protein": 5, "atac": 8}
MODELS = {
    "apart": {},
    "coupled": {"fusion": "attention", "prior": "coupled"},
    "joint": {"fusion": "mopoe"},
    "by covariates": {"prior": {"rna": "conditional", "protein": "labels", "atac": "vamp"}},
}
PHASES = set(Phase) - {Phase.explain}
COMMON = {"deadline": None, "suppress_health_check": list(HealthCheck), "phases": PHASES, "print_blob": True}


def trained(**arguments):
    mdata = mmvae.datasets.simulate(N_CELLS, modalities=SIZES, n_clusters=3, n_batches=2, missing=0.4, seed=1)
    mdata.obs["age"] = np.linspace(20.0, 80.0, N_CELLS)
    mdata.obs["site"] = np.resize(["here", "there", "elsewhere"], N_CELLS)
    mdata.obs["label"] = np.resize(["a", "b"], N_CELLS)
    MultiVAE.setup_mudata(
        mdata,
        batch_key="batch",
        categorical_covariate_keys=["site"],
        continuous_covariate_keys=["age"],
        labels_key="label",
        prior_covariate_keys=["site"],
    )
    model = MultiVAE(mdata, n_hidden=4, n_latent=2, **arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.train(2, **QUIET)
    return model


@pytest.fixture(scope="module")
def references():
    return {name: trained(**arguments) for name, arguments in MODELS.items()}


def check(reference: MultiVAE, query: Query, latent: str) -> None:
    """Read the query with the reference, and map it onto the reference."""
    plain = query.plain(reference.adata)
    assume(plain.n_obs > 0)
    made, before = query.made(reference.adata), {}
    expected = reference.get_latent_representation(plain, modality=latent)
    weights = {name: value.clone() for name, value in reference.module.state_dict().items()}
    for way in (_read, _mapped):
        before = contents(made)
        with_ours = contents(made, with_ours=True)
        may_be_refused = query.features != FEATURES[0] or query.fault is not None
        must_be_refused = query.fault is not None or (way is _read and query.has_new_batches)
        try:
            found = way(reference, made, latent)
        except SetupError:
            event(f"{way.__name__}, refused")
            assert may_be_refused or must_be_refused
            assert contents(made, with_ours=True) == with_ours
            continue
        event(f"{way.__name__}, taken")
        assert not must_be_refused
        assert contents(made) == before
        assert np.isfinite(found).all()
        if query.features in FEATURES[:2]:
            order = plain.obs_names.get_indexer(made.obs_names)
            np.testing.assert_allclose(found, expected[order], **CLOSE)
    for name, value in reference.module.state_dict().items():
        assert np.array_equal(value, weights[name]), name


def _read(reference, query, latent):
    return reference.get_latent_representation(query, modality=latent)


def _mapped(reference, query, latent):
    mapped = MultiVAE.load_query_data(query, reference)
    mapped.train(1, **QUIET)
    return mapped.get_latent_representation(modality=latent)


def draw_and_check(references, data):
    reference, query = references[data.draw(st.sampled_from(sorted(MODELS)))], data.draw(queries(N_CELLS, list(SIZES)))
    check(reference, query, data.draw(st.sampled_from(["fused", "unweighted", "rna", "shared"])))


@settings(max_examples=15, derandomize=True, database=None, **COMMON)
@given(data=st.data())
def test_some_queries(references, data):
    draw_and_check(references, data)


@pytest.mark.slow
@settings(max_examples=int(os.environ.get("MMVAE_FUZZ_EXAMPLES", 5_000)) // 5, **COMMON)
@given(data=st.data())
def test_many_queries(references, data):
    draw_and_check(references, data)
