"""A model as it was before a training."""

import copy
from typing import Any

from ._divergence import weights_of


class Snapshot:
    """Attributes and weights of a model; ``model`` has them as attributes and its network as ``module``."""

    def __init__(self, model: Any) -> None:
        # Histories are extended in place.
        self.attributes = {n: copy.copy(v) if isinstance(v, dict) else v for n, v in vars(model).items()}
        first = next(model.module.parameters())
        self.device, self.dtype = first.device, first.dtype
        self.weights = weights_of(model.module)

    @property
    def history(self) -> dict[str, Any]:
        """By metric, a row for each epoch of earlier trainings."""
        return (self.attributes["history_"] or {}) if self.attributes["is_trained_"] else {}

    def since(self, history: dict[str, Any] | None) -> dict[str, Any]:
        """What ``history``, which continues the model's, has of epochs since."""
        return {name: rows.iloc[len(self.history.get(name, ())) :] for name, rows in (history or {}).items()}

    def restore(self, model: Any) -> None:
        """Make ``model`` what it was."""
        vars(model).clear()
        vars(model).update(self.attributes)
        self.load(model.module, self.weights)
        model.module.to(self.device)

    def load(self, module: Any, weights: dict[str, Any]) -> None:
        """Give ``module`` weights, in the precision of before, for reading."""
        module.to(self.dtype)
        module.load_state_dict(weights)
        module.eval()
