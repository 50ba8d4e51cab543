"""Every public name is documented."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

import mmvae

API = (Path(__file__).parents[1] / "docs" / "api.md").read_text()
NAMES = [
    f"{module}.{name}".removeprefix(".")
    for module in ("", "datasets", "fusion", "likelihoods", "pl", "pp", "priors", "tl")
    for name in (mmvae.__all__ if module == "" else import_module(f"mmvae.{module}").__all__)
    if not (module == "" and name in {"datasets", "fusion", "likelihoods", "pl", "pp", "priors", "tl"})
]


@pytest.mark.parametrize("name", NAMES)
def test_name_is_in_the_api_page(name):
    assert f"{name}\n" in API


@pytest.mark.parametrize("name", NAMES)
def test_name_has_a_docstring(name):
    found = mmvae
    for part in name.split("."):
        found = getattr(found, part)
    assert found.__doc__
