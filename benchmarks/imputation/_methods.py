"""The methods by name, and which targets they take."""

from __future__ import annotations

from typing import NamedTuple

PROTEIN, ATAC = "protein", "atac"


class Entry(NamedTuple):
    """Where a method's function is, what its numbers hang on, and what it predicts."""

    function: str
    packages: tuple[str, ...] = ("scikit-learn",)
    targets: tuple[str, ...] = (PROTEIN, ATAC)


_TORCH = ("scvi-tools", "torch")
METHODS = {
    "mmvae": Entry("_models:mmvae", ("mmvae", *_TORCH)),
    "ridge": Entry("_linear:ridge"),
    "neighbors": Entry("_linear:neighbors"),
    "types": Entry("_linear:types"),
    "totalvi": Entry("_models:totalvi", _TORCH, (PROTEIN,)),
    "multivi": Entry("_models:multivi", _TORCH, (ATAC,)),
    "multivi_fast": Entry("_models:multivi_fast", _TORCH, (ATAC,)),
}
