"""What a modality is: kind from its name, likelihood from its kind and values."""

import re

from anndata import AnnData

from mmvae._keys import COUNT_LAYERS
from mmvae.data._matrix import values_of

from ._feature_types import KINDS, Kind, feature_types
from ._scan import Scan, scan

PATTERNS: dict[Kind, str] = {
    "protein": r"prot|adt|cite|antibod|surface|cytof",
    "atac": r"atac|peak|chrom|access|dnase",
    "spatial": r"spatial|neighb|niche|visium",
    "rna": r"rna|gex|gene|transcript|express|umi",
}
# Protein counts take the plain negative binomial provisionally: it was ahead of the mixture with background in single-seed
# trials on two CITE-seq sets, which no committed benchmark repeats yet.
COUNT_LIKELIHOODS: dict[Kind, str] = {
    "rna": "nb",
    "atac": "poisson",
    "protein": "nb",
    "spatial": "nb",
    "other": "nb",
}


def kind_of(name: str, adata: AnnData, role: str | None) -> Kind:
    """Kind of a modality: what the user says it is, else what its features are called, else its name."""
    if role in COUNT_LIKELIHOODS:
        return role  # type: ignore[return-value]
    types = feature_types(adata).index
    if len(types) == 1 and (kind := KINDS.get(types[0])) is not None:
        return kind
    return next((kind for kind, pattern in PATTERNS.items() if re.search(pattern, name.lower())), "other")


def choose_layer(adata: AnnData, *, with_moments: bool = False) -> tuple[str | None, Scan, str]:
    """Layer to model, its scan, and why: X, unless X is not counts and a layer named so is."""
    found = scan(adata.X, with_moments=with_moments)
    if found.is_counts or found.nonfinite.n:
        return None, found, ""
    for layer in COUNT_LAYERS:
        if layer in adata.layers and (counts := scan(values_of(adata, layer), with_moments=with_moments)).is_counts:
            return layer, counts, f"X is not counts, layer '{layer}' is"
    return None, found, ""


def choose_likelihood(kind: Kind, found: Scan) -> tuple[str, str]:
    """Likelihood for a kind of modality with such values, and why."""
    if found.is_nearly_counts:
        return COUNT_LIKELIHOODS[kind], "all but a few values are counts"
    if not found.is_counts:
        return "normal", "values are not counts"
    if found.is_binary and kind in ("atac", "other"):
        return "bernoulli", "every value is 0 or 1"
    return COUNT_LIKELIHOODS[kind], f"counts of kind {kind}"
