"""Features of data beside those of a model: in its order, with others, or without some. G features."""

import re

import numpy as np
import pandas as pd
from anndata import AnnData

from ._inspect import duplicates

EXAMPLES = 3
# Share of a model's features: with fewer, its names are likely written in another way; a rewriting that finds more is the one.
FEW, MANY = 0.1, 0.5
ENSEMBL = re.compile(r"ENS[A-Z]*G\d{6,}(\.\d+)?")
VERSION = re.compile(r"\.\d+$")


def as_names(names: pd.Index) -> pd.Index:
    """Names of one type: pandas takes no index of type "string" for the equal of the same names as objects."""
    return names if names.dtype == object else pd.Index(names, dtype=object)


def order_of(got: pd.Index, expected: pd.Index) -> np.ndarray | None:
    """The place in the data of each of the model's features, ``(G,)``; ``None`` where they are its own, in its order."""
    got = as_names(got)
    return None if expected.empty or expected.equals(got) else got.get_indexer(expected)


def changed_features(name: str, got: pd.Index, known: pd.Index) -> list[str]:
    """Whether the features of a modality are not those that were set up."""
    if got.is_(known) or as_names(got).equals(as_names(known)):
        return []
    n_missing, n_new = len(known.difference(got)), len(got.difference(known))
    wrong = f"of {len(known):,} features that were set up {n_missing:,} are missing, and {n_new:,} are new"
    if n_missing + n_new == 0:
        wrong = "features are in another order than they were set up"
    return [f"modality '{name}': {wrong}. Put them back, or set the data up again and train a new model."]


def feature_faults(name: str, adata: AnnData, expected: pd.Index) -> list[str]:
    """What keeps a modality from giving the model's features: names that are missing, or that occur more than once."""
    got = as_names(adata.var_names)
    if expected.empty or expected.equals(got):
        return []
    if not got.is_unique:
        return duplicates(f"var_names of modality '{name}'", got)
    missing = expected[~expected.isin(got)]
    if missing.empty:
        return []
    share = len(missing) / len(expected)
    examples = ", ".join(map(repr, missing[:EXAMPLES]))
    what = f"of the model's {len(expected):,} features {len(missing):,} ({share:.1%}) are missing, such as {examples}"
    advice = _rewriting(adata, expected) if share > 1 - FEW else ""
    advice = advice or "Zeros cannot stand for them. Train the model on the features that both have."
    return [f"modality '{name}': {what}. {advice}"]


def feature_notes(name: str, got: pd.Index, expected: pd.Index) -> list[str]:
    """Which features of a modality are left out, as the model does not know them."""
    extra = as_names(got)[~as_names(got).isin(expected)]
    if expected.empty or extra.empty:
        return []
    examples = ", ".join(map(repr, extra[:EXAMPLES]))
    return [
        f"modality '{name}': {len(extra):,} features that the model does not know are left out, such as {examples}."
    ]


def _rewriting(adata: AnnData, expected: pd.Index) -> str:
    """How the data's names would become the model's, in words, if there is a way."""
    got = as_names(adata.var_names)
    for column in adata.var:
        if expected.isin(adata.var[column].astype(object)).mean() > MANY:
            return f"var['{column}'] holds such names: make it the var_names."
    cases = pd.Index([str(name).casefold() for name in got])
    if pd.Index([str(name).casefold() for name in expected]).isin(cases).mean() > MANY:
        return f"The data's are written in another case, such as '{got[0]}': write them as the model's."
    bare = pd.Index([VERSION.sub("", str(name)) for name in got])
    if pd.Index([VERSION.sub("", str(name)) for name in expected]).isin(bare).mean() > MANY:
        return f"The data's differ by the number of a version, such as '{got[0]}': write them as the model's."
    kinds = [_kind(expected), _kind(got)]
    if kinds[0] != kinds[1]:
        return f"The model's are {kinds[0]}, the data's {kinds[1]}, such as '{got[0]}': translate them."
    return ""


def _kind(names: pd.Index) -> str:
    found = np.mean([ENSEMBL.fullmatch(str(name)) is not None for name in names])
    return "Ensembl identifiers" if found > MANY else "no Ensembl identifiers"
