"""A minibatch of fixed shape, a row for each cell and zeros behind what is stored, costs what it costs as it is."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from device_waits import DeviceWaits
from small_module import FEATURES, MOSAIC, PAIRS, by_non_zeros, fixed_noise, small_module, small_tensors

from mmvae._config import CovariateConfig
from mmvae._keys import PRESENT
from mmvae.graph import CellGraph
from mmvae.likelihoods import Likelihood
from mmvae.likelihoods._profile import negative_binomial_log_likelihood, poisson_log_likelihood
from mmvae.module import PaddedBuffers
from mmvae.nn import Places, SparseRows

PRESENCE = pytest.mark.parametrize("presence", [None, MOSAIC], ids=["complete", "mosaic"])
STORED = pytest.mark.parametrize("form", [dict, by_non_zeros], ids=["dense", "sparse"])
DEFAULT = {"batch_adversary": 10.0, "n_layers": 2, "dropout_rate": 0.0}


def padded(tensors, *earlier) -> dict:
    """As the buffers hold it that held an ``earlier`` minibatch before."""
    buffers = PaddedBuffers((*earlier, tensors)[0], FEATURES)
    for each in (*earlier, tensors):
        assert buffers.take(each)
        buffers.fill(each)
    return buffers.tensors


def parts_of(module, tensors) -> dict:
    """Terms of the loss and gradients, draws and noise being equal."""
    module.zero_grad()
    torch.manual_seed(0)  # of dropped modalities, subsets, and what is held out for imputation
    with fixed_noise():
        losses = module(tensors, loss_kwargs={"kl_weight": torch.tensor(0.5), "warmup": torch.tensor(0.5)})[-1]
        losses.loss.backward()
    gradients = {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}
    scalars = {name: value for name, value in losses.extra_metrics.items() if value.ndim == 0}
    return {"loss": losses.loss.detach()} | losses.reconstruction_loss | losses.kl_local | scalars | gradients


def assert_same_step(module, tensors, other) -> None:
    expected, found = parts_of(module, tensors), parts_of(module, other)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.isfinite(found[name]).all(), name
        assert torch.allclose(found[name].float(), value.float(), rtol=1e-4, atol=1e-5), name


@PRESENCE
@STORED
@pytest.mark.parametrize(("fusion", "prior"), PAIRS)
def test_every_fusion_and_prior_costs_the_same(fusion, prior, form, presence):
    module = small_module(fusion, prior, **DEFAULT).train()
    tensors = form(small_tensors(presence))
    assert_same_step(module, tensors, padded(tensors))


@PRESENCE
@STORED
@pytest.mark.parametrize("likelihood", [*sorted(Likelihood.registry), {"name": "poisson", "n_sampled": 7}], ids=str)
def test_every_likelihood_costs_the_same(likelihood, form, presence):
    module = small_module(likelihoods={"rna": likelihood, "atac": "poisson", "protein": "nb"}, **DEFAULT).train()
    tensors = form(small_tensors(presence))
    assert_same_step(module, tensors, padded(tensors))


def test_a_field_costs_the_same():
    module = small_module("concat", "gmrf", **DEFAULT).train()
    ring = sp.csr_matrix(np.roll(np.eye(10), 1, axis=1) + np.roll(np.eye(10), -1, axis=1))

    def remembering() -> None:
        for prior in module.priors.values():
            prior.set_graph(CellGraph(ring, np.ones(10, dtype=bool)))
            prior.graph.fill(torch.zeros(10, 3), torch.ones(10, 3))

    tensors, found = by_non_zeros(small_tensors(MOSAIC)), []
    for each in (tensors, padded(tensors)):
        remembering()
        found.append(parts_of(module, each))
    assert all(torch.allclose(found[1][name], value, rtol=1e-4, atol=1e-5) for name, value in found[0].items())


def test_covariates_and_given_size_factors_are_those_of_the_cells():
    covariates = CovariateConfig(n_batch=2, n_categories=(3,), n_continuous=1)
    module = small_module(covariates=covariates, **DEFAULT).train()
    depth = torch.full((10, 1), torch.nan)
    has = torch.tensor(MOSAIC)[:, 0].bool()
    depth[has] = torch.arange(int(has.sum()))[:, None] + 50.0  # unknown where there is nothing to know
    others = {"extra_categorical_covs": torch.arange(10)[:, None] % 3, "extra_continuous_covs": torch.randn(10, 1)}
    tensors = by_non_zeros(small_tensors(MOSAIC)) | others | {"size_factor_rna": depth}
    assert_same_step(module, tensors, padded(tensors))


def test_a_modality_that_no_cell_has_costs_nothing():
    tensors = by_non_zeros(small_tensors([[1, 0, 1]] * 10))
    earlier = by_non_zeros(small_tensors(seed=4))
    module = small_module(**DEFAULT).train()
    assert_same_step(module, tensors, padded(tensors))
    assert_same_step(module, tensors, padded(tensors, earlier, tensors))


def test_nothing_is_left_of_the_minibatch_before():
    tensors, earlier = (by_non_zeros(small_tensors(MOSAIC, seed=seed)) for seed in (3, 4))
    buffers = PaddedBuffers(max(tensors, earlier, key=lambda each: len(each["X_rna"])), FEATURES)
    module = small_module(**DEFAULT).train()
    for each in (earlier, tensors, earlier):
        buffers.fill(each)
        assert_same_step(module, each, buffers.tensors)


def test_what_does_not_fit_is_known_beforehand():
    tensors = by_non_zeros(small_tensors(MOSAIC))
    buffers = PaddedBuffers(tensors, FEATURES)
    assert buffers.take(tensors)
    assert not buffers.take(by_non_zeros(small_tensors(MOSAIC[:9])))
    assert not buffers.take(small_tensors(MOSAIC))
    assert not buffers.take({key: value for key, value in tensors.items() if key != "labels"})
    assert not buffers.take(tensors | {"more": torch.zeros(10)})
    assert not PaddedBuffers(small_tensors(MOSAIC), FEATURES).take(tensors)
    full = small_tensors()
    full["X_rna"] = full["X_rna"] + 1
    assert not buffers.take(by_non_zeros(full))


def test_larger_buffers_have_no_less_room_for_any_modality():
    many, few = (by_non_zeros(small_tensors(presence)) for presence in (None, MOSAIC))
    smaller = PaddedBuffers(many, FEATURES)
    larger = PaddedBuffers(
        few | {key: torch.cat([many[key]] * 2) for key in ("X_rna", "columns_rna")}, FEATURES, smaller
    )
    sizes = [{name: len(each.layers[f"X_{name}"]) for name in FEATURES} for each in (smaller, larger)]
    assert sizes[1]["rna"] > sizes[0]["rna"]
    assert sizes[1]["atac"] == sizes[0]["atac"]
    assert sizes[1]["protein"] == sizes[0]["protein"]


def test_shapes_stay_and_copying_waits_for_nothing():
    few, many = (by_non_zeros(small_tensors(presence)) for presence in (MOSAIC, None))
    buffers = PaddedBuffers(many, FEATURES)
    with DeviceWaits() as counted:
        buffers.fill(many)
        before = {key: (value.shape, value.data_ptr()) for key, value in buffers.tensors.items()}
        buffers.fill(few)
    assert counted.waits == []
    assert {key: (value.shape, value.data_ptr()) for key, value in buffers.tensors.items()} == before
    assert torch.equal(buffers.tensors[PRESENT], few[PRESENT])


@STORED
@PRESENCE
def test_a_step_on_it_waits_for_nothing(form, presence):
    module, tensors = small_module(**DEFAULT).train(), padded(form(small_tensors(presence)))
    with DeviceWaits() as counted:
        module(tensors, loss_kwargs={"kl_weight": torch.tensor(0.5)})[-1].loss.backward()
    assert counted.waits == []


@pytest.mark.parametrize("kind", ["poisson", "nb"])
def test_a_stored_zero_is_a_zero_that_is_not_stored(kind):
    counts = torch.tensor([[0.0, 3, 0, 1], [2, 0, 0, 0], [0, 0, 0, 0]])
    total = counts.sum(dim=1, keepdim=True).clamp_min(1)
    row, column = counts.nonzero(as_tuple=True)
    few = SparseRows(counts[row, column], Places(column, torch.tensor([0, 2, 3, 3]), 4))
    zeros = torch.tensor([0, 1, 1, 3])
    places = Places(torch.cat([column, zeros]), torch.tensor([0, 2, 3, 7]), 4)
    many = SparseRows(torch.cat([few.values, torch.zeros(4)]), places)
    found = []
    for rows in (few, many):
        torch.manual_seed(0)
        logits, theta = torch.randn(3, 4).requires_grad_(), torch.tensor([0.01, 0.5, 3.0, 700.0]).requires_grad_()
        given = (theta, total, rows) if kind == "nb" else (total, rows)
        function = negative_binomial_log_likelihood if kind == "nb" else poisson_log_likelihood
        value = function(logits, *given)
        (value * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
        found.append([value.detach(), logits.grad, *([theta.grad] if kind == "nb" else [])])
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, rtol=1e-6, atol=1e-6)
