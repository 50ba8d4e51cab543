"""A training on disk: what it was before an epoch, whole or not at all, for another process to go on from."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from mmvae._files import replacing

from ._surroundings import random_states, set_random_states

FILE, FORMAT = "training.ckpt", 1
MEMORY = ("mean", "variance", "seen")  # of a graph of cells
PLAIN = str | bool | int | float | None
Identity = Mapping[str, str]
"""What a training was begun with, in words, by name."""


class Checkpoint(Callback):
    """Saves the training before every ``every``-th epoch and at its end; starts from ``saved``, if that is given.

    Parameters
    ----------
    module
        What is trained.
    folder
        Where to save; ``None`` saves nothing.
    begun
        What the training was begun with, in words, by name.
    saved
        What :func:`read_checkpoint` found.
    """

    def __init__(
        self, module: nn.Module, folder: Path | None, every: int, begun: Identity, saved: Mapping[str, Any] | None
    ) -> None:
        self.module, self.folder, self.every, self.begun, self.saved = module, folder, every, begun, saved
        self.epoch = 0 if saved is None else int(saved["epoch"])  # that is on disk
        self.stamp, self.fails = self._stamp(), False

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Go on from what was saved."""
        if self.saved is not None:
            pl_module.attach_graphs()
            _restore(self.saved, trainer, self.module)
        self.saved = None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Save all that the epoch starts from."""
        if trainer.current_epoch > self.epoch and trainer.current_epoch % self.every == 0:
            self._save(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Save the end, which a process that finds it need not train for."""
        if trainer.current_epoch > self.epoch:
            self._save(trainer, pl_module, has_ended=True)

    def _save(self, trainer: Trainer, pl_module: Any, *, has_ended: bool = False) -> None:
        if self.folder is None or not trainer.is_global_zero:
            return
        pl_module.attach_graphs()
        state = {"format": FORMAT, "has_ended": has_ended, "begun": self.begun, **_state(trainer, self.module)}
        try:
            if self._stamp() not in (None, self.stamp):
                msg = "another process has saved a training there"
                raise FileExistsError(msg)
            with replacing(self.folder / FILE) as part:
                torch.save(state, part)
        except (OSError, RuntimeError) as error:  # of a full disk torch makes a RuntimeError
            if not self.fails:
                reason = str(getattr(error, "strerror", None) or error).rstrip(".")
                msg = f"The training cannot be saved in '{self.folder}' and goes on unsaved: {reason}."
                warnings.warn(msg, UserWarning, stacklevel=2)
            self.fails = True
        else:
            self.epoch, self.stamp, self.fails = trainer.current_epoch, self._stamp(), False

    def _stamp(self) -> tuple[int, int] | None:
        """What tells the file that is there from one that another process wrote."""
        path = None if self.folder is None else self.folder / FILE
        if path is None or not path.exists():
            return None
        found = path.stat()
        return found.st_ino, found.st_mtime_ns


def read_checkpoint(folder: Path) -> dict[str, Any]:
    """What :class:`Checkpoint` saved in ``folder``; no code of the file is run.

    Raises ``FileNotFoundError`` if there is nothing, ``ValueError`` if it is something else or only a part of it.
    """
    path = folder / FILE
    if not path.is_file():
        msg = (
            f"Expected a folder that train(checkpoint=...) wrote; got '{folder}', which has no {FILE}. Check the name."
        )
        raise FileNotFoundError(msg)
    try:
        with ZipFile(path) as archive:  # torch compares no checksums
            damaged = archive.testzip()
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # which one, is left to how the file is broken
        msg = f"'{path}' cannot be read: it is not a saved training, or a part of one. Train without resume_from."
        raise ValueError(msg) from error
    if damaged is not None:
        msg = f"'{path}' is damaged: the checksum of '{damaged}' is wrong. Train without resume_from."
        raise ValueError(msg)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        msg = f"'{path}' is not a saved training, or one of another version of mmvae. Train without resume_from."
        raise ValueError(msg)
    return found


def differences(begun: Identity, now: Identity) -> list[str]:
    """What a training that is to be gone on with was begun with and is not given now, in words."""
    names = dict.fromkeys([*begun, *now])
    return [
        f"{name} is {now.get(name, 'not given')}, it was {begun.get(name, 'not given')}"
        for name in names
        if begun.get(name) != now.get(name)
    ]


def _state(trainer: Any, module: nn.Module) -> dict[str, Any]:
    """All that the next epoch depends on, as tensors, numbers, texts, and lists and dictionaries of these."""
    loop = trainer.fit_loop.epoch_loop
    return {
        "epoch": trainer.current_epoch,
        "stops": trainer.should_stop,
        "weights": dict(module.state_dict()),
        "memories": {name: [getattr(graph, part) for part in MEMORY] for name, graph in _graphs(module).items()},
        "optimizers": [optimizer.state_dict() for optimizer in trainer.optimizers],
        "schedulers": [config.scheduler.state_dict() for config in trainer.lr_scheduler_configs],
        "precision": trainer.precision_plugin.state_dict(),
        "steps": loop.automatic_optimization.optim_progress.state_dict(),
        "loop": loop.on_save_checkpoint(),
        "callbacks": _states_of_callbacks(trainer),
        "history": _history(trainer),
        "random": random_states(),
    }


def _restore(saved: Mapping[str, Any], trainer: Any, module: nn.Module) -> None:
    loop, epoch = trainer.fit_loop.epoch_loop, saved["epoch"]
    module.load_state_dict(saved["weights"])
    for name, graph in _graphs(module).items():
        for part, value in zip(MEMORY, saved["memories"][name], strict=True):
            setattr(graph, part, value.to(graph.weights.device))
    for optimizer, state in zip(trainer.optimizers, saved["optimizers"], strict=True):
        optimizer.load_state_dict(state)
    for config, state in zip(trainer.lr_scheduler_configs, saved["schedulers"], strict=True):
        config.scheduler.load_state_dict(state)
    trainer.precision_plugin.load_state_dict(saved["precision"])
    loop.automatic_optimization.optim_progress.load_state_dict(saved["steps"])
    loop.on_load_checkpoint(saved["loop"])
    # Not as Lightning resumes, who would go on within an epoch, and draw other random numbers.
    progress = trainer.fit_loop.epoch_progress
    for counter in (progress.current, progress.total):
        counter.ready = counter.started = counter.processed = counter.completed = epoch
    trainer.should_stop = saved["stops"]
    for callback in trainer.callbacks:
        if state := saved["callbacks"].get(callback.state_key):
            callback.load_state_dict(state)
    for name, rows in saved["history"].items():
        for at, value in zip(rows["at"], rows["values"], strict=True):
            trainer.logger.log_metrics({name: value, rows["by"]: at}, at)
    set_random_states(saved["random"])
    if trainer.global_rank:  # noise of its own, as at the start
        torch.manual_seed(torch.initial_seed() + trainer.global_rank + epoch)


def _graphs(module: Any) -> dict[str, Any]:
    """By latent, the graph with a memory of its cells' posteriors, where there is one."""
    return {name: prior.graph for name, prior in module.priors.items() if prior.graph is not None}


def _states_of_callbacks(trainer: Any) -> dict[str, Any]:
    """Of those that have one that can be read without running code; a user's other ones start anew."""
    states = {callback.state_key: callback.state_dict() for callback in trainer.callbacks}
    return {key: state for key, state in states.items() if state and _is_plain(state)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_plain(part) for pair in value.items() for part in pair)
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return isinstance(value, PLAIN | Tensor) and not isinstance(value, np.generic)


def _history(trainer: Any) -> dict[str, Any]:
    """What scvi-tools' logger has written down; others keep it themselves."""
    return {
        name: {"by": rows.index.name, "at": rows.index.tolist(), "values": rows[name].tolist()}
        for name, rows in (getattr(trainer.logger, "history", None) or {}).items()
    }
