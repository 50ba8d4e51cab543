"""Training."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from scvi import REGISTRY_KEYS
from scvi.model.base import UnsupervisedTrainingMixin

from mmvae._errors import TrainingDivergedError
from mmvae.data import blocks_of, graph_of, pattern_names, presence_of, split_cells, split_groups
from mmvae.priors import PosteriorSample

from ._callbacks import KeepWeights, PriorStart
from ._defaults import Defaults, defaults_for
from ._plan import MultiVAEPlan, NonFiniteLossError
from ._report import training_report
from ._seed import seeded
from ._typing import ModelBase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._typing import Indices

KL_WARMUP_SHARE, KL_WARMUP_STEPS = 1 / 3, 2_000
WARM_START_EPOCHS = 10
PRIOR_CELLS = 10_000
GRADIENT_NORM = 50.0
CELLWISE, BLOCKS = "cells", "blocks"
NEIGHBORS_LEAK = (
    "The cells to validate on are single ones, whose counts are in their neighbours' sums too, so the validation ELBO is too "
    "good. Leave out split_by, or give split_by='blocks' or the column of the slides."
)


class TrainingMixin(UnsupervisedTrainingMixin, ModelBase):
    """``train`` with defaults that follow the number of cells."""

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
        load_sparse_tensor: bool | None = None,
        plan_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Train the model.

        Two runs with the same model, data, seed and versions of the software give the same model on a CPU, whatever
        state the global random generators are in; they are left as they were.

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
            Whether to stop once the validation ELBO has not improved for ``early_stopping_patience`` epochs, counted
            from the end of the KL warm-up. The weights of the best epoch are kept either way.
        early_stopping_patience
            Epochs without improvement.
        seed
            Of the split, the minibatches, and the noise of training; that of the model by default.
        load_sparse_tensor
            Whether minibatches travel to the device as sparse tensors. By default on a GPU only.
        plan_kwargs
            Passed to the training plan, such as ``weight_decay``, ``n_epochs_kl_warmup``, ``max_kl_weight``.
        **kwargs
            Passed to :class:`scvi.train.Trainer`: ``accelerator``, ``devices``, ``callbacks``,
            ``enable_progress_bar``, ...

        Raises
        ------
        TrainingDivergedError
            At the first loss that is NaN or infinite. The model then holds its last good weights, and the message
            names the modality, the cells and what to try.

        Warns
        -----
        UserWarning
            If cells are held out one by one where neighbours share counts. At the end, in words: if the validation ELBO
            never improved, a modality's latent carries under 1 nat per cell, or a batch coincides with a missing pattern.
        """
        self._validate_anndata()
        seed = self.seed if seed is None else seed
        chosen = defaults_for(self.adata.n_obs)
        epochs = max_epochs or chosen.max_epochs
        split = self._split(split_by, train_size, validation_size, seed)
        batch_size = min(batch_size or chosen.batch_size, max(len(split[0]) // 4, 8))
        steps = max(1, len(split[0]) // batch_size)
        warmup_epochs = (plan_kwargs or {}).get("n_epochs_kl_warmup") or _warmup_epochs(epochs, steps)
        plan_kwargs = _plan_options(chosen, lr, warmup_epochs) | (plan_kwargs or {})
        keep = KeepWeights(first=warmup_epochs)
        on_gpu = torch.cuda.is_available() and kwargs.get("accelerator", "auto") != "cpu"
        self._forget()
        self._link(self.adata)
        self.module.train()
        with seeded(seed), _quiet():
            try:
                self._fill_graphs(self.adata)
                super().train(
                    max_epochs=epochs,
                    batch_size=batch_size,
                    early_stopping=early_stopping and len(split[1]) > 0,
                    early_stopping_patience=early_stopping_patience,
                    early_stopping_warmup_epochs=warmup_epochs,
                    load_sparse_tensor=on_gpu if load_sparse_tensor is None else load_sparse_tensor,
                    datasplitter_kwargs={"external_indexing": list(split)} | kwargs.pop("datasplitter_kwargs", {}),
                    plan_kwargs=plan_kwargs,
                    callbacks=[
                        *self._prior_starts(split[0], min(WARM_START_EPOCHS, warmup_epochs), warmup_epochs),
                        keep,
                        *kwargs.pop("callbacks", []),
                    ],
                    **_trainer_options(steps, has_validation=len(split[1]) > 0) | kwargs,
                )
            except NonFiniteLossError as error:
                self._restore(keep.best_state or keep.last_state)
                self.is_trained_ = keep.last_epoch is not None
                self.train_indices_, self.validation_indices_ = split[:2]
                self._remember(keep)
                raise TrainingDivergedError(self._divergence(error, keep)) from error
        if keep.best_state is not None:
            self._restore(keep.best_state)
        self._finish_training(keep)

    def _finish_training(self, keep: KeepWeights) -> None:
        self._remember(keep)
        self.training_report_ = training_report(self)
        for line in self.training_report_:
            warnings.warn(line, UserWarning, stacklevel=3)

    def _forget(self) -> None:
        """Drop what is true of the weights so far; a query's encoders stay what they are."""
        self.best_epoch_ = None
        self._clear_graphs()
        if not self._is_query:
            self.shared_, self.reliability_, self.spread_ = None, None, None

    def _remember(self, keep: KeepWeights) -> None:
        """Keep what later calls need of the training cells; a query keeps what its reference remembers."""
        self.best_epoch_ = keep.best_epoch
        self._clear_graphs()
        if self.is_trained_ and not self._is_query:
            self._remember_labelled()
            self._remember_reliability()

    @property
    def _is_query(self) -> bool:
        """Whether this is a reference that new batches were mapped onto: then the encoders stay as they are."""
        return not all(
            parameter.requires_grad for encoder in self.module.encoders.values() for parameter in encoder.parameters()
        )

    def _split(
        self, by: str | None, train_size: float, validation_size: float | None, seed: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Training, validation and test cells."""
        graph = graph_of(self.adata) if by in (None, CELLWISE, BLOCKS) else None
        by = by or (CELLWISE if graph is None else BLOCKS)
        if by == CELLWISE:
            if graph is not None and train_size < 1:
                warnings.warn(NEIGHBORS_LEAK, UserWarning, stacklevel=3)
            return split_cells(self._strata(), train_size, validation_size, seed)
        if by == BLOCKS:
            if graph is None:
                msg = "Expected data with a graph of neighbours for split_by='blocks'; got none. See mmvae.pp.spatial."
                raise ValueError(msg)
            return split_groups(*blocks_of(graph, seed), train_size, validation_size, seed)
        if by not in self.adata.obs:
            msg = f"Expected split_by as 'cells', 'blocks' or a column of obs, {list(self.adata.obs)}; got '{by}'."
            raise ValueError(msg)
        groups = pd.factorize(self.adata.obs[by], use_na_sentinel=False)[0]
        return split_groups(groups, np.zeros(len(groups), dtype=int), train_size, validation_size, seed)

    def _strata(self) -> np.ndarray:
        """Missing pattern and batch of each cell, as one number, ``(n_cells,)``."""
        names = self.adata_manager.names
        batch = np.asarray(self.adata_manager.get_from_registry(REGISTRY_KEYS.BATCH_KEY)).ravel()
        patterns = pattern_names(presence_of(self.adata, names), names)
        return np.unique([f"{p} {b}" for p, b in zip(patterns, batch, strict=True)], return_inverse=True)[1]

    def _restore(self, state: dict[str, Any]) -> None:
        self.module.load_state_dict(state)
        self.module.eval()

    def _divergence(self, error: NonFiniteLossError, keep: KeepWeights) -> str:
        cells = ", ".join(f"'{name}'" for name in self.adata.obs_names[error.cells[:3]])
        where = " and ".join(error.parts) or "the sum of the parts"
        state = "initial weights" if keep.last_epoch is None else f"weights of epoch {keep.last_epoch}"
        if keep.best_state is not None:
            state = f"weights of epoch {keep.best_epoch}, the best so far"
        return (
            f"Training stopped in epoch {error.epoch}: the loss is not finite in the {where}, for a minibatch of "
            f"{len(error.cells)} cells such as {cells}. The model holds the {state}. Try a lower lr, fewer or other "
            "features, or another likelihood for that modality."
        )

    def _prior_starts(self, indices: Indices, early: int, late: int) -> list[PriorStart]:
        return [
            PriorStart(lambda: self._start_priors(indices), early),
            PriorStart(lambda: self._start_priors(indices, late=True), late),
        ]

    @torch.no_grad()
    def _start_priors(self, indices: Indices, *, late: bool = False) -> None:
        """Show the priors the posteriors of training cells, at most ``PRIOR_CELLS`` of them."""
        priors = self.module.priors.items()
        waiting = {
            name: prior for name, prior in priors if not prior.is_initialised and prior.init_after_warmup == late
        }
        if not waiting:
            return
        chosen = np.random.default_rng(0).permutation(indices)[:PRIOR_CELLS]
        training = self.module.training
        self.module.eval()
        found: dict[str, list[PosteriorSample]] = {name: [] for name in waiting}
        for tensors in self._minibatches(None, np.sort(chosen), 512):
            for name, sample in self._posterior_samples(tensors):
                if name in found:
                    found[name].append(sample)
        for name, samples in found.items():
            together = PosteriorSample.together(samples)
            if len(together.loc) > 1:
                if (graph := getattr(waiting[name], "graph", None)) is not None:
                    graph.fill(*self._all_posteriors(self.adata, name))
                waiting[name].init_from(together)
        self.module.train(training)

    def _posterior_samples(self, tensors: dict[str, torch.Tensor]) -> Iterator[tuple[str, PosteriorSample]]:
        """What each prior's latent is for the cells of a minibatch."""
        module = self.module
        inputs = module._get_inference_input(tensors)
        outputs = module.inference(**inputs)
        for _, latent, context in module.priced(outputs, module.annotations(tensors)):
            hidden = module.hidden(latent.name, **inputs) if latent.name in module.encoders else None
            q = latent.posterior
            yield latent.name, PosteriorSample(q.mean, q.stddev, hidden, latent.known, context.labels)


def _warmup_epochs(epochs: int, steps: int) -> int:
    """Epochs in which the KL's weight rises to 1, of ``steps`` steps each."""
    return max(1, min(int(epochs * KL_WARMUP_SHARE), KL_WARMUP_STEPS // steps))


def _plan_options(chosen: Defaults, lr: float | None, warmup_epochs: int) -> dict[str, Any]:
    return {
        "lr": chosen.lr if lr is None else lr,
        "eps": 1e-8,
        "weight_decay": chosen.weight_decay,
        "n_epochs_kl_warmup": warmup_epochs,
    }


def _trainer_options(steps: int, *, has_validation: bool) -> dict[str, Any]:
    return {
        "gradient_clip_val": GRADIENT_NORM,
        "early_stopping_min_delta": 0.1,
        "check_val_every_n_epoch": 1 if has_validation else None,
        "log_every_n_steps": steps,
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence warnings that do not apply.

    Worker processes make loading slower for data in memory. The size of a batch, which Lightning guesses from the first
    tensor, is used for nothing but logging a weight that is the same for all batches. A small last batch does no harm
    where there is no BatchNorm. Of CSR tensors nothing is asked but to become dense. The latents that scvi-tools' tuner
    reads are not meant to be logged. PyTorch says once that it makes the CUDA context which the backward pass lacks.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        warnings.filterwarnings("ignore", message="Extra tracked metrics")
        warnings.filterwarnings("ignore", message="Attempting to run cuBLAS, but there was no current CUDA context")
        warnings.filterwarnings("ignore", message="Last batch will have a small size")
        warnings.filterwarnings("ignore", message="Trying to infer the `batch_size`")
        yield
