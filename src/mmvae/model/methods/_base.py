"""What the groups of public methods stand on."""

from typing import Any

from mmvae.model._reader import Reader


class Readouts:
    """Methods that read cells through the model."""

    def _reader(self) -> Reader:
        model: Any = self
        return Reader(model)
