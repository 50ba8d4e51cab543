"""Training plan: its arguments, optimiser, KL warm-up and the guard against losses that are not finite."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from lightning.pytorch.plugins import MixedPrecision, Precision
from scvi.module.base import LossOutput
from scvi.train import TrainingPlan
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR
from torchmetrics import Metric

from mmvae._checks import (
    COUNT,
    COUNT_OR_ZERO,
    NOT_NEGATIVE,
    POSITIVE,
    SEED,
    SHARE,
    SHARE_ABOVE_0,
    check_is,
    check_numbers,
)
from mmvae._keys import CELLS, KL, N_CELLS, OBJECTIVE

from ._capturable import acts_around_steps, warn_of, why_not
from ._divergence import NonFiniteError, Seen, posteriors_not_finite, seen
from ._forecast import say
from ._whole_step import WholeStep

# Arguments of `train` and of data modules that are numbers; of the plan those that are numbers, and others.
TAKES = dict.fromkeys(("max_epochs", "batch_size", "early_stopping_patience", "block_cells", "buffer_cells"), COUNT)
TAKES |= {"checkpoint_every": COUNT}
TAKES |= {"lr": POSITIVE, "train_size": SHARE_ABOVE_0, "validation_size": SHARE, "seed": SEED}
NUMBERS = {"lr": POSITIVE, "eps": POSITIVE, "weight_decay": NOT_NEGATIVE, "n_epochs_kl_warmup": COUNT_OR_ZERO}
NUMBERS |= {"n_steps_kl_warmup": COUNT_OR_ZERO, "max_kl_weight": NOT_NEGATIVE, "min_kl_weight": NOT_NEGATIVE}
NUMBERS |= {"loading_sd": POSITIVE}
OTHERS = ("compile", "compile_kwargs", "on_step", "on_epoch")


def check_arguments(given: Mapping[str, Any], plan: Mapping[str, Any] = {}) -> None:
    """Refuse numbers that training cannot take and arguments that the plan does not know, a sentence for each.

    ``given`` are all the arguments of a method, by name.
    """
    check_is("datasplitter_kwargs", given.get("datasplitter_kwargs") or {}, Mapping)
    numbers = {name: value for name, value in given.items() if name in TAKES}
    numbers |= {f"plan_kwargs['{name}']": plan[name] for name in NUMBERS if name in plan}
    takes = TAKES | {f"plan_kwargs['{name}']": number for name, number in NUMBERS.items()}
    known = [*NUMBERS, *OTHERS]
    unknown = [name for name in plan if name not in known]
    faults = [f"Expected plan_kwargs among {known}; got {unknown}."] if unknown else []
    check_numbers(takes, faults, **numbers)


class MultiVAEPlan(TrainingPlan):
    r"""scvi-tools' plan with fused Adam, a cosine schedule, and a stop at the first loss that is not finite.

    Beside scvi-tools' metrics it logs ``objective``, the negative ELBO under the modalities' weights and that of the KL
    after the warm-up, in nats per cell. Early stopping and the choice of the best epoch go by it.

    With ``cuda_graph`` the steps are those of a :class:`WholeStep`, where that is possible.

    The loadings, weights from a decoder's hidden units to features, have the prior :math:`N(0, 2 \sigma^2 / H)` with
    :math:`\sigma` = ``loading_sd``: the H units are a rectified layer of variance 1, whose squares are 1/2 in the mean, so
    that together they give a feature the variance :math:`\sigma^2`. The loss is per cell, and so the penalty is
    :math:`H w^2 / (4 \sigma^2 n)` with n = ``n_cells`` that are trained on.
    """

    _kl_weight: tuple[Any, Tensor] | None = None

    def __init__(
        self,
        *args: Any,
        cuda_graph: bool = False,
        loading_sd: float | None = None,
        n_cells: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._shrinkage = 0.0 if loading_sd is None or n_cells is None else 0.5 / (loading_sd**2 * n_cells)
        self._wants_graph, self._looks_each_step = cuda_graph, False
        self._whole: WholeStep | None = None
        # Of each step since the last look.
        self._unseen: list[Seen] = []
        # Of each metric in this epoch: its sum over cells, their number, and how it is logged.
        self._pending: dict[str, tuple[Any, Any, dict[str, Any]]] = {}
        self._graphs = {name: prior.graph for name, prior in self.module.priors.items() if prior.needs_graph}

    def on_fit_start(self) -> None:
        """Let each process draw noise of its own."""
        super().on_fit_start()
        if self.trainer.world_size > 1:
            torch.manual_seed(torch.initial_seed() + self.global_rank)

    def on_train_start(self) -> None:
        """Make the whole step, or say why there is none."""
        if not self._wants_graph:
            return
        if reason := why_not(self.trainer, self.module):
            warn_of(reason)
            return
        optimizer: Any = self.optimizers(use_pl_optimizer=False)
        clip = partial(self._clip, optimizer)
        self._whole = WholeStep(self.module, optimizer, self._losses_of, clip, partial(say, self.trainer))
        self._looks_each_step = any(map(acts_around_steps, self.trainer.callbacks))

    def teardown(self, stage: str) -> None:
        """Give the memory of a captured step back."""
        self._whole = None

    @property
    def kl_weight(self) -> Tensor:
        """scvi-tools', made when it changes: to bring a number to a device is to wait for it."""
        now = self.current_epoch if self.n_epochs_kl_warmup else min(self.global_step, self.n_steps_kl_warmup or 0)
        schedule = self.n_epochs_kl_warmup, self.n_steps_kl_warmup, self.min_kl_weight, self.max_kl_weight
        at = now, schedule, self.device
        if self._kl_weight is None or self._kl_weight[0] != at:
            self._kl_weight = at, super().kl_weight
        return self._kl_weight[1]

    def attach_graphs(self) -> None:
        """Show the priors the graphs of this training's cells; a callback may have read from others."""
        for name, graph in self._graphs.items():
            self.module.priors[name].set_graph(graph)

    def forward(self, batch: dict[str, Tensor], *args: Any, **kwargs: Any) -> tuple[Any, Any, LossOutput]:
        """Pass to the module; raises :class:`NonFiniteError` where latents that are not finite make it fail."""
        self.attach_graphs()
        try:
            if self._whole is not None and self.trainer.training:
                outputs = None, None, self._whole(batch, kwargs["loss_kwargs"]["kl_weight"])
            else:
                outputs = self._outputs_of(batch, *args, **kwargs)
        except (RuntimeError, ValueError) as error:
            self._look(alone=True)
            names = posteriors_not_finite(self.module.encoders, lambda: super(MultiVAEPlan, self).forward(batch))
            if not names:
                raise
            raise NonFiniteError(f"the latent of {names} is not finite", self.current_epoch, batch[CELLS]) from error
        self._losses = outputs[-1]
        return outputs

    def _outputs_of(self, batch: dict[str, Tensor], *args: Any, **kwargs: Any) -> tuple[Any, Any, LossOutput]:
        given = kwargs.get("loss_kwargs", {})
        if self.max_kl_weight > 0 and "kl_weight" in given:
            kwargs["loss_kwargs"] = given | {"warmup": given["kl_weight"] / self.max_kl_weight}
        outputs = super().forward(batch, *args, **kwargs)
        losses = outputs[-1]
        if self.max_kl_weight != 1:
            excess = (self.max_kl_weight - 1) * self.module.network.kl_scale * losses.kl_local_sum.detach()
            losses.extra_metrics[OBJECTIVE] = losses.extra_metrics[OBJECTIVE] + excess / losses.n_obs_minibatch
        return outputs

    def _losses_of(self, batch: dict[str, Tensor], kl_weight: Tensor) -> LossOutput:
        return self._outputs_of(batch, loss_kwargs=self.loss_kwargs | {"kl_weight": kl_weight})[-1]

    def compute_and_log_metrics(self, loss_output: LossOutput, metrics: dict[str, Any], mode: str) -> None:
        """Log scvi-tools' metrics, and the KL of each latent over the cells that have it, however few they are."""
        extra = loss_output.extra_metrics
        for name in [key.removeprefix(N_CELLS) for key in extra if key.startswith(N_CELLS)]:
            value, count = extra.pop(f"{KL}{name}"), extra.pop(f"{N_CELLS}{name}")
            options = {"on_step": self.on_step, "on_epoch": self.on_epoch, "sync_dist": self.use_sync_dist}
            # Floating, as the mean of whole numbers over processes would be cut.
            self.log(f"{KL}{name}_{mode}", value, batch_size=count.float(), **options)
        super().compute_and_log_metrics(loss_output, metrics, mode)

    # scvi-tools logs in inference mode, whose tensors processes could not average later.
    @torch.inference_mode(False)
    @torch.no_grad()
    def log(self, name: str, value: Any, **options: Any) -> None:
        """Log, of an epoch at its end, as Lightning takes as long for a step's metrics as a small step does."""
        if not self.trainer.training or options.get("on_step"):
            super().log(name, value, **options)
        elif isinstance(value, Metric):  # adds up by itself
            self._pending[name] = value, 1, options
        else:
            count = options.pop("batch_size", self._losses.n_obs_minibatch)
            total, n_cells, _ = self._pending.get(name, (0, 0, options))
            self._pending[name] = total + torch.as_tensor(value).detach() * count, n_cells + count, options

    def on_train_batch_end(self, *args: Any) -> None:
        """Log with the last minibatch, so that callbacks find the metrics at the end of the epoch, if it is cut short too."""
        if self.trainer.is_last_batch or self.trainer.fit_loop.epoch_loop.done:
            self._log_pending()

    def on_train_epoch_end(self) -> None:
        """Log what is left of an epoch that was cut short."""
        super().on_train_epoch_end()
        self._log_pending()

    def _log_pending(self) -> None:
        pending, self._pending = self._pending, {}
        for name, (total, count, options) in pending.items():
            if not isinstance(total, Metric):
                # A process may have had no cell of a modality in this epoch.
                total, options = total / (count or 1), options | {"batch_size": count}
            super().log(name, total, **options)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """One step; raises :class:`NonFiniteError`, on a CPU before the weights are touched."""
        if not self.module.training:  # a callback has read from the model
            self.module.train()
        if self._whole is not None and (self._looks_each_step or batch_idx == 0):
            self.attach_graphs()
            clips = self.trainer.gradient_clip_val, self.trainer.gradient_clip_algorithm
            self._whole.look_again(*clips, self.max_kl_weight)
        loss = super().training_step(batch, batch_idx)
        if self._whole is None:
            self._unseen.append(seen(self._losses, batch[CELLS]))
        if (batch_idx + 1) % self._steps_between_looks == 0 or self.trainer.is_last_batch:
            self._look()
        return loss

    def configure_gradient_clipping(self, optimizer: Any, gradient_clip_val: Any = None, **how: Any) -> None:
        """Clip as Lightning does, but on a CPU only what there is to clip: to clip is to write all gradients anew."""
        if self.device.type == "cpu" and gradient_clip_val:
            norms = [parameter.grad.norm() for parameter in self.module.parameters() if parameter.grad is not None]
            # No element of a vector is larger than its norm, so that this holds for clipping by value, too.
            if not norms or torch.stack(norms).norm() <= gradient_clip_val:
                return
        super().configure_gradient_clipping(optimizer, gradient_clip_val, **how)

    def optimizer_zero_grad(self, *args: Any) -> None:
        """Nothing after a whole step."""
        if self._whole is None:
            super().optimizer_zero_grad(*args)

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Nothing after a whole step."""
        if self._whole is None:
            super().backward(loss, *args, **kwargs)

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        """Nothing after a whole step, which the closure has done."""
        if self._whole is None:
            super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        else:
            optimizer_closure()

    def _clip(self, optimizer: torch.optim.Optimizer) -> None:
        trainer: Any = self.trainer
        # Mixed precision's own refuses fused optimisers for its scaled gradients, which there are not.
        how = [trainer.gradient_clip_algorithm] if trainer.gradient_clip_algorithm else []
        Precision.clip_gradients(trainer.precision_plugin, optimizer, trainer.gradient_clip_val or 0.0, *how)

    @property
    def _steps_between_looks(self) -> int:
        """On an accelerator, to look at a loss is to wait for it."""
        return 1 if self.device.type == "cpu" else 10

    def _look(self, *, alone: bool = False) -> None:
        """Check the losses since the last look; of all processes, as one that stops would leave the others waiting."""
        steps, self._unseen = self._unseen if self._whole is None else self._whole.unseen(), []
        if not steps:
            return
        finite = torch.stack([loss for loss, _, _ in steps]).isfinite().tolist()
        if all(finite) if alone else self.trainer.strategy.reduce_boolean_decision(all(finite)):
            return
        if all(finite):
            raise NonFiniteError("the loss is not finite in another process", self.current_epoch)
        _, parts, cells = steps[finite.index(False)]
        where = " and ".join(name for name, value in parts.items() if not value.isfinite().all())
        raise NonFiniteError(f"the loss is not finite in the {where or 'sum of its parts'}", self.current_epoch, cells)

    def configure_optimizers(self) -> dict[str, Any]:
        """Adam, its rate falling as a cosine to a twentieth."""
        captures = self._wants_graph and not why_not(self.trainer, self.module)
        # Lightning clips no gradients of a fused optimiser in mixed precision.
        options: dict[str, Any] = {"fused": captures or not isinstance(self.trainer.precision_plugin, MixedPrecision)}
        lr: Any = self.lr
        if captures:  # a number would stay what it was when the step was captured
            lr, options["capturable"] = torch.tensor(lr, dtype=torch.float32, device=self.device), True
        optimizer = torch.optim.Adam(self._parameters_by_decay(), lr, eps=self.eps, **options)
        schedule = CosineAnnealingLR(optimizer, T_max=self.trainer.max_epochs, eta_min=self.lr / 20)
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def _parameters_by_decay(self) -> list[dict[str, Any]]:
        """Groups of the parameters that are trained: ``weight_decay`` acts on all, the loadings' prior on theirs."""
        trained = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        decays = dict.fromkeys(trained, self.weight_decay)
        for loadings in (own for likelihood in self.module.likelihoods.values() for own in likelihood.loadings()):
            if loadings.requires_grad:
                decays[loadings] += self._shrinkage * loadings.shape[1]
        values = dict.fromkeys(decays.values())
        return [{"params": [p for p in trained if decays[p] == decay], "weight_decay": decay} for decay in values]
