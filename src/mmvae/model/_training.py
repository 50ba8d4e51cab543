"""Training."""

import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from lightning.pytorch import LightningDataModule

from mmvae.data import MosaicSplitter
from mmvae.train import (
    Config,
    Course,
    HeldOut,
    check_arguments,
    defaults_for,
    plan_of,
    say,
    schedule_for,
    split,
    trainer_of,
)

from ._cells import Cells, OwnCells, StreamedCells, check_same_registry
from ._fitting import Fitting
from .readouts import in_short


class Training(Fitting):
    """``train`` with defaults that follow the number of cells."""

    training_report_: list[str]

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
        from_scratch: bool = False,
        keep_better: bool = True,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int = 1,
        resume_from: str | os.PathLike[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """Train the model.

        The same model, data, seed and versions of the software give the same weights on a CPU with the same number of
        threads (``torch.get_num_threads()``). Global random generators are neither heeded nor changed, if no other thread
        draws random numbers meanwhile (``docs/random.md``). While a thread trains a model, others can neither read,
        save nor train it (``RuntimeError``). Where there is a progress bar, the last thing that is printed is the short form of
        :meth:`diagnose`.

        A trained model goes on from its weights, with a new schedule, and ``history_`` goes on, too. It then holds the best
        of the new epochs, or the weights from before where these are better on the validation cells. However a training
        ends, by an interrupt, an error or too little memory, the model holds the best weights that there are and can be
        used, and a note on the exception says which: the best of the epochs that were completed, and, of a model that was
        trained before, its own unless the new ones are better on the validation cells. The first loss, latent, prior or
        weight that is NaN or infinite raises a :class:`~mmvae.TrainingDivergedError`. See ``docs/safety.md``.

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
        from_scratch
            Whether a trained model forgets what it learnt: the training is that of a new model with the same arguments.
            If it fails, the model is what it was.
        keep_better
            Whether a trained model keeps its weights if no new epoch is better. Both are judged on the new validation cells;
            without any the new weights are taken. A warning gives both objectives either way.
        checkpoint, checkpoint_every
            A folder in which to save the training before every so-many-th epoch, and its end: one file, which is replaced
            at once, of about four times the weights. If it cannot be written, training goes on with a warning.
        resume_from
            Such a folder, to go on from in a new process, with a model, data and arguments as at the start; a training of a
            trained model goes on from the model as it was before. On a CPU the weights, history and best epoch are those of
            a training that was never stopped. It is saved there, too, unless ``checkpoint`` names another folder; where
            both name the same and nothing is in it yet, the training begins. A data module of another class than
            :class:`~mmvae.MosaicDataModule` goes on in the same order if it draws it from torch's own generator.
        **kwargs
            Passed to :class:`scvi.train.Trainer`: ``callbacks``, ``logger``, ``check_val_every_n_epoch``, ... Those of
            scvi-tools' models that are the plan's, such as ``n_epochs_kl_warmup`` and ``weight_decay``, go there.

        Raises
        ------
        TrainingDivergedError
            If something is not finite, as above.
        ValueError
            If arguments cannot be used, or ``resume_from`` holds no saved training, or one that was begun with something
            else; all that differs is named, and nothing is changed.
        FileNotFoundError, FileExistsError
            If ``resume_from`` holds nothing; if ``checkpoint`` holds a training that it does not go on from.

        Warns
        -----
        UserWarning
            If cells are held out one by one where neighbours share counts, or steps cannot be captured. At the end, in
            words: if a trained model was not made better, the validation ELBO never improved, or was much better in an epoch before those to choose from, a
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
            self._check_own_data()
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
        stops_early = early_stopping and cells.has_validation
        options |= {"early_stopping": stops_early, "early_stopping_patience": early_stopping_patience}
        kept: dict[str, Any] = {"from_scratch": from_scratch, "keep_better": keep_better, "every": checkpoint_every}
        course = Course.of(checkpoint, resume_from, **kept)
        self.training_report_ = self._fit(schedule, cells, seed, options, course)
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
        self._check_own_data()
        return OwnCells(self, (own.train_idx, own.val_idx, own.test_idx))

    def _check_own_data(self) -> None:
        """Refuse data, and columns of the user's, that were changed since they were set up."""
        self._validate_anndata()
        self.adata_manager.check_unchanged(every_value=True)
        self.adata_manager.check_columns()
