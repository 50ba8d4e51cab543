"""How far a training is, and how it ends, on the screen and in logs."""

import io
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ProgressBar
from tqdm.auto import tqdm

LINES = 10  # of a whole training, in a log
VERSION = "v_num"  # Lightning's number of the logger's version


class Progress(ProgressBar):
    """A bar of epochs on stderr where that is a terminal or in a notebook, else a line on each tenth of the epochs."""

    def __init__(self) -> None:
        super().__init__()
        self.bar: Any = None
        self.is_shown, self.said = True, 0

    def disable(self) -> None:
        """Show nothing, as all processes but one."""
        self.is_shown = False

    def enable(self) -> None:
        """Show it."""
        self.is_shown = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the bar, at the epoch from which training goes on."""
        if self.is_shown and (sys.stderr.isatty() or "ipykernel" in sys.modules):
            self.bar = tqdm(total=trainer.max_epochs, initial=trainer.current_epoch, desc="Training")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Move the bar on, or write a line if a tenth is done."""
        epoch, epochs = trainer.current_epoch + 1, trainer.max_epochs or 1
        if self.bar is not None:
            self.bar.set_description(f"Epoch {epoch}/{epochs}", refresh=False)
            self.bar.set_postfix(self._values(trainer, pl_module), refresh=False)
            self.bar.update()
        elif epoch == epochs or epoch % max(1, epochs // LINES) == 0:
            self._write(trainer, pl_module, epoch)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the bar as it is, or write the last line of a training that has stopped early."""
        self._close()
        if self.said != trainer.current_epoch:
            self._write(trainer, pl_module, trainer.current_epoch)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave the bar as it is."""
        self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.said = self.bar.n
            self.bar.close()
            self.bar = None

    def _write(self, trainer: Trainer, pl_module: LightningModule, epoch: int) -> None:
        self.said = epoch
        if self.is_shown:
            values = ", ".join(f"{name} {value:.4g}" for name, value in self._values(trainer, pl_module).items())
            print(f"Epoch {epoch}/{trainer.max_epochs}: {values}", file=sys.stderr)

    def _values(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        metrics = self.get_metrics(trainer, pl_module)
        return {name: value for name, value in metrics.items() if name != VERSION}


def show_progress(options: dict[str, Any]) -> None:
    """Put a :class:`Progress` into the trainer's options where scvi-tools would draw its own bar, on stdout."""
    own = options.get("simple_progress_bar", True) and options.get("progress_bar_refresh_rate", 1)
    given = any(isinstance(callback, ProgressBar) for callback in options["callbacks"])
    if options.get("enable_progress_bar", True) and own and not given:
        options["simple_progress_bar"] = False
        options["callbacks"].append(Progress())


@contextmanager
def without_last_words(callbacks: list[Callback]) -> Iterator[None]:
    """Keep from stdout what scvi-tools prints of the exception that ends a training, as it is raised all the same."""
    with ExitStack() as stack:
        callbacks.append(_Hush(stack))
        yield


class _Hush(Callback):
    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.stack.enter_context(redirect_stdout(io.StringIO()))
