"""What a modality is: kind from its features and its name, likelihood from its kind and values."""

import re
from typing import Literal

import pandas as pd
from anndata import AnnData

from mmvae._keys import COUNT_LAYERS
from mmvae.data._matrix import is_supported, values_of

from ._scan import Scan, scan

Kind = Literal["rna", "atac", "protein", "spatial", "other"]

# What the features of a matrix are, in the words of 10x Genomics' files.
FEATURE_TYPES = "feature_types"
KINDS: dict[str, Kind] = {"Gene Expression": "rna", "Peaks": "atac", "Antibody Capture": "protein"}
PATTERNS: dict[Kind, str] = {
    "protein": r"prot|adt|cite|antibod|surface|cytof",
    "atac": r"atac|peak|chrom|access|dnase",
    "spatial": r"spatial|neighb|niche|visium",
    "rna": r"rna|gex|gene|transcript|express|umi",
}
# Protein counts take the plain negative binomial provisionally: it was ahead of the mixture with background in single-seed
# trials on two CITE-seq sets, which no committed benchmark repeats yet.
COUNT_LIKELIHOODS: dict[Kind, str] = {"rna": "nb", "atac": "poisson", "protein": "nb", "spatial": "nb", "other": "nb"}


def feature_types(adata: AnnData) -> pd.Series:
    """Number of features of each type that ``var["feature_types"]`` names, most first; empty without such a column."""
    types = adata.var[FEATURE_TYPES] if FEATURE_TYPES in adata.var else pd.Series(dtype=object)
    return types.dropna().astype(str).value_counts()


def kind_of(name: str, adata: AnnData, role: str | None) -> Kind:
    """Kind of a modality: what the user says it is, else what its features are called, else its name."""
    if role in COUNT_LIKELIHOODS:
        return role  # type: ignore[return-value]
    types = feature_types(adata).index
    if len(types) == 1 and types[0] in KINDS:
        return KINDS[types[0]]
    return next((kind for kind, pattern in PATTERNS.items() if re.search(pattern, name.lower())), "other")


def choose_layer(adata: AnnData, *, with_moments: bool = False) -> tuple[str | None, Scan, str]:
    """Layer to model, its scan, and why: X, unless X is not counts and a layer named so is."""
    found = scan(adata.X, with_moments=with_moments)
    if found.is_counts or found.nonfinite.n:
        return None, found, ""
    for layer in COUNT_LAYERS:
        if layer in adata.layers and is_supported(values := values_of(adata, layer)):
            counts = scan(values, with_moments=with_moments)
            if counts.is_counts:
                return layer, counts, f"X is not counts, layer '{layer}' is"
    return None, found, ""


def choose_likelihood(kind: Kind, found: Scan) -> tuple[str, str]:
    """Likelihood for a kind of modality with such values, and why."""
    if found.is_nearly_counts:
        return COUNT_LIKELIHOODS[kind], "all but a few values are counts"
    if not found.is_counts:
        return "normal", "values are not counts"
    if found.maximum <= 1 and kind in ("atac", "other"):
        return "bernoulli", "every value is 0 or 1"
    return COUNT_LIKELIHOODS[kind], f"counts of kind {kind}"
