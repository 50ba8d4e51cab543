"""Training."""

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from scvi import REGISTRY_KEYS
from scvi.model.base import UnsupervisedTrainingMixin

from mmvae._errors import TrainingDivergedError
from mmvae._keys import layer_key, size_factor_key
from mmvae.data import SetupArguments, pattern_names, presence_of, resolve_columns
from mmvae.module import table_sizes
from mmvae.train import (
    Forecast,
    InitPriors,
    KeepWeights,
    MultiVAEPlan,
    Schedule,
    Snapshot,
    as_sent,
    check_arguments,
    defaults_for,
    divergence,
    memory_needed,
    quiet,
    schedule_for,
    seeded,
    split,
    training_report,
)

from ._data import DataAccess, digest_of
from ._reader import Reader
from .readouts import measure_reliability, remember_labelled

PRIOR_CELLS, PRIOR_BATCH = 10_000, 512


class Training(UnsupervisedTrainingMixin, DataAccess):
    """``train`` with defaults that follow the number of cells."""

    best_epoch_: int | None
    training_report_: list[str]
    _training_plan_cls = MultiVAEPlan

    def train(
        self,
        max_epochs: int | None = None,
        *,
        batch_size: int | None = None,
        lr: float | None = None,
        train_size: float = 0.9,
        validation_size: float | None = None,
        split_by: str | None = None,
        early_stopping: bool = True,
        early_stopping_patience: int = 30,
        seed: int | None = None,
        plan_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Train the model.

        Two runs with the same model, data, seed and versions of the software give the same model on a CPU, whatever
        state the global random generators are in; they are left as they were.

        A trained model goes on from its weights, with a new schedule, and then holds the best of the new epochs. If
        training fails or is interrupted, a model that was trained before is what it was; another keeps the best weights
        of the epochs that it completed.

        Parameters
        ----------
        max_epochs
            Epochs at the most. By default 200 below 3,000 cells, then 500,000 over the number of cells but at least 40, and
            from 30,000 cells on 1,500,000 over their number, between 20 and 50.
        batch_size
            Cells in a minibatch. By default 128 below 30,000 cells, else 256; at most a quarter of the training cells.
        lr
            Initial learning rate; it falls as a cosine to a twentieth. By default 2e-3 below 3,000 cells, else 1e-3.
        train_size
            Share of the cells to train on.
        validation_size
            Share of the cells to validate on; by default what training leaves.
        split_by
            What is held out: ``"cells"``, at random, in the same share of each missing pattern and batch, which is the
            default; ``"blocks"``, patches of about 30 neighbouring cells, the default where the data have a graph of
            neighbours; or a column of ``obs`` such as the slide, whose cells then stay together.
        early_stopping
            Whether to stop once the validation ELBO, under ``modality_weights`` and ``kl_scale`` if they are given, has
            not improved for ``early_stopping_patience`` epochs, counted from the end of the KL warm-up, but at the latest
            from two thirds of ``max_epochs``. The weights of the best of these epochs are kept either way.
        early_stopping_patience
            Epochs without improvement.
        seed
            Of the split, the minibatches, and the noise of training; that of the model by default.
        plan_kwargs
            Passed to the training plan, such as ``n_epochs_kl_warmup`` or ``n_steps_kl_warmup``, ``max_kl_weight``, and
            ``weight_decay``, of which there is none by default, nor in a query.
        **kwargs
            Passed to :class:`scvi.train.Trainer`: ``accelerator``, ``devices``, ``callbacks``,
            ``enable_progress_bar``, ...

        Raises
        ------
        TrainingDivergedError
            At the first loss, latent or weight that is NaN or infinite. The message names the modality, the cells, the
            weights that the model then holds, and what to try.

        Warns
        -----
        UserWarning
            If cells are held out one by one where neighbours share counts. At the end, in words: if the validation ELBO
            never improved, a modality's latent carries under 1 nat per cell, a prior had too few cells to learn from, or a
            batch coincides with a missing pattern.
        """
        plan = ({} if lr is None else {"lr": lr}) | dict(plan_kwargs or {})
        numbers = {"max_epochs": max_epochs, "batch_size": batch_size, "lr": lr, "train_size": train_size}
        numbers |= {
            "validation_size": validation_size,
            "early_stopping_patience": early_stopping_patience,
            "seed": seed,
        }
        check_arguments(plan, **numbers)
        self._validate_anndata()
        seed = self.seed if seed is None else seed
        parts = split(self.adata_manager, split_by, train_size, validation_size, seed)
        schedule = schedule_for(len(parts[0]), defaults_for(self.adata.n_obs), max_epochs, batch_size, plan)
        has_validation = len(parts[1]) > 0
        options = schedule.trainer_options(has_validation=has_validation) | kwargs
        options |= {"early_stopping": early_stopping and has_validation}
        options |= {"early_stopping_patience": early_stopping_patience}
        self.training_report_ = self._fit(schedule, parts, seed, options)
        for line in self.training_report_:
            warnings.warn(line, UserWarning, stacklevel=2)

    def _fit(self, schedule: Schedule, parts: tuple[np.ndarray, ...], seed: int, options: dict[str, Any]) -> list[str]:
        """Train, and put the model right whatever happens; what a user should know, in words."""
        before, keep = Snapshot(self), KeepWeights(self.module, schedule.late)
        start = InitPriors(self.module, lambda: self._some(parts[0]), early=schedule.early, late=schedule.late)
        own: list[Callback] = [keep] if self.memory.is_query else [start, keep]
        given = options.get("callbacks") or []
        n_weights = sum(weights.numel() for weights in self.module.parameters())
        n_features = sum(likelihood.n_features for likelihood in self.module.likelihoods.values())
        own.append(Forecast(memory_needed(n_weights, n_features, schedule.batch_size)))
        options["callbacks"] = [*own, *([given] if isinstance(given, Callback) else given)]
        options["datasplitter_kwargs"] = {"external_indexing": list(parts)} | (options.get("datasplitter_kwargs") or {})
        # scvi-tools keeps a reference's weights still by zeroing their gradients, which a decay would not heed.
        options["plan_kwargs"] = schedule.plan | ({"weight_decay": 0.0} if self.memory.is_query else {})
        try:
            self._forget()
            if self.memory.n_categories is None and not self.memory.is_query:
                self._init_from_data()
            self._fill_graphs(self.adata)
            self.module.train()
            with seeded(seed), quiet():
                super().train(schedule.max_epochs, batch_size=schedule.batch_size, **options)
            if keep.exception is not None:
                raise keep.exception
            before.load(self.module, keep.best_weights or self.module.state_dict())
            self._remember(keep, len(before.history.get("elbo_train", ())))
        except BaseException as error:
            as_raised = self._after(error, before, keep, parts)
            if as_raised is error:
                raise
            raise as_raised from (error if isinstance(error, Exception) else None)
        return self._report(before)

    def _init_from_data(self) -> None:
        """Initialise likelihoods from summaries of the data, and bring the user's size factors to the scale of totals."""
        module, manager = self.module, self.adata_manager
        for name, has in zip(module.names, presence_of(self.adata, module.names).T, strict=True):
            if layer_key(name) not in manager.data_registry:
                continue
            statistics = manager.statistics(name)
            module.likelihoods[name].init_from(statistics)
            if size_factor_key(name) in manager.data_registry:
                given = np.asarray(manager.get_from_registry(size_factor_key(name))).ravel()[has]
                module.size_factor_scale[name].data.fill_(statistics.size_factor / float(np.median(given)))

    def _after(
        self, error: BaseException, before: Snapshot, keep: KeepWeights, parts: tuple[np.ndarray, ...]
    ) -> BaseException:
        """Give the model the best weights of a first training, or make it what it was; the exception to raise."""
        diverged = divergence(error, self.module, before.weights, keep.epoch)
        if keep.chosen and not before.attributes["is_trained_"]:
            state = keep.describe()
            before.load(self.module, keep.chosen)
            self.is_trained_ = True
            self.train_indices_, self.validation_indices_, self.test_indices_ = parts
            self._remember(keep, 0)
        else:
            before.restore(self)
            self._clear_graphs()
            state = "weights from before this training" if self.is_trained_ else "initial weights"
        if diverged is not None:
            return TrainingDivergedError(diverged.describe(self.adata.obs_names, state))
        return as_sent(error, keep)

    def _forget(self) -> None:
        """Drop what is true of the weights so far; a query's encoders stay what they are."""
        self.best_epoch_ = None
        if not self.memory.is_query:
            self.remember(shared=None, reliability=None, scale=None)

    def _remember(self, keep: KeepWeights, n_before: int) -> None:
        """Keep what later calls need of the training cells; a query keeps what its reference remembers."""
        self._clear_graphs()
        self.best_epoch_ = None if keep.best_epoch is None else n_before + keep.best_epoch
        self.remember(n_categories=table_sizes(self.module), cells=digest_of(self.adata))
        if not self.memory.is_query:
            reader = Reader(self)
            with seeded(0):
                self.remember(labelled=remember_labelled(reader), **measure_reliability(reader))

    def _some(self, indices: np.ndarray) -> Iterable[dict[str, torch.Tensor]]:
        """Minibatches of training cells, always the same ones, on the model's device.

        ``PRIOR_CELLS`` at random, and as many of each modality and of those with a label, which may be rare.
        """
        self._fill_graphs(self.adata, list(self.module.priors))
        cells = np.random.default_rng(0).permutation(indices)
        rare = presence_of(self.adata, self.adata_manager.names)
        if REGISTRY_KEYS.LABELS_KEY in self.adata_manager.data_registry:
            labels = np.asarray(self.adata_manager.get_from_registry(REGISTRY_KEYS.LABELS_KEY)).ravel()
            rare = np.column_stack([rare, (labels >= 0) & (labels < self.module.n_labels)])
        chosen = [cells[:PRIOR_CELLS], *(cells[has[cells]][:PRIOR_CELLS] for has in rare.T)]
        for tensors in self._loader(self.adata, np.unique(np.concatenate(chosen)), PRIOR_BATCH):
            yield {key: value.to(self.module.device) for key, value in tensors.items()}

    def _report(self, before: Snapshot) -> list[str]:
        names = self.adata_manager.names
        columns, _ = resolve_columns(self.adata, SetupArguments.of(self.registry_["setup_args"]))
        batch = next((column for column in columns if column.role == "batch"), None)
        patterns = pattern_names(presence_of(self.adata, names), names)
        return training_report(before.since(self.history_), self.module.priors, batch, patterns)
