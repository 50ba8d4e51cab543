"""What a training starts from, what it keeps, and where it is saved."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from ._checkpoint import FILE, Identity, differences, read_checkpoint
from ._keep import KeepWeights

# By what name a training says which weights it began with, and what it says of those of a new model.
OF_WEIGHTS, NEW = "the model before", "not trained"


@dataclass(frozen=True)
class Course:
    """How a training goes about what was there before; arguments are those of ``train``.

    ``saved`` is what ``resume_from`` holds; ``folder`` is where to save, that of ``resume_from`` unless another is given.
    """

    from_scratch: bool = False
    keep_better: bool = True
    folder: Path | None = None
    every: int = 1
    resume_from: Path | None = None
    saved: dict[str, Any] | None = None

    @classmethod
    def of(
        cls,
        checkpoint: str | os.PathLike[str] | None,
        resume_from: str | os.PathLike[str] | None,
        *,
        from_scratch: bool,
        keep_better: bool,
        every: int,
    ) -> Self:
        """Of arguments of ``train``; reads what was saved, and makes the folder to save in."""
        source = None if resume_from is None else Path(resume_from)
        if source is not None and from_scratch:
            msg = "Expected from_scratch=True or resume_from=; got both. Leave one of them out."
            raise ValueError(msg)
        folder = source if checkpoint is None else Path(checkpoint)
        is_same = source is not None and folder is not None and folder.resolve() == source.resolve()
        # Who gives the same folder twice begins there what later processes go on with.
        begins = source is None or (is_same and checkpoint is not None and not (source / FILE).exists())
        saved = None if source is None or begins else read_checkpoint(source)
        if folder is not None:
            _make(folder, is_resumed=is_same)
        return cls(from_scratch, keep_better, folder, every, source, saved)

    @property
    def starts_anew(self) -> bool:
        """Whether it is a first training whatever the model is."""
        return self.from_scratch or (self.saved is not None and self.saved["begun"][OF_WEIGHTS] == NEW)

    def check(self, begun: Identity) -> None:
        """Refuse to go on from what was begun with something else than this, with all that differs in one ``ValueError``."""
        if self.saved is None or not (found := differences(self.saved["begun"], begun)):
            return
        msg = (
            f"Expected the model, data and arguments that the training in '{self.resume_from}' was begun with; got others: "
            f"{'; '.join(found)}. Give the same, or leave out resume_from. A training of a trained model goes on from the "
            "model as it was before."
        )
        raise ValueError(msg)

    @property
    def n_validated(self) -> int:
        """How many epochs were validated before those to come."""
        return 0 if self.saved is None else len(self.saved["callbacks"][KeepWeights.__qualname__]["objectives"])

    def advice(self) -> str:
        """How to go on, where something was saved."""
        is_saved = self.folder is not None and (self.folder / FILE).exists()
        return f" train(resume_from='{self.folder}') goes on from what was saved." if is_saved else ""

    def notes(self) -> list[str]:
        """A sentence if there is nothing to go on with."""
        if self.saved is None or not self.saved["has_ended"]:
            return []
        n_epochs = self.saved["epoch"]
        return [
            f"The training in '{self.resume_from}' had ended, after {n_epochs} epochs; the model is what it led to."
        ]


def _make(folder: Path, *, is_resumed: bool) -> None:
    """Make a folder to save in, and refuse one that cannot be written to or holds another training."""
    if (folder / FILE).exists() and not is_resumed:
        msg = (
            f"Expected a folder without a saved training as checkpoint; got '{folder}', which holds one. Go on with it by "
            "resume_from, or remove it."
        )
        raise FileExistsError(msg)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"Expected a folder to save the training in; got '{folder}', which cannot be made: {error}."
        raise type(error)(msg) from error
    if not os.access(folder, os.W_OK):
        msg = f"Expected a folder to save the training in; got '{folder}', which cannot be written to."
        raise PermissionError(msg)
