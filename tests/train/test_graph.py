"""Steps that are captured and replayed train as others do; on a processor the graph is an emulated one."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from emulated_graph import CaptureError, EmulatedGraph
from lightning.pytorch.callbacks import Callback, GradientAccumulationScheduler, LambdaCallback, TQDMProgressBar
from lightning.pytorch.strategies import SingleDeviceStrategy
from pretend_gpu import pretended_gpu
from small_module import fixed_noise

import mmvae
from mmvae import MultiVAE, TrainingDivergedError
from mmvae._keys import CELLS
from mmvae.data import MosaicSplitter
from mmvae.fusion import Fusion
from mmvae.likelihoods import Likelihood
from mmvae.module import PaddedBuffers
from mmvae.priors import Prior
from mmvae.train import MultiVAEPlan, _graph
from mmvae.train._capturable import acts_around_steps, why_not
from mmvae.train._whole_step import WholeStep

pytestmark = pytest.mark.filterwarnings("ignore")
SIZES = {"rna": 20, "atac": 30, "protein": 6}
MISSING = pytest.mark.parametrize("missing", [None, 0.4], ids=["complete", "mosaic"])
A_CARD = pytest.mark.skipif(not torch.cuda.is_available(), reason="a card is needed")
N_CELLS, BATCH, EPOCHS = 90, 18, 6  # 81 to train on: four minibatches of one size, and one of nine cells


@pytest.fixture
def graphs(monkeypatch) -> list[EmulatedGraph]:
    """The graphs that were made since."""
    made: list[EmulatedGraph] = []

    def make(device) -> EmulatedGraph:
        made.append(EmulatedGraph())
        return made[-1]

    monkeypatch.setattr(_graph, "graph_on", make)
    return made


def n_replays(graphs) -> int:
    return sum(graph.n_replays for graph in graphs)


@pytest.fixture
def model(in_a_ring):
    """Function that makes a model of simulated cells, always the same."""

    def make(missing: float | None = None, sizes=SIZES, likelihoods=None, **arguments) -> MultiVAE:
        mdata = mmvae.datasets.simulate(N_CELLS, modalities=sizes, n_clusters=3, n_batches=2, missing=missing, seed=0)
        in_a_ring(mdata)
        for name, likelihood in (likelihoods or {}).items():
            if likelihood == "bernoulli":
                mdata[name].X = (mdata[name].X > 0).astype("f4")
        keys = {"labels_key": "cluster", "prior_covariate_keys": ["cluster"]}
        MultiVAE.setup_mudata(mdata, batch_key="batch", likelihoods=likelihoods, **keys)
        return MultiVAE(mdata, **{"n_hidden": 16, "n_latent": 3, "prior": "mog", "batch_adversary": 5.0} | arguments)

    return make


def train(model, **arguments) -> MultiVAE:
    plan = {"n_steps_kl_warmup": 16} | arguments.pop("plan_kwargs", {})
    options = {"batch_size": BATCH, "gradient_clip_val": 5.0, "enable_progress_bar": False, "split_by": "cells"}
    model.train(arguments.pop("max_epochs", EPOCHS), accelerator="cpu", plan_kwargs=plan, **options | arguments)
    return model


def assert_same(found, expected, *, rtol: float = 1e-3) -> None:
    """The same history and weights; sums in another order differ in their last digits, which training makes more of."""
    assert found.history.keys() == expected.history.keys()
    for metric, rows in expected.history.items():
        own = found.history[metric].to_numpy(float)
        assert np.allclose(own, rows.to_numpy(float), rtol=rtol, atol=rtol), metric
    assert found.best_epoch_ == expected.best_epoch_
    weights = found.module.state_dict()
    for name, value in expected.module.state_dict().items():
        assert torch.allclose(weights[name].float(), value.float(), rtol=20 * rtol, atol=20 * rtol), name


def assert_captured_as_eager(make, graphs, *, least: int = 10, **arguments) -> MultiVAE:
    found = train(make(), cuda_graph=True, **arguments)
    assert n_replays(graphs) >= least
    assert_same(found, train(make(), **arguments))
    return found


# Where cells that lack a modality have a row of it, dropout and a likelihood's own latents draw for these rows, too.
WAYS = {
    "complete": {},
    "mosaic": {"missing": 0.4, "dropout_rate": 0.0},
    "two layers": {"n_layers": 2},
    "mosaic, none dropped": {"missing": 0.4, "dropout_rate": 0.0, "modality_dropout": 0.0},
    "weights": {"modality_weights": {"rna": 0.5}, "kl_scale": 0.7},
    **{f"fusion {name}": {"fusion": name} for name in sorted(Fusion.registry)},
    **{f"prior {name}": {"prior": name} for name in sorted(Prior.registry)},
    "mosaic, coupled": {"missing": 0.4, "dropout_rate": 0.0, "prior": {"name": "coupled", "kind": "mog_full"}},
    "mosaic, poe": {"missing": 0.4, "dropout_rate": 0.0, "fusion": "poe"},
    **{f"likelihood {n}": {"likelihoods": {"protein": n}} for n in sorted(Likelihood.registry) if n != "student_t"},
    "sampled peaks": {"likelihoods": {"atac": {"name": "poisson", "n_sampled": 9}}},
}


# The rest takes the same roads through it.
QUICK = (
    "complete",
    "mosaic",
    "mosaic, coupled",
    "fusion mopoe",
    "prior gmrf",
    "prior vamp",
    "sampled peaks",
    "KL by epochs",
    "gradients clipped at once",
    "gradients clipped by value",
)


def quick_or_slow(names) -> list:
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in names]


@pytest.mark.parametrize("way", quick_or_slow(WAYS))
def test_a_captured_training_is_an_eager_one(model, graphs, way):
    trained = assert_captured_as_eager(lambda: model(**WAYS[way]), graphs)
    assert all(prior.is_initialised for prior in trained.module.priors.values())
    # Before and after the priors start.
    assert way in ("prior normal", "prior gaussian", "prior conditional", "prior mmvm") or len(graphs) > 3


TRAININGS = {
    "KL by epochs": {"plan_kwargs": {"n_epochs_kl_warmup": 3, "max_kl_weight": 2.0}},
    "weak KL from the start": {"plan_kwargs": {"max_kl_weight": 0.5, "min_kl_weight": 0.1}},
    "gradients clipped at once": {"gradient_clip_val": 0.1},
    "gradients clipped by value": {"gradient_clip_val": 0.01, "gradient_clip_algorithm": "value"},
    "gradients not clipped": {"gradient_clip_val": None},
    "weights decay": {"plan_kwargs": {"weight_decay": 0.1}},
    "no validation": {"train_size": 1.0},
    "metrics of each step": {"plan_kwargs": {"on_step": True}},
    "stops early": {"max_epochs": 40, "lr": 0.05, "early_stopping_patience": 2},
    "cut short": {"max_steps": 17},
}


@pytest.mark.parametrize("training", quick_or_slow(TRAININGS))
def test_it_is_whatever_the_training_is_like(model, graphs, training):
    arguments = dict(TRAININGS[training])
    if training == "stops early":
        found = train(model(), cuda_graph=True, **arguments)
        # Long enough for rounding to grow: where training stops is what is compared.
        expected = train(model(), **arguments)
        assert len(found.history["elbo_train"]) == len(expected.history["elbo_train"]) < 40
        return
    assert_captured_as_eager(model, graphs, least=4, **arguments)


def test_a_trained_model_and_a_query_go_on(model, graphs):
    def again():
        trained = train(model(dropout_rate=0.0))
        graphs.clear()
        return trained

    assert_captured_as_eager(again, graphs)
    reference = train(model(dropout_rate=0.0))
    queries = []
    for captured in (True, False):
        mdata = mmvae.datasets.simulate(N_CELLS, modalities=SIZES, n_clusters=3, seed=1)
        mdata.obs["batch"] = "new"
        graphs.clear()
        queries.append(train(MultiVAE.load_query_data(mdata, reference), cuda_graph=captured))
        assert bool(n_replays(graphs)) is captured
    assert_same(*queries)


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true"])
def test_other_precisions_are_captured(model, graphs, precision):
    found, expected = (train(model(), precision=precision, cuda_graph=captured) for captured in (True, False))
    assert n_replays(graphs) > 10
    for metric in ("elbo_validation", "kl_rna_train"):
        ends = [float(each.history[metric].iloc[-1, 0]) for each in (found, expected)]
        assert ends[0] == pytest.approx(ends[1], rel=0.02)


class Acts(Callback):
    """Does something to the plan before the second minibatch of the third epoch."""

    def __init__(self, act) -> None:
        self.act = act

    def on_train_batch_start(self, trainer, plan, batch, batch_idx) -> None:
        if trainer.current_epoch == 2 and batch_idx == 1:
            self.act(plan, batch)


def no_dropout(plan, batch) -> None:
    for part in plan.module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0


CHANGES = {
    "evaluation": lambda plan, batch: plan.module.eval(),
    "no dropout": no_dropout,
    "a modality's weight": lambda plan, batch: plan.module.weights.update(rna=0.25),
    "frozen": lambda plan, batch: plan.module.encoders.requires_grad_(False),
    "other memory": lambda plan, batch: setattr(
        plan.module.encoders["rna"].loc.bias, "data", plan.module.encoders["rna"].loc.bias.data.clone()
    ),
    "another learning rate": lambda plan, batch: (
        plan.optimizers().param_groups[0]["lr"].fill_(1e-4)
        if isinstance(plan.optimizers().param_groups[0]["lr"], torch.Tensor)
        else plan.optimizers().param_groups[0].update(lr=1e-4)
    ),
    "other decay": lambda plan, batch: plan.optimizers().param_groups[0].update(weight_decay=0.5),
    "clipping": lambda plan, batch: setattr(plan.trainer, "gradient_clip_val", 0.05),
    "the KL's highest weight": lambda plan, batch: setattr(plan, "max_kl_weight", 0.5),
}


@pytest.mark.parametrize(
    "change", [pytest.param(n, marks=() if n in ("evaluation", "other memory") else pytest.mark.slow) for n in CHANGES]
)
def test_what_a_callback_changes_is_captured_anew(model, graphs, change):
    assert_captured_as_eager(model, graphs, callbacks=[Acts(CHANGES[change])])


@pytest.mark.parametrize("prior", ["mog", "gmrf"])
def test_a_callback_may_read_from_the_model(model, graphs, prior):
    trainings = []
    for captured in (True, False):
        made = train(model(prior=prior), max_epochs=1)
        reads = Acts(lambda plan, batch, made=made: made.get_latent_representation(indices=np.arange(9)))
        trainings.append(train(made, callbacks=[reads], cuda_graph=captured))
    assert n_replays(graphs) > 10
    assert_same(*trainings)


@pytest.mark.parametrize("looks", [1, 10])
def test_a_loss_that_is_not_finite_ends_it_with_the_weights_of_before(model, graphs, monkeypatch, looks):
    monkeypatch.setattr(MultiVAEPlan, "_steps_between_looks", looks)
    weights, cells, counted = [], [], []

    def spoiling(plan, batch):
        weights.append({name: value.clone() for name, value in plan.module.named_parameters()})
        counted.append([float(state["step"]) for state in plan.optimizers().state.values()])
        cells.append(batch[CELLS].tolist())
        batch["X_rna"][3:4].fill_(torch.nan)

    class Ends(Callback):
        def on_exception(self, trainer, plan, exception) -> None:
            weights.append({name: value.clone() for name, value in plan.module.named_parameters()})
            counted.append([float(state["step"]) for state in plan.optimizers().state.values()])

    with pytest.raises(TrainingDivergedError, match="the loss is not finite in the") as caught:
        train(model(), cuda_graph=True, callbacks=[Acts(spoiling), Ends()])
    assert n_replays(graphs) > 0
    assert all(f"'cell_{cell}'" in str(caught.value) for cell in cells[0][:3])
    assert "epoch 2" in str(caught.value)
    assert all(torch.equal(weights[1][name], value) for name, value in weights[0].items())
    assert counted[0] == counted[1]
    with pytest.raises(TrainingDivergedError) as eager:
        train(model(), callbacks=[Acts(spoiling)])
    assert str(eager.value).split(", for a")[0] == str(caught.value).split(", for a")[0]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_gives_the_captured_step_back(model, graphs, error):
    plans = []

    def failing(plan, batch):
        plans.append(plan)
        raise error

    with pytest.raises(error):
        train(model(), cuda_graph=True, callbacks=[Acts(failing)])
    assert n_replays(graphs) > 0
    assert plans[0]._whole is None


def test_what_cannot_be_captured_runs_eagerly_and_is_said(model, graphs, monkeypatch):
    forward = MultiVAEPlan._losses_of

    def waiting(plan, batch, kl_weight):
        losses = forward(plan, batch, kl_weight)
        float(losses.loss)
        return losses

    monkeypatch.setattr(MultiVAEPlan, "_losses_of", waiting)
    with pytest.warns(UserWarning, match="not captured as a CUDA graph: CaptureError: operation not permitted"):
        found = train(model(), cuda_graph=True)
    assert n_replays(graphs) == 0
    assert_same(found, train(model()))


def test_it_is_said_that_steps_are_captured(model, graphs, capsys):
    trained = train(model(), cuda_graph=True, enable_progress_bar=True)
    assert capsys.readouterr().out.count(f"Training steps of {BATCH} cells are captured") == 1
    # The model keeps the trainer, and with it the plan.
    assert trained.trainer.lightning_module._whole is None


def test_larger_buffers_are_made_for_minibatches_of_more_values(model, graphs, monkeypatch):
    monkeypatch.setattr("mmvae.module._padded.SLACK", 1.0)
    rooms, make = [], PaddedBuffers.__init__
    monkeypatch.setattr(PaddedBuffers, "__init__", lambda self, *a: (rooms.append(1), make(self, *a))[1])
    assert_captured_as_eager(model, graphs, least=1)
    assert len(rooms) > 1


def test_minibatches_of_many_forms_are_not_captured_for_ever(model, graphs, monkeypatch):
    monkeypatch.setattr(PaddedBuffers, "take", lambda *_: False)
    with pytest.warns(UserWarning, match="differ in the form or number of their values too often"):
        found = train(model(), cuda_graph=True)
    assert_same(found, train(model()))


def test_without_a_card_it_is_said(model):
    with pytest.warns(UserWarning, match="not captured as a CUDA graph: there is no card"):
        train(model(), max_epochs=1, cuda_graph=True)


def test_nothing_is_captured_unasked(model, graphs):
    train(model(), max_epochs=1)
    assert graphs == []


class Between(Callback):
    def on_after_backward(self, trainer, plan) -> None:
        pass


REASONS = {
    "": {},
    "several processes": {"strategy": SimpleNamespace(root_device=torch.device("cpu"))},
    "scales the loss": {"precision_plugin": SimpleNamespace(scaler=object())},
    "added up": {"accumulate_grad_batches": 2},
    "are added up": {"callbacks": [GradientAccumulationScheduler({3: 2})]},
    r"within a step \(Between\)": {"callbacks": [Callback(), Between()]},
    r"within a step \(LambdaCallback\)": {"callbacks": [LambdaCallback(on_before_optimizer_step=lambda *_: None)]},
}


@pytest.mark.parametrize("reason", REASONS)
def test_what_cannot_be_captured_is_known_beforehand(model, graphs, reason):
    usual = {
        "strategy": SingleDeviceStrategy(),
        "precision": "32-true",
        "precision_plugin": SimpleNamespace(),
        "accumulate_grad_batches": 1,
        "callbacks": [Callback()],
    }
    found = why_not(SimpleNamespace(**usual | REASONS[reason]), model().module)
    assert (found == "") is (reason == "")
    assert re.search(reason, found)


def test_callbacks_that_act_around_steps_are_known():
    nothing = lambda *_: None
    assert acts_around_steps(Acts(nothing))
    assert acts_around_steps(LambdaCallback(on_train_batch_end=nothing))
    assert not acts_around_steps(LambdaCallback(on_train_epoch_end=nothing))
    assert not acts_around_steps(TQDMProgressBar())


def test_a_coupled_prior_of_many_modalities_is_not_captured(model, graphs):
    made = model(prior="coupled")
    trainer = train(made, max_epochs=1, cuda_graph=True).trainer
    assert why_not(trainer, made.module) == ""
    made.module.names = [*made.module.names, "more"]
    assert "looks at its cells" in why_not(trainer, made.module)


def test_fused_adam_leaves_all_as_it_is_where_it_is_told_of_a_failure():
    weights = torch.nn.Parameter(torch.ones(3))
    rate = torch.tensor(0.1)
    optimizer = torch.optim.AdamW([weights], lr=rate, fused=True, capturable=True)
    optimizer.found_inf = torch.zeros(())
    for failed, expected in ((0.0, 1), (1.0, 1), (0.0, 2)):
        before = weights.detach().clone()
        weights.grad = torch.full((3,), torch.nan if failed else 1.0)
        optimizer.found_inf.fill_(failed)
        optimizer.step()
        assert torch.equal(weights.detach(), before) is bool(failed)
        assert optimizer.state[weights]["step"] == expected
    before = weights.detach().clone()
    rate.fill_(0.0)
    optimizer.step()
    assert torch.equal(weights.detach(), before)


def test_the_emulated_graph_does_what_a_graph_does():
    number, memory, result = 2.0, torch.tensor([1.0, 2.0]), torch.zeros(2)

    def run() -> None:
        result.copy_(memory * number + torch.rand(2)).unsqueeze_(0).squeeze_(0)

    graph, noise = EmulatedGraph(), torch.get_rng_state()
    graph.capture(run)
    assert torch.equal(result, torch.zeros(2))  # without an effect
    assert torch.equal(torch.get_rng_state(), noise)
    number = 100.0  # is what it was
    memory.fill_(3.0)  # is looked at
    for _ in range(2):
        before = torch.get_rng_state()
        graph.replay()
        found = result.clone()
        torch.set_rng_state(before)
        assert torch.equal(found, 6.0 + torch.rand(2))
    for waits in (lambda: float(memory.sum()), lambda: memory[memory > 1], lambda: torch.tensor([1.0]) + memory):
        with pytest.raises(CaptureError):
            EmulatedGraph().capture(waits)


def test_numbers_that_python_decides_by_are_baked_into_it(model, graphs, monkeypatch):
    """The emulation is worth something: without a new capture, a change is not seen."""
    monkeypatch.setattr(WholeStep, "look_again", lambda *_: None)
    found = train(model(), cuda_graph=True)
    assert n_replays(graphs) > 10
    with pytest.raises(AssertionError):
        assert_same(found, train(model()))


def assert_same_without_noise(make, accelerator: str) -> None:
    """Whatever the order in which noise is drawn, if there is none to draw."""
    options = {"batch_size": BATCH, "gradient_clip_val": 5.0, "enable_progress_bar": False, "split_by": "cells"}
    trained = []
    for captured in (True, False):
        made = make()
        with fixed_noise():
            made.train(EPOCHS, accelerator=accelerator, devices=1, cuda_graph=captured, tf32=False, **options)
        trained.append(made)
    assert_same(*trained)


@MISSING
@pytest.mark.parametrize("accelerator", ["cpu", pytest.param("gpu", marks=A_CARD)])
def test_it_is_on_a_card_too(model, request, monkeypatch, accelerator, missing):
    replays = []
    if accelerator == "cpu":
        graphs = request.getfixturevalue("graphs")
    else:
        replay = _graph.CudaGraph.replay
        monkeypatch.setattr(_graph.CudaGraph, "replay", lambda graph: (replays.append(1), replay(graph)))
    still = {"fusion": "poe", "modality_dropout": 0.0, "dropout_rate": 0.0}
    assert_same_without_noise(lambda: model(missing, **still), accelerator)
    assert (n_replays(graphs) if accelerator == "cpu" else len(replays)) > 10


@MISSING
def test_no_tensor_is_left_behind_on_the_processor(model, graphs, monkeypatch, missing):
    card = torch.device("cuda", 0)
    monkeypatch.setattr(MosaicSplitter, "_card", card)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10**9, 10**9))
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    with pretended_gpu():
        trained = train(model(missing), cuda_graph=True)
    assert n_replays(graphs) > 10
    assert all(np.isfinite(rows.to_numpy(float)).all() for rows in trained.history.values())
