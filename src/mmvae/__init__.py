"""Multi-encoder variational autoencoder with a learned prior for each modality."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import datasets, fusion, likelihoods, pl, pp, priors, tl
    from ._errors import SetupError, TrainingDivergedError
    from .model import Diagnosis, MosaicDataModule, MultiVAE

__all__ = ["Diagnosis", "MosaicDataModule", "MultiVAE", "SetupError", "TrainingDivergedError"]
__all__ += ["datasets", "fusion", "likelihoods", "pl", "pp", "priors", "tl"]

__version__ = version("mmvae")

_CLASSES = dict.fromkeys(("Diagnosis", "MosaicDataModule", "MultiVAE"), ".model")
_CLASSES |= dict.fromkeys(("SetupError", "TrainingDivergedError"), "._errors")


def __getattr__(name: str) -> Any:
    """Import on first use: torch and scvi-tools take seconds to load, which ``mmvae --help`` need not wait for."""
    if name in _CLASSES:
        return getattr(import_module(_CLASSES[name], __name__), name)
    if name in __all__:
        return import_module(f".{name}", __name__)
    msg = f"module '{__name__}' has no attribute '{name}'"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
