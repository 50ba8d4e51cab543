"""Minibatches of values that stay on a device are those of values in memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from device_waits import DeviceWaits
from lightning.pytorch.trainer.states import TrainerStatus

import mmvae
from mmvae import MultiVAE
from mmvae.data import MosaicSplitter, ResidentDataset, placement

if TYPE_CHECKING:
    from mudata import MuData

# Few cells of some clusters.
pytestmark = pytest.mark.filterwarnings("ignore")
CPU, CARD = torch.device("cpu"), torch.device("cuda", 0)
SETUP = {
    "batch_key": "batch",
    "labels_key": "cluster",
    "categorical_covariate_keys": ["donor"],
    "continuous_covariate_keys": ["age"],
    "size_factor_keys": {"rna": "depth"},
}


def half_zero(matrix) -> np.ndarray:
    """A dense matrix whose rows are about half, some more, some less, than a quarter full."""
    return np.asarray(
        matrix * (np.random.default_rng(1).random(matrix.shape) < np.linspace(0, 0.6, len(matrix))[:, None])
    )


def in_parts(matrix) -> sp.csr_matrix:
    """With an entry that is stored in two parts."""
    values = sp.csr_matrix(matrix).tocoo()
    data = np.r_[values.data, 1.0].astype("f4")
    parts = (
        data,
        np.r_[values.col, values.col[0]],
        np.r_[0, np.cumsum(np.bincount(values.row, minlength=len(matrix)))],
    )
    order = np.argsort(np.r_[values.row, values.row[0]], kind="stable")
    starts = np.r_[0, np.cumsum(np.bincount(np.r_[values.row, values.row[0]], minlength=len(matrix)))]
    return sp.csr_matrix((parts[0][order], parts[1][order], starts), shape=matrix.shape)


FORMS = {
    "CSR": sp.csr_matrix,
    "CSC": sp.csc_matrix,
    "whole numbers": lambda matrix: sp.csr_matrix(matrix.astype("i4")),
    "dense": np.asarray,
    "dense, few values": half_zero,
    "in parts": in_parts,
}


def registered(missing: float | None, form: str = "CSR") -> tuple[MuData, object]:
    mdata = mmvae.datasets.simulate(60, modalities={"rna": 30, "atac": 40, "protein": 8}, missing=missing, n_batches=2)
    for adata in mdata.mod.values():
        values = adata.X.toarray() if sp.issparse(adata.X) else np.asarray(adata.X)
        adata.X = FORMS[form](values)
    numbers = np.random.default_rng(0)
    mdata.obs["donor"] = numbers.choice(["a", "b", "c"], mdata.n_obs)
    mdata.obs["age"] = numbers.normal(50, 10, mdata.n_obs)
    mdata.obs["depth"] = numbers.uniform(100, 1_000, mdata.n_obs)
    MultiVAE.setup_mudata(mdata, **SETUP)
    return mdata, MultiVAE._get_most_recent_anndata_manager(mdata, required=True)


def assert_same(found, expected) -> None:
    assert set(found) == set(expected)
    for key, value in expected.items():
        value = torch.as_tensor(value)
        assert found[key].dtype == value.dtype, key
        assert torch.equal(found[key].cpu(), value), key


A_CARD = pytest.mark.skipif(not torch.cuda.is_available(), reason="a card is needed")


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=A_CARD)])
@pytest.mark.parametrize("missing", [None, 0.5], ids=["complete", "mosaic"])
@pytest.mark.parametrize("form", FORMS)
def test_a_minibatch_is_the_one_of_values_in_memory(form, missing, device):
    _, manager = registered(missing, form)
    dataset = manager.create_torch_dataset()
    resident = ResidentDataset(dataset, torch.device(device))
    assert len(resident) == len(dataset)
    numbers = np.random.default_rng(0)
    dense = 0
    for size in (1, 2, 7, 60):
        cells = numbers.permutation(60)[:size].tolist()
        expected = dataset[cells]
        dense += sum(expected[f"X_{name}"].ndim == 2 for name in ("rna", "atac", "protein"))
        assert_same(resident[cells], expected)
    if form == "dense, few values":
        assert 0 < dense < 12  # both ways to hand rows on were met


def test_a_modality_that_the_data_lack_has_no_rows():
    mdata, _ = registered(None)
    model = MultiVAE(mdata, n_hidden=8, n_latent=2)
    del mdata.mod["protein"]
    other = mmvae.datasets.simulate(20, modalities={"rna": 30, "atac": 40}, n_batches=2)
    for column in ("donor", "age", "depth"):
        other.obs[column] = mdata.obs[column].to_numpy()[:20]
    manager = model.adata_manager.transfer_fields(other)
    dataset = manager.create_torch_dataset()
    assert_same(ResidentDataset(dataset, CPU)[[3, 1]], dataset[[3, 1]])


def test_what_is_in_memory_is_left_as_it_is():
    mdata, manager = registered(None, "in parts")
    before = {name: adata.X.copy() for name, adata in mdata.mod.items()}
    ResidentDataset(manager.create_torch_dataset(), CPU)
    for name, matrix in before.items():
        assert np.array_equal(mdata[name].X.data, matrix.data)
        assert np.array_equal(mdata[name].X.indptr, matrix.indptr)


def test_values_that_are_sent_to_a_card_are_not_copied_here():
    _, manager = registered(None)
    dataset = manager.create_torch_dataset()
    resident, matrix = ResidentDataset(dataset, CPU), dataset.matrices["rna"]
    assert matrix.has_canonical_format
    assert np.shares_memory(resident.stored["rna"].values.numpy(), matrix.data)


def test_gathering_waits_for_nothing():
    _, manager = registered(0.5, "dense, few values")
    resident = ResidentDataset(manager.create_torch_dataset(), CPU)
    with DeviceWaits() as counted:
        for start in range(0, 60, 6):
            resident[list(range(start, start + 6))]
    assert counted.waits == []


@pytest.fixture
def splitter(monkeypatch):
    """Function that makes a splitter that is trained on what passes for a card."""

    def make(manager, **options) -> MosaicSplitter:
        parts = [np.arange(3, 45), np.arange(45, 60), np.arange(3)]
        made = MosaicSplitter(manager, external_indexing=parts, batch_size=8, **options)
        made.setup()
        return made

    monkeypatch.setattr(MosaicSplitter, "_card", CPU)
    return make


def test_the_order_is_that_of_values_in_memory(splitter, monkeypatch):
    _, manager = registered(0.5)
    here = splitter(manager)
    found = [list(loader) for loader in (seeded(here.train_dataloader), here.val_dataloader())]
    assert "kept on the card" in here.placement
    monkeypatch.setattr(MosaicSplitter, "_card", None)
    there = splitter(manager)
    expected = [list(loader) for loader in (seeded(there.train_dataloader), there.val_dataloader())]
    assert there.placement == ""
    for own, others in zip(found, expected, strict=True):
        assert len(own) == len(others)
        for one, other in zip(own, others, strict=True):
            assert_same(one, other)


def seeded(make):
    """A loader, and its order, from a seed."""
    torch.manual_seed(5)
    return list(make())


def test_train_and_validation_share_what_is_on_the_card_until_the_end(splitter):
    _, manager = registered(None)
    made = splitter(manager)
    train, validation = made.train_dataloader(), made.val_dataloader()
    resident = train.dataset.dataset
    assert resident is validation.dataset.dataset
    made.on_exception(RuntimeError())
    assert resident.stored == {}
    assert len(next(iter(made.train_dataloader()))) > 0


@pytest.mark.parametrize(("free", "kept"), [(2, True), (1.9, False)])
def test_values_take_half_of_what_is_free_at_the_most(monkeypatch, free, kept):
    matrices = {"rna": sp.random(50, 20, 0.2, format="csr"), "protein": np.eye(30)}
    needed = 8 * (matrices["rna"].nnz + 30)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (int(free * needed), 10**12))
    fits, words = placement(matrices, CARD)
    assert fits is kept
    assert ("kept on the card" in words) is kept


def test_what_does_not_fit_is_sent_from_pinned_memory(splitter, monkeypatch):
    monkeypatch.setattr("mmvae.data._resident.free_memory", lambda device: 10)
    _, manager = registered(None)
    made = splitter(manager)
    loader = made.train_dataloader()
    assert loader.pin_memory
    assert "computer's memory" in made.placement


def test_one_can_ask_for_values_to_stay_where_they_are(splitter):
    _, manager = registered(None)
    made = splitter(manager, keep_on_card=False)
    assert not isinstance(made.train_dataloader().dataset.dataset, ResidentDataset)


@pytest.mark.parametrize(("world_size", "device", "card"), [(1, CARD, CARD), (2, CARD, None), (1, CPU, None)])
def test_values_go_to_a_card_that_trains_alone(world_size, device, card):
    _, manager = registered(None)
    made = MosaicSplitter(manager, external_indexing=[np.arange(50), np.arange(50, 60), np.arange(0)], batch_size=8)
    assert made._card is None
    state = SimpleNamespace(status=TrainerStatus.RUNNING)
    strategy = SimpleNamespace(root_device=device)
    made.trainer = SimpleNamespace(world_size=world_size, strategy=strategy, state=state)
    assert made._card == card
    state.status = TrainerStatus.FINISHED
    assert made._card is None


def test_a_loader_of_a_training_that_has_ended_is_named(splitter):
    _, manager = registered(None)
    made = splitter(manager)
    loader = made.train_dataloader()
    next(iter(loader))
    made.teardown()
    with pytest.raises(RuntimeError, match="values have left the card"):
        next(iter(loader))


def test_a_model_trains_on_values_that_stay_as_on_others(monkeypatch):
    weights, n_clears = [], []
    clear = ResidentDataset.clear
    monkeypatch.setattr(ResidentDataset, "clear", lambda self: (n_clears.append(1), clear(self)))
    for card in (CPU, None):
        monkeypatch.setattr(MosaicSplitter, "_card", card)
        mdata, _ = registered(0.4, "dense, few values")
        model = MultiVAE(mdata, n_hidden=8, n_latent=2)
        model.train(2, accelerator="cpu", enable_progress_bar=False)
        weights.append({name: value.clone() for name, value in model.module.state_dict().items()})
    assert n_clears == [1]
    assert all(torch.equal(weights[0][name], value) for name, value in weights[1].items())


def test_where_the_values_are_is_said_at_the_start(monkeypatch, capsys):
    monkeypatch.setattr(MosaicSplitter, "_card", CPU)
    mdata, _ = registered(None)
    model = MultiVAE(mdata, n_hidden=8, n_latent=2)
    model.train(1, accelerator="cpu", enable_progress_bar=True)
    assert "GB of values are kept on the card" in capsys.readouterr().out
