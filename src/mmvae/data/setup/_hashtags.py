"""Hashtags among the modalities: tags that tell samples apart, and nothing of cells."""

import re

from anndata import AnnData

from ._modality import feature_types

# Of cell hashing (TotalSeq), MULTI-seq and 10x Genomics' CellPlex: names of modalities and types, and of features.
MODALITY = re.compile(r"(?<![a-z])(hto|hash|cmo)|multiplex|cellplex", re.IGNORECASE)
FEATURE = re.compile(r"hto[-_. ]?\w|.*hashtag|cmo[-_ ]?\d", re.IGNORECASE)


def hashtag_notes(name: str, adata: AnnData) -> list[str]:
    """Say so where features of a modality look like hashtags."""
    tags = [feature for feature in adata.var_names if FEATURE.match(feature)]
    types = list(feature_types(adata).index)
    are_all = len(tags) == adata.n_vars or (len(types) == 1 and MODALITY.search(types[0]))
    if are_all or MODALITY.search(name):
        what, leave = f"modality '{name}' looks like hashtags", "leave it out with modalities="
    elif tags:
        what = f"{len(tags)} features of modality '{name}' look like hashtags, such as '{tags[0]}'"
        leave = "leave them out of it"
    else:
        return []
    advice = "Find the sample of each cell by them, such as with scanpy.external.pp.hashsolo, and"
    return [f"{what}, which tell samples apart and nothing of cells. {advice} {leave}."]
