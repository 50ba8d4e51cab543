"""A field's training sees its own cells' neighbours, and what it learnt stays with it, whatever else is read."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

import mmvae
from mmvae import MultiVAE

pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")


@pytest.fixture
def ring(in_a_ring):
    """Function that makes cells of one modality in a ring, whose edges have a weight."""

    def make(n_cells: int, weight: float = 1.0):
        mdata = mmvae.datasets.simulate(n_cells, modalities={"rna": 12}, n_clusters=3, n_batches=1, seed=n_cells)
        in_a_ring(mdata)
        mdata.obsp["spatial_connectivities"] *= weight
        return mdata

    return make


@pytest.fixture
def field(ring):
    """Function that makes a model of 60 cells in a ring with a field as its prior."""

    def make() -> MultiVAE:
        mdata = ring(60)
        MultiVAE.setup_mudata(mdata, batch_key="batch")
        return MultiVAE(mdata, n_hidden=8, n_latent=2, prior="gmrf")

    return make


class Reads(Callback):
    """Reads data in training, as a user's callback may, without a draw of the generator that training uses."""

    def __init__(self, hook: str, read) -> None:
        self.read = read
        setattr(self, hook, self.act)

    def act(self, *_) -> None:
        with torch.random.fork_rng(devices=[]):
            self.read()


def elbo(model: MultiVAE, data=None) -> float:
    torch.manual_seed(0)
    return float(model.get_elbo(data))


def stop(*_) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("n_cells", [50, 90])
@pytest.mark.parametrize("again", [False, True])
def test_after_an_interrupt_all_data_are_read_on_their_own_graph(field, ring, train, at, n_cells, again):
    model, data = train(field(), 3), ring(n_cells, weight=5)
    wanted = [elbo(model), elbo(model, data)]
    read = at(1, lambda *_: again and model.get_elbo(data))
    with pytest.raises(KeyboardInterrupt):
        train(model, 5, lr=1.0, callbacks=[read, at(2, stop)])
    assert elbo(model, data) == pytest.approx(wanted[1], rel=1e-6)
    assert elbo(model) == pytest.approx(wanted[0], rel=1e-6)


@pytest.mark.parametrize("n_cells", [50, 90])
def test_the_own_data_are_read_after_an_interrupt_of_a_training_that_read_others(field, ring, train, at, n_cells):
    model, data = train(field(), 3), ring(n_cells, weight=5)
    wanted = elbo(model)
    with pytest.raises(KeyboardInterrupt):
        train(model, 5, lr=1.0, callbacks=[at(2, lambda *_: model.get_elbo(data)), at(2, stop)])
    assert elbo(model) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("readout", ["get_elbo", "get_latent_representation"])
@pytest.mark.parametrize(
    "hook", ["on_train_epoch_start", "on_train_batch_start", "on_validation_start", "on_train_epoch_end"]
)
@pytest.mark.parametrize("n_cells", [50, 90])
def test_training_sees_its_own_neighbours_whatever_a_callback_reads(field, ring, train, hook, readout, n_cells):
    model, other, data = train(field(), 2), train(field(), 2), ring(n_cells, weight=5)
    read = Reads(hook, lambda: getattr(model, readout)(data))
    train(model, 5, callbacks=[read])
    train(other, 5)
    for name, value in other.module.state_dict().items():
        assert torch.equal(model.module.state_dict()[name], value), name
    assert model.history_["objective_validation"].equals(other.history_["objective_validation"])
    assert elbo(model) == elbo(other)


def test_a_query_leaves_the_variance_of_its_reference_as_it_is(field, ring, train):
    reference, query = train(field(), 3), ring(90, weight=5)
    query.obs["batch"] = "new"
    model = MultiVAE.load_query_data(query, reference)
    train(model, 3)
    prior, own = (m.module.priors["rna"] for m in (model, reference))
    assert torch.equal(prior.variance, own.variance)
    model.module.train().state_dict()
    assert torch.equal(prior.variance, own.variance)


def test_the_variance_is_that_of_the_parameters_after_training(field, ring, train):
    model, data, seen = train(field(), 2), ring(90, weight=5), []
    read = Reads("on_train_epoch_end", lambda: (seen.append(prior.variance.clone()), model.get_elbo(data)))
    prior = model.module.priors["rna"]
    train(model, 6, callbacks=[read])
    eigenvalues = 2 - 2 * np.cos(2 * np.pi * np.arange(60) / 60)
    precision, smoothness = (v.detach().numpy()[:, None] for v in (prior.precision, prior.smoothness))
    np.testing.assert_allclose(prior.variance, (1 / (precision + smoothness * eigenvalues)).mean(axis=1), rtol=1e-4)
    assert not torch.equal(seen[-1], seen[-2])


def test_cells_that_are_left_out_in_place_take_their_edges_with_them(ring, train):
    mdata = ring(60)
    adata = mdata["rna"].copy()
    adata.obsp["spatial_connectivities"] = mdata.obsp["spatial_connectivities"]
    MultiVAE.setup_anndata(adata)
    model = train(MultiVAE(adata, n_hidden=8, n_latent=2, prior="gmrf"), 3)
    some = np.arange(60) % 4 > 0
    wanted = elbo(model, adata[some].copy())
    elbo(model)
    adata._inplace_subset_obs(some)
    assert elbo(model) == pytest.approx(wanted, rel=1e-6)


def test_another_graph_of_the_same_cells_is_taken_as_it_is(field, train):
    model = train(field(), 3)
    other = model.adata.copy()
    for data in (other, model.adata):
        elbo(model, data)
        data.obsp["spatial_connectivities"] = 5 * data.obsp["spatial_connectivities"]
    assert elbo(model) == pytest.approx(elbo(model, other), rel=1e-6)
