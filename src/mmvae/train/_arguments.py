"""Arguments of a training in scvi-tools' words: what they mean here, or why they mean nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from inspect import signature
from typing import Any, TypeAlias

import scvi.train
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback
from scvi.model.base import UnsupervisedTrainingMixin

from mmvae._checks import check_is, near

# A mapping or one of scvi-tools' configs, which have no base that its oldest version names.
Config: TypeAlias = Any
# Arguments of scvi-tools' models that are the plan's.
OF_PLAN = ("weight_decay", "eps", "n_steps_kl_warmup", "n_epochs_kl_warmup")
# Arguments of `train` that decide on more than the trainer.
OF_TRAIN = ("max_epochs", "accelerator", "devices", "early_stopping", "early_stopping_patience")
# What takes the others.
TAKERS: tuple[Any, ...] = (UnsupervisedTrainingMixin.train, scvi.train.Trainer, Trainer)
TAKEN = [name for each in TAKERS for name in signature(each).parameters]
# What there is nothing of, what is right to say of it, and what there is instead.
ABSENT: dict[str, tuple[Any, str]] = {
    "reduce_lr_on_plateau": (False, "the learning rate falls as a cosine from lr to a twentieth of it"),
    "adversarial_classifier": (None, "the classifier of batches is batch_adversary of MultiVAE"),
    "adversarial_mixing": (None, "the classifier of batches is batch_adversary of MultiVAE"),
}


def plan_of(plan_config: Config, plan_kwargs: Config, lr: float | None, others: dict[str, Any]) -> dict[str, Any]:
    """Arguments of the plan, later ones first in rank; takes from ``others`` what belongs to it or is absent."""
    own = {"lr": lr} | {name: others.pop(name, None) for name in OF_PLAN}
    plan = (
        _said("plan_config", plan_config)
        | {name: value for name, value in own.items() if value is not None}
        | _said("plan_kwargs", plan_kwargs)
    )
    for name, (value, why) in ABSENT.items():
        for place in (others, plan):
            if place.pop(name, value) != value:
                msg = f"Expected {name} as {value}; got another value, and {why}. Leave it out."
                raise ValueError(msg)
    return plan


def trainer_of(trainer_config: Config, others: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of the trainer."""
    config = _said("trainer_config", trainer_config)
    if wrong := [name for name in OF_TRAIN if name in config]:
        msg = f"Expected {' and '.join(wrong)} as arguments of train; got them in trainer_config. Move them."
        raise ValueError(msg)
    found = config | dict(others)
    if unknown := [name for name in found if name not in TAKEN]:
        msg = f"Expected arguments of train or of scvi.train.Trainer; got {unknown}.{near(unknown[0], TAKEN)}"
        raise TypeError(msg)
    given = found.get("callbacks") or []
    for callback in given if isinstance(given, Sequence) else [given]:
        check_is("callbacks", callback, Callback, advice="Give a list of those of lightning.pytorch.callbacks.")
    return found


def _said(argument: str, config: Config) -> dict[str, Any]:
    """What a mapping holds; of a config of scvi-tools', which holds everything, what is not its default."""
    if config is None or isinstance(config, Mapping):
        return dict(config or {})
    if not hasattr(config, "to_kwargs"):
        msg = f"Expected {argument} as a mapping or a config of scvi-tools; got {config!r}."
        raise TypeError(msg)
    make: Any = type(config) if is_dataclass(config) else None
    default = make().to_kwargs() if make else {}
    every: dict[str, Any] = config.to_kwargs()
    return {name: value for name, value in every.items() if name not in default or value != default[name]}
