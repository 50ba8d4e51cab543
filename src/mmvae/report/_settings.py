"""What was chosen for the model, and what software read it."""

import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

import pandas as pd

from mmvae.model import MultiVAE

from ._blocks import Block, Table

PACKAGES = ("mmvae", "scvi-tools", "torch", "lightning", "anndata", "mudata", "scanpy", "numpy", "scipy", "pandas")


def settings(model: MultiVAE) -> Iterator[Block]:
    """The tables of settings."""
    chosen = dict(model.init_params_["non_kwargs"])
    priors = {latent: _spec(own) for latent, own in chosen.pop("prior").items()}
    by_modality = {name: chosen.pop(name) for name in ("n_latent", "input_dropout", "modality_weights")}
    single = {"fusion": _spec(chosen.pop("fusion"))} | chosen
    yield Table(pd.DataFrame(single.items(), columns=["setting", "value"]), "Arguments that hold for the whole model.")
    frame = pd.DataFrame(by_modality).rename_axis("modality").reset_index()
    yield Table(frame, "Arguments that each modality has of its own.")
    yield Table(pd.DataFrame(priors.items(), columns=["latent", "prior"]), "The prior of each latent.")


def versions(model: MultiVAE) -> Iterator[Block]:
    """The table of versions."""
    found = {package: version(package) for package in PACKAGES}
    found |= {"Python": platform.python_version(), "system": platform.platform(terse=True)}
    caption = "The software that made this page."
    if (trained := model.registry_.get("scvi_version")) not in (None, found["scvi-tools"]):
        caption += f" The data were registered under scvi-tools {trained}."
    yield Table(pd.DataFrame(found.items(), columns=["software", "version"]), caption)


def _spec(spec: Mapping[str, Any]) -> str:
    """Name of a part and its arguments, in one line; widths of latents have a table of their own."""
    arguments = ", ".join(f"{key}={value}" for key, value in spec.items() if key not in ("name", "n_latent"))
    return f"{spec['name']} ({arguments})" if arguments else str(spec["name"])
