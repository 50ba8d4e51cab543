"""The exceptions that mmvae raises for things a user can mend."""

import signal
from collections.abc import Sequence

from ._printing import printable

# What a shell says of a process that was asked to end.
TERMINATED = 128 + signal.SIGTERM


class SetupError(ValueError):
    """The data cannot be used as they are. ``faults`` lists everything that was found, a sentence each."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = list(faults)
        noun = "fault" if len(self.faults) == 1 else "faults"
        lines = "\n".join(f"  {i}. {printable(fault)}" for i, fault in enumerate(self.faults, 1))
        super().__init__(f"Found {len(self.faults)} {noun} in the data, which are left as they are.\n{lines}")


class TrainingDivergedError(RuntimeError):
    """The loss, a latent or the weights became NaN, infinite or huge. The model holds good weights, as the message says."""
