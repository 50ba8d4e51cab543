"""The methods that are compared, by name, and which tasks and seeds they take."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from .tasks import TASKS

if TYPE_CHECKING:
    from .outcome import Method


class Entry(NamedTuple):
    """Where a method's function is, what to load before memory is measured, the tasks, and whether seeds matter."""

    function: str
    imports: tuple[str, ...]
    packages: tuple[str, ...]
    tasks: tuple[str, ...] = TASKS
    seeded: bool = True

    def load(self) -> Method:
        """The function, with everything that it imports."""
        for name in self.imports:
            import_module(name)
        module, function = self.function.split(":")
        return getattr(import_module(f"{__package__}.{module}"), function)


_SCVI = ("scvi", "scvi.model")
_TORCH = ("scvi-tools", "torch")
WHOLE = ("complete",)
METHODS = {
    "mmvae": Entry("method_mmvae:run_mmvae", ("mmvae",), ("mmvae", *_TORCH)),
    "pca": Entry("method_linear:run_pca", (), ("scikit-learn",), seeded=False),
    "wnn": Entry("method_linear:run_wnn", ("muon",), ("muon",), tasks=WHOLE, seeded=False),
    "mofa": Entry("method_linear:run_mofa", ("mofapy2.run.entry_point",), ("mofapy2",)),
    "scvi": Entry("method_scvi:run_scvi", _SCVI, _TORCH, tasks=WHOLE),
    "totalvi": Entry("method_scvi:run_totalvi", _SCVI, _TORCH, tasks=WHOLE),
    "multivi": Entry("method_scvi:run_multivi", _SCVI, _TORCH),
    "multigrate": Entry("method_multigrate:run_multigrate", ("multigrate", "muon"), ("multigrate", *_TORCH)),
}
