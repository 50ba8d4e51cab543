"""Training."""

import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.callbacks import Callback
from scvi.model.base import UnsupervisedTrainingMixin
from scvi.train import ScibCallback

from mmvae._errors import TrainingDivergedError
from mmvae.data import MosaicSplitter, shared_cells
from mmvae.module import table_sizes
from mmvae.train import (
    Config,
    Forecast,
    HeldOut,
    InitPriors,
    KeepWeights,
    MultiVAEPlan,
    Schedule,
    Snapshot,
    as_sent,
    calibrate_imputation,
    check_arguments,
    defaults_for,
    divergence,
    memory_needed,
    plan_of,
    quiet,
    say,
    schedule_for,
    seeded,
    split,
    tensor_cores,
    trainer_of,
    training_report,
)

from ._cells import Cells, OwnCells, StreamedCells, check_same_registry
from ._data import DataAccess
from ._one_thread import alone
from ._reader import Reader
from .readouts import in_short, measure_modalities, remember_labelled


class Training(UnsupervisedTrainingMixin, DataAccess):
    """``train`` with defaults that follow the number of cells."""

    best_epoch_: int | None
    training_report_: list[str]
    _training_plan_cls = MultiVAEPlan
    _data_splitter_cls = MosaicSplitter

    def train(
        self,
        max_epochs: int | None = None,
        accelerator: str = "auto",
        devices: int | list[int] | str = "auto",
        train_size: float | None = None,
        validation_size: float | None = None,
        shuffle_set_split: bool = True,
        load_sparse_tensor: bool = False,
        batch_size: int | None = None,
        early_stopping: bool = True,
        datasplitter_kwargs: dict[str, Any] | None = None,
        plan_config: Config = None,
        plan_kwargs: Config = None,
        datamodule: LightningDataModule | None = None,
        trainer_config: Config = None,
        *,
        lr: float | None = None,
        split_by: str | None = None,
        external_indexing: Sequence[np.ndarray] | None = None,
        early_stopping_patience: int = 30,
        seed: int | None = None,
        tf32: bool = True,
        cuda_graph: bool = False,
        **kwargs: Any,
    ) -> None:
        """Train the model.

        The same model, data, seed and versions of the software give the same weights on a CPU. Global random generators
        are neither heeded nor changed, if no other thread draws random numbers meanwhile, as another training does. While
        a thread trains a model, others can neither read nor train it (``RuntimeError``).

        A trained model goes on from its weights, with a new schedule, and then holds the best of the new epochs. If
        training fails or is interrupted, a model that was trained before is what it was; another keeps the best weights
        of the epochs that it completed. The first loss, latent or weight that is NaN or infinite raises a
        :class:`~mmvae.TrainingDivergedError`.

        Parameters
        ----------
        max_epochs
            Epochs at the most. By default 200 below 3,000 cells, then 500,000 over the number of cells but at least 40,
            and from 30,000 cells on 1,500,000 over their number, between 20 and 50.
        accelerator, devices
            As in Lightning: ``"cpu"``, ``"gpu"``, and how many or which; by default a card if there is one.
        train_size, validation_size
            Shares of the cells to train and to validate on, by default 0.9 and what training leaves. Validation cells choose
            the epoch that is kept, and say how sure a latent is that is filled in where a cell lacks a modality.
        shuffle_set_split
            ``False``: the first cells validate, those after them train, and the last ones are for tests, as in scvi-tools.
        load_sparse_tensor
            Without effect: values of which up to a quarter are not 0 are always handed on by these alone.
        batch_size
            Cells in a minibatch. By default 128 below 30,000 cells, else 256; at most a quarter of the training cells.
        early_stopping, early_stopping_patience
            Whether to stop once the validation ELBO, under ``modality_weights`` and ``kl_scale`` if they are given, has
            not improved for so many epochs, counted from the end of the KL warm-up, but at the latest from two thirds
            of ``max_epochs``. The weights of the best of these epochs are kept either way. The ELBO of earlier ones is
            comparable, too, and may be better where cells are few and features many; but their latents tell less of
            types and of each other.
        datasplitter_kwargs
            Passed to the loaders, such as ``drop_last`` or ``num_workers``; ``external_indexing`` may stand here, too.
        plan_kwargs
            Passed to the training plan, such as ``n_epochs_kl_warmup`` or ``n_steps_kl_warmup``, ``max_kl_weight``,
            ``weight_decay`` (an L2 penalty on all weights, none by default, nor in a query), and ``loading_sd``, 1 by
            default: the standard deviation that the Gaussian prior of the decoders' last weights gives to the log fold
            changes of a feature between cells (logits, or standardised values, under other likelihoods). It keeps
            features of few cells from being learnt by heart, and hardly touches those of many; ``None`` leaves it out.
        plan_config, trainer_config
            Arguments of the plan and of :class:`scvi.train.Trainer` as a mapping, or as scvi-tools' ``TrainingPlanConfig``
            and ``TrainerConfig``, of which what differs from scvi-tools' default is taken. ``plan_kwargs`` and arguments of
            this method come first.
        datamodule
            Data in place of the model's own, for a model that was made with ``registry``, with splits and minibatches
            of their own: a :class:`~mmvae.MosaicDataModule`, whose data the model then takes for its own, or another
            with ``n_obs``, ``train_dataloader`` and, if it can, ``val_dataloader``, which yields the same. From such a
            one, what training needs beside the loss is taken from the first 10,000 training cells; there is no report
            on batches, and priors that look at neighbours in space cannot be trained.
        lr
            Initial learning rate; it falls as a cosine to a twentieth. By default 2e-3 below 3,000 cells, else 1e-3.
        split_by
            What is held out: ``"cells"``, at random, in the same share of each missing pattern and batch, which is the
            default; ``"blocks"``, patches of about 30 neighbouring cells, the default where the data have a graph of
            neighbours; or a column of ``obs`` such as the slide, whose cells then stay together.
        external_indexing
            Numbers of the training, validation and test cells, in place of a split. Cells in none of them are for tests.
        seed
            Of the split, the minibatches, and the noise of training; that of the model by default.
        tf32
            Whether a card that has TF32 multiplies matrices in it, with 10 bits of the mantissa instead of 23. It is not
            switched on where ``torch.set_float32_matmul_precision`` has chosen something else.
        cuda_graph
            Whether a card runs a whole training step as one captured CUDA graph, which spares the time between its
            operations. What cannot be captured runs as without, with a warning. Not yet tried on a card: see
            ``docs/large.md``.
        **kwargs
            Passed to :class:`scvi.train.Trainer`: ``callbacks``, ``logger``, ``check_val_every_n_epoch``, ... Those of
            scvi-tools' models that are the plan's, such as ``n_epochs_kl_warmup`` and ``weight_decay``, go there.

        Warns
        -----
        UserWarning
            If cells are held out one by one where neighbours share counts, or steps cannot be captured. At the end, in
            words: if the validation ELBO never improved, or was much better in an epoch before those to choose from, a
            modality's latent carries under 1 nat per cell, a prior had too few cells to learn from, or a batch
            coincides with a missing pattern.
        """
        plan = plan_of(plan_config, plan_kwargs, lr, kwargs)
        check_arguments(locals(), plan)
        seed, splitter = self.seed if seed is None else seed, dict(datasplitter_kwargs or {})
        parts = splitter.pop("external_indexing", external_indexing)
        held_out = HeldOut(split_by, train_size, validation_size, shuffle_set_split, parts)
        if self.minified_data_type is not None:
            msg = "Expected data to train on; got minified data. Load the model with the data that it was made with."
            raise ValueError(msg)
        if datamodule is None:
            self._validate_anndata()
            cells: Cells = OwnCells(self, split(self.adata_manager, held_out, seed))
            kwargs["datasplitter_kwargs"] = {"external_indexing": list(cells.parts)} | splitter
        else:
            others = {"batch_size": batch_size, "datasplitter_kwargs": splitter or None}
            unused = [name for name, value in others.items() if value is not None]
            cells = self._cells_of(datamodule, *held_out.given, *unused)
            kwargs["datamodule"], batch_size = datamodule, getattr(datamodule, "batch_size", None)
        plan |= {"cuda_graph": True} if cuda_graph else {}
        schedule = schedule_for(cells.n_train, defaults_for(cells.n_cells), max_epochs, batch_size, plan)
        options = schedule.trainer_options(has_validation=cells.has_validation) | trainer_of(trainer_config, kwargs)
        options |= {"accelerator": accelerator, "devices": devices, "tf32": tf32}
        options |= {"early_stopping": early_stopping and cells.has_validation}
        options |= {"early_stopping_patience": early_stopping_patience}
        self.training_report_ = self._fit(schedule, cells, seed, options)
        for line in self.training_report_:
            warnings.warn(line, UserWarning, stacklevel=2)
        say(self.trainer, in_short(self))

    def _cells_of(self, datamodule: LightningDataModule, *unused: str) -> Cells:
        """Cells of a data module, whose data become the model's own if registered; it decides on ``unused`` arguments."""
        if unused:
            msg = f"Expected {' and '.join(unused)} as arguments of the data module; got them with datamodule=."
            raise ValueError(msg)
        own = datamodule if isinstance(datamodule, MosaicSplitter) else None
        if self.adata is not None and (own is None or own.adata_manager.adata is not self.adata):
            msg = "Expected a model without data to train on a data module; got one with. Use MultiVAE(registry=...)."
            raise ValueError(msg)
        if own is None:
            return StreamedCells(self, datamodule)
        if self.adata is None:
            check_same_registry(own.registry, self.registry_)
            self._adata, self._adata_manager = own.adata_manager.adata, own.adata_manager
            self._register_manager_for_instance(own.adata_manager)
        self._validate_anndata()
        return OwnCells(self, (own.train_idx, own.val_idx, own.test_idx))

    @alone
    def _fit(self, schedule: Schedule, cells: Cells, seed: int, options: dict[str, Any]) -> list[str]:
        """Train, and put the model right whatever happens; what a user should know, in words."""
        before, keep = Snapshot(self), KeepWeights(self.module, schedule.late)
        start = InitPriors(self.module, cells.some, early=schedule.early, late=schedule.late)
        own: list[Callback] = [keep] if self.memory.is_query else [start, keep]
        given = options.get("callbacks") or []
        n_weights = sum(weights.numel() for weights in self.module.parameters())
        n_features = sum(likelihood.n_features for likelihood in self.module.likelihoods.values())
        own.append(Forecast(memory_needed(n_weights, n_features, schedule.batch_size)))
        callbacks = [*own, *([given] if isinstance(given, Callback) else given)]
        # scvi-tools' tuner takes the first one for the one that has collected latents.
        options["callbacks"] = sorted(callbacks, key=lambda callback: not isinstance(callback, ScibCallback))
        # scvi-tools keeps a reference's weights still by zeroing their gradients, which a decay would not heed.
        options["plan_kwargs"] = schedule.plan | ({"weight_decay": 0.0} if self.memory.is_query else {})
        try:
            self.best_epoch_ = None
            if not self.memory.is_query:  # whose encoders stay what they are
                self.remember(shared=None, imputation=None, imputation_quality=None)
                self.remember(reliability=None, certainty=None, agreement=None, scale=None)
                if self.memory.n_categories is None:
                    self._init_from(cells)
            if self.adata is not None:
                self._fill_graphs(self.adata)
            self.module.train()
            with seeded(seed, alone=False), quiet(), tensor_cores(options.pop("tf32"), options["accelerator"]):
                super().train(schedule.max_epochs, batch_size=schedule.batch_size, **options)
            if keep.exception is not None:
                raise keep.exception
            before.load(self.module, keep.best_weights or self.module.state_dict())
            self._calibrate(cells)
            self._remember(keep, len(before.history.get("elbo_train", ())), cells)
        except BaseException as error:
            as_raised = self._after(error, before, keep, cells)
            if as_raised is error:
                raise
            raise as_raised from (error if isinstance(error, Exception) else None)
        report = training_report(before.since(self.history_), self.module.priors, *cells.batch_and_patterns())
        return report if self.memory.is_query else keep.overtraining() + report

    def _init_from(self, cells: Cells) -> None:
        """Initialise likelihoods from summaries of the data; bring the user's size factors to the scale of totals."""
        module = self.module
        module.fusion.set_pair_counts(torch.as_tensor(shared_cells(cells.presence)))
        for name, (statistics, given) in cells.summaries().items():
            module.likelihoods[name].init_from(statistics)
            if given is not None:
                module.size_factor_scale[name].data.fill_(statistics.size_factor / given)

    def _after(self, error: BaseException, before: Snapshot, keep: KeepWeights, cells: Cells) -> BaseException:
        """Give the model the best weights of a first training, or make it what it was; the exception to raise."""
        diverged = divergence(error, self.module, before.weights, keep.epoch)
        if keep.chosen and not before.attributes["is_trained_"]:
            state = keep.describe()
            before.load(self.module, keep.chosen)
            self.is_trained_ = True
            self.train_indices_, self.validation_indices_, self.test_indices_ = tuple[Any, ...](cells.parts)
            with suppress(Exception):  # what reads the cells may be what failed
                self._calibrate(cells)
            self._remember(keep, 0, cells)
        else:
            before.restore(self)
            self._clear_graphs()
            state = "weights from before this training" if self.is_trained_ else "initial weights"
        if diverged is not None:
            return TrainingDivergedError(diverged.describe(cells.names_of, state))
        return as_sent(error, keep)

    def _calibrate(self, cells: Cells) -> None:
        """Make the imputation of a reference as sure as validation cells prove it."""
        if not self.memory.is_query:
            with seeded(0):
                calibrate_imputation(self.module, cells.held_out())

    def _remember(self, keep: KeepWeights, n_before: int, cells: Cells) -> None:
        """Keep what later calls need of the training cells; a query keeps what its reference remembers."""
        self._clear_graphs()
        self.best_epoch_ = None if keep.best_epoch is None else n_before + keep.best_epoch
        self.remember(n_categories=table_sizes(self.module), cells=cells.digest)
        if not self.memory.is_query:
            reader, sample = Reader(self), cells.sample
            with seeded(0):
                self.remember(labelled=remember_labelled(reader, sample), **measure_modalities(reader, sample))
