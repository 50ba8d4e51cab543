"""What holds of a step whatever the prior and the fusion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from device_waits import DeviceWaits
from small_module import FUSIONS, MOSAIC, PAIRS, by_non_zeros, fixed_noise, small_module, small_tensors

from mmvae._config import CovariateConfig
from mmvae._keys import CELLS, PRESENT, layer_key, rows_key
from mmvae.fusion import Fusion
from mmvae.graph import CellGraph
from mmvae.likelihoods import Likelihood
from mmvae.module import Step
from mmvae.module._objective import prior_kl
from mmvae.nn import SparseRows

NAMES = ("rna", "atac", "protein")


def per_cell(module, tensors) -> torch.Tensor:
    """Negative ELBO of each cell at fixed noise."""
    with torch.no_grad(), fixed_noise():
        losses = module(tensors)[-1]
    return sum(losses.reconstruction_loss.values()) + sum(losses.kl_local.values())


def rows_of(tensors, cells) -> dict:
    """The minibatch of these cells."""
    cells = torch.as_tensor(cells)
    found = {k: v[cells] for k, v in tensors.items() if not k.startswith(("X_", "rows_"))}
    for index, name in enumerate(NAMES):
        place = torch.full((len(tensors[PRESENT]),), -1)
        place[tensors[rows_key(name)]] = torch.arange(len(tensors[rows_key(name)]))
        mine = place[cells]
        found[layer_key(name)] = tensors[layer_key(name)][mine[mine >= 0]]
        found[rows_key(name)] = (found[PRESENT][:, index]).nonzero()[:, 0]
    return found


# Which subset a mixture draws is random per cell.
DRAWN = {"moe", "mopoe"}


@pytest.mark.parametrize(("fusion", "prior"), [p for p in PAIRS if p[0] not in DRAWN])
def test_splitting_a_minibatch_or_turning_it_round_changes_no_cell(fusion, prior):
    module, tensors = small_module(fusion, prior), small_tensors(MOSAIC)
    whole = per_cell(module, tensors)
    halves = torch.cat(
        [per_cell(module, rows_of(tensors, range(0, 4))), per_cell(module, rows_of(tensors, range(4, 10)))]
    )
    turned = per_cell(module, rows_of(tensors, range(9, -1, -1))).flip(0)
    assert torch.allclose(whole, halves, rtol=1e-4)
    assert torch.allclose(whole, turned, rtol=1e-4)


@pytest.mark.parametrize("fusion", ["concat", "poe"])
def test_a_modality_that_no_cell_has_changes_nothing(fusion):
    both = {"rna": "nb", "protein": "nb"}
    module, smaller = small_module(fusion), small_module(fusion, likelihoods=both)
    shared = {k: v for k, v in module.state_dict().items() if k in smaller.state_dict()}
    absent = [[1, 0, 1], [1, 0, 0], [0, 0, 1]]
    tensors = small_tensors(absent)
    if fusion == "concat":
        # The modules differ in the width of the fused latent: what is left is what the encoders and priors say.
        small = small_tensors([[1, 1], [1, 0], [0, 1]], names=tuple(both))
        for key in small:
            small[key] = tensors[key] if key != PRESENT else tensors[PRESENT][:, [0, 2]]
        smaller.load_state_dict(
            smaller.state_dict() | {k: v for k, v in shared.items() if k.startswith(("enc", "priors"))}
        )
        with torch.no_grad(), fixed_noise():
            one, other = module(tensors)[-1].kl_local, smaller(small)[-1].kl_local
        assert all(torch.allclose(one[name], other[name]) for name in both)
        assert (one["atac"] == 0).all()
        return
    small = {k: v for k, v in tensors.items() if not k.endswith("atac")} | {PRESENT: tensors[PRESENT][:, [0, 2]]}
    smaller.load_state_dict(shared)
    assert torch.allclose(per_cell(module, tensors), per_cell(smaller, small), rtol=1e-5)


@pytest.mark.parametrize("fusion", [f for f in FUSIONS if f not in DRAWN])
def test_the_order_of_modalities_does_not_matter(fusion):
    turned = {"protein": "nb", "atac": "poisson", "rna": "nb"}
    module, other = small_module(fusion), small_module(fusion, likelihoods=turned)
    tensors = small_tensors(MOSAIC)
    other.load_state_dict(_turned(module.state_dict(), other.state_dict()))
    assert torch.allclose(
        per_cell(module, tensors), per_cell(other, tensors | {PRESENT: tensors[PRESENT].flip(1)}), rtol=1e-4
    )


def _turned(state, target) -> dict:
    """Weights of a module for one whose three modalities come in the opposite order."""
    found = {}
    for name, value in state.items():
        if name.endswith("input.weight") and value.shape[1] == 9:
            value = torch.cat(value.split(3, dim=1)[::-1], dim=1)
        if name.startswith("fusion.predictor.first"):
            value = torch.cat(value.chunk(3)[::-1])
        if name.startswith(("fusion.predictor.weight", "fusion.predictor.bias")):
            value = value.flip(0)
        if name.endswith("linked"):
            value = value.flip(0).flip(1)
        found[name] = value
    return {name: found[name] for name in target}


def test_categories_may_be_numbered_in_any_order():
    covariates = CovariateConfig(n_batch=2, n_categories=(3,))
    module = small_module(covariates=covariates, likelihoods={"rna": "nb", "atac": "poisson", "protein": "nb_mixture"})
    tensors = small_tensors(MOSAIC) | {"extra_categorical_covs": torch.arange(10)[:, None] % 3}
    before = per_cell(module, tensors)
    order = torch.tensor([2, 0, 1])
    state = module.state_dict()
    for name in state:
        if "tables.1" in name:
            state[name] = state[name][:, order]
        if "tables.0" in name or "prior_loc" in name or "prior_log_scale" in name:
            state[name] = state[name].flip(1)
    module.load_state_dict(state)
    renamed = order.argsort()[tensors["extra_categorical_covs"]]
    after = per_cell(module, tensors | {"extra_categorical_covs": renamed, "batch": 1 - tensors["batch"]})
    assert torch.allclose(before, after, rtol=1e-5)


@pytest.mark.parametrize(("fusion", "prior"), PAIRS)
def test_gradients_are_finite_in_training_on_a_mosaic(fusion, prior):
    module = small_module(fusion, prior, batch_adversary=1.0).train()
    torch.manual_seed(0)
    module(small_tensors(MOSAIC), loss_kwargs={"kl_weight": 0.5})[-1].loss.backward()
    gradients = {n: p.grad for n, p in module.named_parameters() if p.grad is not None}
    assert all(torch.isfinite(g).all() for g in gradients.values())
    assert any("encoders.protein" in n and g.abs().sum() > 0 for n, g in gradients.items())


def waits_of_a_training_step(module, tensors) -> tuple[list[str], int]:
    """What waits for the device in forward and backward, and the number of operations of the forward step."""
    with DeviceWaits() as counted:
        loss = module.train()(tensors, loss_kwargs={"kl_weight": torch.tensor(0.5)})[-1].loss
        n_forward = counted.n_operations
        loss.backward()
    return counted.waits, n_forward


DEFAULT = {"batch_adversary": 10.0, "n_layers": 1}


@pytest.mark.parametrize("presence", [None, MOSAIC], ids=["complete", "mosaic"])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_no_training_step_waits_for_the_device(fusion, presence):
    waits, _ = waits_of_a_training_step(small_module(fusion, **DEFAULT), small_tensors(presence))
    assert waits == []


@pytest.mark.parametrize("likelihood", sorted(Likelihood.registry))
def test_no_likelihood_waits_for_the_device(likelihood):
    module = small_module(likelihoods={"rna": likelihood, "atac": "poisson", "protein": "nb"}, **DEFAULT)
    waits, _ = waits_of_a_training_step(module, small_tensors(MOSAIC))
    assert waits == []


@pytest.mark.parametrize("presence", [None, MOSAIC], ids=["complete", "mosaic"])
def test_the_coupled_prior_does_not_wait_for_the_device(presence):
    module = small_module(prior={"name": "coupled", "kind": "gaussian"}, **DEFAULT)
    assert waits_of_a_training_step(module, small_tensors(presence))[0] == []


@pytest.mark.parametrize("prior", ["mog", {"name": "coupled", "kind": "mog_full"}, "labels"], ids=str)
def test_priors_are_in_full_precision_whatever_the_networks_are_in(prior):
    module = small_module(prior=prior)
    minibatch = module.minibatch(small_tensors(MOSAIC))
    with torch.no_grad(), fixed_noise():
        step = module.infer(minibatch, module.encode(minibatch))
        expected = module.terms(Step(step, {}))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = module.terms(Step(step, {}))
    assert all(torch.equal(found.kl[name], value) for name, value in expected.kl.items())


def test_a_forward_step_of_three_modalities_takes_six_hundred_operations_at_most():
    _, n_operations = waits_of_a_training_step(small_module(**DEFAULT), small_tensors())
    assert n_operations <= 600


@pytest.mark.parametrize("presence", [None, MOSAIC], ids=["complete", "mosaic"])
def test_a_step_on_sparse_values_takes_few_more_and_waits_for_nothing(presence):
    waits, n_operations = waits_of_a_training_step(small_module(**DEFAULT), by_non_zeros(small_tensors(presence)))
    assert waits == []
    assert n_operations <= 660


def compare_sparse_with_dense(module, presence=None) -> None:
    found = []
    for tensors in (small_tensors(presence), by_non_zeros(small_tensors(presence))):
        module.zero_grad()
        torch.manual_seed(0)  # of what is held out for imputation
        with fixed_noise():
            losses = module(tensors)[-1]
            losses.loss.backward()
        gradients = {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}
        found.append(dict(losses.reconstruction_loss) | dict(losses.kl_local) | gradients)
    dense, sparse = found
    assert dense.keys() == sparse.keys()
    for name, value in dense.items():
        assert torch.allclose(sparse[name], value, rtol=1e-4, atol=1e-5), name


@pytest.mark.parametrize("presence", [None, MOSAIC], ids=["complete", "mosaic"])
@pytest.mark.parametrize("likelihood", sorted(Likelihood.registry))
def test_sparse_values_give_the_terms_and_gradients_of_dense_ones(likelihood, presence):
    likelihoods = {"rna": likelihood, "atac": "poisson", "protein": "nb"}
    compare_sparse_with_dense(small_module(likelihoods=likelihoods, **DEFAULT), presence)


@pytest.mark.parametrize("base", ["bernoulli", "nb", "poisson", "zinb"])
def test_sparse_values_heed_what_a_likelihood_of_ones_own_overrides(base):
    class Own(Likelihood.registry[base]):
        """Sees centred values, and has shares that do not sum to one."""

        def encoder_input(self, values, size_factor):
            shown = super().encoder_input(values, size_factor)
            return shown - shown.mean(dim=1, keepdim=True)

        def rates(self, hidden, batch):
            return super().rates(hidden, batch).square()

    module = small_module(**DEFAULT)
    module.likelihoods["rna"] = Own(module.likelihoods["rna"].n_features, 8)
    compare_sparse_with_dense(module)
    if Own.relative:
        hidden, batch = torch.randn(3, 8), torch.zeros(3, 1)
        emission = module.likelihoods["rna"](hidden, torch.full((3, 1), 1e4), batch)
        mean = emission.distribution.rate if base == "poisson" else emission.distribution.mu
        assert torch.allclose(mean, 1e4 * module.likelihoods["rna"].rates(hidden, batch))


def test_shapes_do_not_depend_on_what_cells_have():
    def shapes(presence) -> list[tuple]:
        module = small_module()
        inference = module.infer(m := module.minibatch(small_tensors(presence)), module.encode(m))
        terms = module.terms(Step(inference, module.decode(inference.fused, m)))
        parts = [*terms.reconstruction.values(), *terms.kl.values(), *terms.auxiliary.values()]
        parts += [t.sample for t in inference.prior_terms]
        return [tuple(part.shape) for part in parts]

    assert shapes(None) == shapes(MOSAIC)


def test_a_weight_on_a_modality_is_in_the_objective():
    module, tensors = small_module(), small_tensors()
    module.weights = {**module.weights, "protein": 0.01}
    with torch.no_grad(), fixed_noise():
        losses = module(tensors)[-1]
    expected = sum(module.weights[n] * v for n, v in losses.reconstruction_loss.items()) + sum(losses.kl_local.values())
    assert torch.allclose(losses.extra_metrics["objective"], expected.mean())


def test_a_fusion_of_another_width_works_with_everything():
    class Wide(Fusion.registry["concat"], name="wide_in_a_test"):
        """Twice the concatenation, side by side."""

        def __init__(self, n_latent):
            super().__init__(n_latent)
            self.n_output = 2 * sum(n_latent.values())

        def fuse(self, latent, posteriors):
            return torch.cat([latent, latent], dim=1)

    try:
        for prior in ("mog", "coupled"):
            module = small_module("wide_in_a_test", prior, batch_adversary=1.0).train()
            assert torch.isfinite(module(small_tensors(MOSAIC))[-1].loss)
    finally:
        del Fusion.registry["wide_in_a_test"]


def test_a_minibatch_without_a_modality_is_as_if_no_cell_had_it():
    module, tensors = small_module(), small_tensors()
    without = module.minibatch(tensors).without("atac")
    other = module.minibatch(small_tensors([[1, 0, 1]] * 10))
    other = replace(other, values={**without.values, "atac": other.values["atac"]})
    assert torch.equal(without.present, other.present)
    one, two = (module.fusion.posterior(module.encode(m)).loc for m in (without, other))
    assert torch.equal(one, two)
    assert CELLS in tensors


def test_a_modality_is_left_out_of_sparse_values_without_making_them_dense(monkeypatch):
    module = small_module()
    dense, sparse = (module.minibatch(tensors) for tensors in (small_tensors(), by_non_zeros(small_tensors())))
    monkeypatch.setattr(SparseRows, "dense", lambda rows: pytest.fail("made dense"))
    assert torch.equal(sparse.without("atac").values["atac"], dense.without("atac").values["atac"])
    one, two = (module.fusion.posterior(module.encode(m.without("atac"))).loc for m in (dense, sparse))
    assert torch.allclose(one, two)


def test_a_field_does_not_remember_cells_whose_modality_was_dropped():
    n_cells = 10
    ring = sp.csr_matrix(np.roll(np.eye(n_cells), 1, axis=1) + np.roll(np.eye(n_cells), -1, axis=1))
    module = small_module("concat", "gmrf", modality_dropout=0.99)
    graphs = {name: CellGraph(ring, np.ones(n_cells, dtype=bool)) for name in NAMES}
    for name, graph in graphs.items():
        graph.fill(torch.full((n_cells, 3), 7.0), torch.ones(n_cells, 3))
        module.priors[name].set_graph(graph)
    minibatch = module.train().minibatch(small_tensors())
    inference = module.infer(minibatch, module.encode(minibatch))
    prior_kl(inference, module.priors)
    assert not inference.posteriors.encoded.all()
    for index, (name, graph) in enumerate(graphs.items()):
        encoded = inference.posteriors.encoded[:, index]
        assert (graph.mean[~encoded] == 7.0).all(), name
        assert torch.allclose(graph.mean[encoded], inference.posteriors.normals[name].loc[encoded])
