"""The course of a training, and what the model is after it, however it ends."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from scvi.model.base import UnsupervisedTrainingMixin
from scvi.train import ScibCallback

from mmvae._errors import TrainingDivergedError
from mmvae.data import MosaicSplitter, shared_cells
from mmvae.module import MultiVAEModule, table_sizes
from mmvae.train import (
    Checkpoint,
    Course,
    Forecast,
    InitPriors,
    KeepWeights,
    MultiVAEPlan,
    Schedule,
    Snapshot,
    as_sent,
    calibrate_imputation,
    divergence,
    is_out_of_memory,
    joined,
    memory_needed,
    n_epochs,
    quiet,
    seeded,
    show_progress,
    tensor_cores,
    training_report,
    without_last_words,
)

from ._begun import begun_with, weights_before
from ._cells import Cells, OwnCells
from ._data import DataAccess, ReferenceMemory
from ._one_thread import alone
from ._reader import Reader
from .readouts import measure_modalities, remember_labelled

UNMEASURED = (
    " How much each modality counts in the fused latent could not be measured: train it further before you read that."
)


class Fitting(UnsupervisedTrainingMixin, DataAccess):
    """scvi-tools' ``train`` with what this model needs around it."""

    best_epoch_: int | None
    history_: Any
    module: Any
    seed: int
    trainer: Any
    _training_plan_cls = MultiVAEPlan
    _data_splitter_cls = MosaicSplitter

    @alone
    def _fit(self, schedule: Schedule, cells: Cells, seed: int, options: dict[str, Any], course: Course) -> list[str]:
        """Train, and put the model right whatever happens; what a user should know, in words."""
        if course.from_scratch and self.memory.is_query:
            msg = (
                "Expected a model of its own for from_scratch=True; got a query, most of whose weights are its "
                "reference's. Make another with MultiVAE.load_query_data."
            )
            raise ValueError(msg)
        before = Snapshot(self)
        begun: dict[str, str] = {}
        if course.folder is not None:
            begun = begun_with(self, cells, schedule, options, seed, weights_before(course, before))
            course.check(begun)
        keep = KeepWeights(self.module, schedule.late)
        try:
            self._begin(course, keep)
            own = [Checkpoint(self.module, course.folder, course.every, begun, course.saved), keep]
            self._run(schedule, cells, seed, options | self._options(schedule, cells, own, options, course), keep)
            if keep.exception is not None:
                raise keep.exception
            notes = course.notes() + keep.judgement(_n_trained_on(cells, before), takes_better=course.keep_better)
            if keep.is_worse and course.keep_better:
                self._put_back(before)
                return notes
            before.load(self.module, keep.best_weights or self.module.state_dict())
            self._settle(cells, keep)
            self._calibrate(cells, keep)
            self._measure(cells)
        except BaseException as error:
            as_raised = self._after(error, before, keep, cells, course)
            if as_raised is error:
                raise
            raise as_raised from (error if isinstance(error, Exception) else None)
        finally:
            keep.best_weights = keep.last_weights = {}  # the model's trainer holds on to them
        history = self.history_ if course.starts_anew else before.since(self.history_)
        notes += [] if self.memory.is_query else keep.overtraining()
        return notes + training_report(history or {}, self.module.priors, *cells.batch_and_patterns())

    def _begin(self, course: Course, keep: KeepWeights) -> None:
        """Make the model what the training begins with."""
        if course.from_scratch:
            with seeded(self.seed):
                self.module = keep.module = MultiVAEModule(self.module.config)
            self.memory_ = dict(vars(ReferenceMemory()))
        if course.starts_anew:
            self.is_trained_, self.history_ = False, None
        keep.n_before = n_epochs(self.history_) if self.is_trained_ else 0
        self.best_epoch_ = None
        if not self.memory.is_query:  # whose encoders stay what they are
            self.remember(shared=None, imputation=None, imputation_quality=None)
            self.remember(reliability=None, certainty=None, agreement=None, scale=None)

    def _options(
        self, schedule: Schedule, cells: Cells, own: list[Callback], options: Mapping[str, Any], course: Course
    ) -> dict[str, Any]:
        """Arguments of scvi-tools' ``train`` that a user's own are part of."""
        if not self.memory.is_query:
            own.insert(1, InitPriors(self.module, cells.some, early=schedule.early, late=schedule.late))
        n_weights = sum(weights.numel() for weights in self.module.parameters())
        n_features = sum(likelihood.n_features for likelihood in self.module.likelihoods.values())
        own.append(Forecast(memory_needed(n_weights, n_features, schedule.batch_size)))
        given = options.get("callbacks") or []
        callbacks = [*own, *([given] if isinstance(given, Callback) else given)]
        chosen: dict[str, Any] = {
            # scvi-tools' tuner takes the first one for the one that has collected latents.
            "callbacks": sorted(callbacks, key=lambda callback: not isinstance(callback, ScibCallback)),
            # scvi-tools keeps a reference's weights still by zeroing their gradients, which a decay would not heed.
            "plan_kwargs": schedule.plan | ({"weight_decay": 0.0} if self.memory.is_query else {}),
        }
        if course.saved is not None:
            waits = options["early_stopping_warmup_epochs"] - course.n_validated
            return chosen | {"early_stopping_warmup_epochs": max(0, waits)}
        # Lightning's check before a training, of all validation cells: how good the weights from before are.
        return chosen | ({"num_sanity_val_steps": -1} if self.is_trained_ and cells.has_validation else {})

    def _run(self, schedule: Schedule, cells: Cells, seed: int, options: dict[str, Any], keep: KeepWeights) -> None:
        """Train as scvi-tools does, but for the history."""
        if self.memory.n_categories is None and not self.memory.is_query:
            with seeded(seed):  # a data module draws what stands for all cells
                self._init_from(cells)
        if self.adata is not None:
            self._fill_graphs(self.adata)
        self.module.train()
        show_progress(options)
        hushed = without_last_words(options["callbacks"])
        earlier = dict(self.history_ or {}) if self.is_trained_ else {}
        with seeded(seed, alone=False), quiet(), hushed, tensor_cores(options.pop("tf32"), options["accelerator"]):
            try:
                super().train(schedule.max_epochs, batch_size=schedule.batch_size, **options)
            finally:
                if keep.logged is not None:
                    self.history_ = joined(earlier, keep.logged)

    def _init_from(self, cells: Cells) -> None:
        """Initialise likelihoods from summaries of the data; bring the user's size factors to the scale of totals."""
        module = self.module
        module.fusion.set_pair_counts(torch.as_tensor(shared_cells(cells.presence)))
        for name, (statistics, given) in cells.summaries().items():
            module.likelihoods[name].init_from(statistics)
            if given is not None:
                module.size_factor_scale[name].data.fill_(statistics.size_factor / given)

    def _after(
        self, error: BaseException, before: Snapshot, keep: KeepWeights, cells: Cells, course: Course
    ) -> BaseException:
        """Give the model the best weights that there are; the exception to raise, which says which these are."""
        diverged = divergence(error, self.module, before.weights, keep.epoch)
        was_trained = before.attributes["is_trained_"] and not (course.saved and course.starts_anew)
        is_done = keep.is_complete and not (keep.is_worse and course.keep_better)
        takes = keep.chosen and (keep.is_better or is_done or not was_trained)
        state = self._take_chosen(before, keep, cells) if takes else ""
        if not state or (state.endswith(UNMEASURED) and was_trained):
            before.restore(self)
            self._clear_graphs()
            state = "weights from before this training." if self.is_trained_ else "initial weights."
        if diverged is not None:
            return TrainingDivergedError(diverged.describe(cells.names_of, state, keep.n_before))
        as_raised = as_sent(error, keep)
        if keep.has_begun:
            advice = " Try a smaller batch_size." if is_out_of_memory(error) else ""
            as_raised.add_note(
                f"Training stopped {keep.stopped()}. The model holds the {state}{advice}{course.advice()}"
            )
        return as_raised

    def _take_chosen(self, before: Snapshot, keep: KeepWeights, cells: Cells) -> str:
        """Go on with the best of the new weights; which these are, in words."""
        before.load(self.module, keep.chosen)
        self._settle(cells, keep)
        # What reads the cells may be what failed, and who interrupts again does not wait for it.
        with suppress(Exception, KeyboardInterrupt):
            self._calibrate(cells, keep)
        with suppress(Exception, KeyboardInterrupt):
            self._measure(cells)
            return f"{keep.describe()}."
        return f"{keep.describe()}.{UNMEASURED}"

    def _put_back(self, before: Snapshot) -> None:
        """Go on with the weights from before, with a history of all epochs."""
        history, trainer = self.history_, self.trainer
        before.restore(self)
        self.history_, self.trainer = history, trainer
        self._clear_graphs()

    def _settle(self, cells: Cells, keep: KeepWeights) -> None:
        """Be a trained model."""
        self._clear_graphs()
        self.is_trained_, self.best_epoch_ = True, keep.best_in_history
        self.train_indices_, self.validation_indices_, self.test_indices_ = tuple[Any, ...](cells.parts)
        self.remember(n_categories=table_sizes(self.module), cells=cells.digest, values=cells.sums)

    def _calibrate(self, cells: Cells, keep: KeepWeights) -> None:
        """Make the imputation of a reference as sure as validation cells prove it."""
        if not self.memory.is_query:
            with seeded(0):
                calibrate_imputation(self.module, cells.held_out(), keep.epoch - 1)

    def _measure(self, cells: Cells) -> None:
        """Keep what later calls need of the training cells; a query keeps what its reference remembers."""
        if not self.memory.is_query:
            reader, sample = Reader(self), cells.sample
            with seeded(0):
                self.remember(labelled=remember_labelled(reader, sample), **measure_modalities(reader, sample))


def _n_trained_on(cells: Cells, before: Snapshot) -> int:
    """How many of the validation cells an earlier training on the same data had among its own."""
    known: Any = before.attributes.get("train_indices_")
    if known is None or not isinstance(cells, OwnCells) or before.attributes["memory_"]["cells"] != cells.digest:
        return 0
    return len(np.intersect1d(known, cells.parts[1]))
