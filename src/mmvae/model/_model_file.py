"""The file of a saved model: entries of scvi-tools', of values that run no code when they are read."""

import os
import pickle
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO, Self
from zipfile import ZipFile

import torch
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint

from mmvae._keys import SCVI_VERSION, SETUP_METHOD

from ._plain import plain, restored

FORMAT = 1
# Names of scvi-tools, and mmvae's own entry.
MODEL_FILE, WEIGHTS, VAR_NAMES, ATTRIBUTES, OWN = "model.pt", "model_state_dict", "var_names", "attr_dict", "mmvae"
PACKAGES = ("mmvae", "scvi-tools", "torch", "anndata", "mudata", "numpy", "pandas")
# What files of mmvae 0.1 hold, named last where others are there.
OLD = ("numpy.", "pandas.", "collections.", "builtins.bytes", "builtins.dict", "builtins.slice")


@dataclass(frozen=True)
class SavedModel:
    """What a file holds: weights, attributes, the versions that wrote it, and a mark of the data saved with it, if any."""

    weights: dict[str, Tensor]
    attributes: dict[str, Any]
    versions: dict[str, str]
    mark: str | None = None

    def write(self, path: Path, var_names: Any) -> None:
        """Write a file that ``torch.load(weights_only=True)`` reads; a ``TypeError`` names what has no plain form."""
        attributes, forms = plain(self.attributes, "the model's attributes")
        names, _ = plain(var_names, "names of features")
        own = {"format": FORMAT, "versions": self.versions, "mark": self.mark, "forms": forms}
        torch.save({WEIGHTS: self.weights, VAR_NAMES: names, ATTRIBUTES: attributes, OWN: own}, path)

    @classmethod
    def read(cls, path: Path, *, trusted: bool = False) -> Self:
        """Read a file; one that may run code is refused unless ``trusted``, and nothing of it is run before.

        Raises
        ------
        ValueError
            If there is no such file, or it is not whole, no model, not trusted, or of a newer format.
        """
        content = _content(path, trusted=trusted)
        if not isinstance(content, dict) or not {WEIGHTS, ATTRIBUTES} <= set(content):
            raise _not_a_model(path, f"one of {_in_short(content)}")
        own = content.get(OWN, {"format": FORMAT, "versions": {}, "mark": None, "forms": []})
        if isinstance(own, dict) and own.get("format") not in range(FORMAT + 1):
            raise _newer(path, own)
        try:
            attributes = restored(content[ATTRIBUTES], own["forms"])
            registry = attributes["registry_"]
            setup, versions = registry[SETUP_METHOD], own["versions"] or {"scvi-tools": registry[SCVI_VERSION]}
            weights = {name: value for name, value in content[WEIGHTS].items() if isinstance(value, Tensor)}
            mark = own["mark"]
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise _not_a_model(path, f"one whose entries are not those of a model ({error})") from error
        if setup not in ("setup_mudata", "setup_anndata"):
            raise _not_a_model(path, f"one that was set up by {setup!r}")
        return cls(weights, attributes, versions, mark)

    def not_finite(self) -> list[str]:
        """Names of the weights that are not finite."""
        return [name for name, value in self.weights.items() if not bool(value.isfinite().all())]


def path_in(folder: str | os.PathLike[str], prefix: str | None, name: str = MODEL_FILE) -> Path:
    """The file of the model, or of another name, in the folder of a saved model."""
    return Path(folder) / f"{prefix or ''}{name}"


def is_saved(attribute: str) -> bool:
    """Whether an attribute of this name is saved, as scvi-tools has it."""
    return attribute.endswith("_") and not attribute.startswith("_")


def in_words(found: Mapping[str, str]) -> str:
    """Versions of packages, in words."""
    return ", ".join(f"{package} {number}" for package, number in found.items())


def versions() -> dict[str, str]:
    """Those of the packages that a file depends on."""
    return {package: version(package) for package in PACKAGES}


def _content(path: Path, *, trusted: bool) -> Any:
    if not path.is_file():
        raise _missing(path)
    with path.open("rb") as file:
        _check_whole(path, file)
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            if not trusted:
                raise _untrusted(path, file) from error
        except Exception as error:  # torch raises anything for an archive that it does not understand
            raise _not_a_model(path, f"one that cannot be read: {error}") from error
        file.seek(0)
        msg = (
            f"'{path}' was read as trusted: it is of mmvae 0.1, or of another program, and such files may run code. Save the "
            "model again: it then loads without trusted=True."
        )
        warnings.warn(msg, UserWarning, stacklevel=4)
        try:
            return torch.load(file, map_location="cpu", weights_only=False)
        except Exception as error:
            msg = (
                f"Expected a model whose objects the versions here can read; got '{path}', of which they cannot: {error}. "
                "Load it with the versions of mmvae, scvi-tools and pandas that saved it, and save it again with this "
                "version of mmvae: such files are read by others, too."
            )
            raise ValueError(msg) from error


def _check_whole(path: Path, file: BinaryIO) -> None:
    try:
        with ZipFile(file) as archive:  # torch compares no checksums
            damaged = archive.testzip()
    except Exception as error:  # which one, is left to where the file is damaged
        raise _not_a_model(path, "one that is cut short, or another kind of file") from error
    if damaged is not None:
        raise _not_a_model(path, f"one of which a part is damaged, '{damaged}'")
    file.seek(0)


def _missing(path: Path) -> ValueError:
    others = sorted(other.name for other in path.parent.glob(f"*{MODEL_FILE}"))
    if others:
        hint = f"The folder has {others}: what stands before '{MODEL_FILE}' is the prefix."
    else:
        hint = "Give the folder that save wrote, which holds it."
    return ValueError(f"Expected a saved model; '{path}' is not there. {hint}")


def _not_a_model(path: Path, got: str) -> ValueError:
    return ValueError(f"Expected the file of a saved model as '{path}'; got {got}. Copy or save the model again.")


def _in_short(content: Any) -> str:
    if isinstance(content, Mapping):
        return f"a dictionary of {[*content][:5]}"
    return f"type {type(content).__name__}"


def _untrusted(path: Path, file: BinaryIO) -> ValueError:
    file.seek(0)
    names: list[str] = []
    with suppress(Exception):  # of a file that is made to be misread
        names = sorted(get_unsafe_globals_in_checkpoint(file), key=lambda name: name.startswith(OLD))
    shown = ", ".join(names[:3] or ["unknown ones"]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return ValueError(
        f"Expected a model whose file holds plain values; got '{path}', which holds objects ({shown}): so do models of "
        "mmvae 0.1 and of other programs, and files that were tampered with. To read them is to run whatever code they "
        "name. If you trust who made the file, load it in Python with trusted=True, and save the model again: it then loads without."
    )


def _newer(path: Path, own: Mapping[str, Any]) -> ValueError:
    return ValueError(
        f"Expected a model of format {FORMAT}, which mmvae {version('mmvae')} reads; '{path}' is of format "
        f"{own.get('format')}, by {in_words(own.get('versions', {}))}. Update mmvae: pip install --upgrade mmvae."
    )
