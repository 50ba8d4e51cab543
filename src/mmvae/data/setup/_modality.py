"""What is taken of each modality, by its kind; whether its values fit its likelihood; and how that is printed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from mmvae._checks import near
from mmvae._errors import SetupError
from mmvae._keys import COUNT_LAYERS
from mmvae._printing import printable
from mmvae.data._access import modalities_of, pattern_names
from mmvae.data._matrix import Matrix, is_supported, values_of
from mmvae.likelihoods import Likelihood

from ._columns import Column, SetupArguments, scale_of
from ._scan import LARGEST_VALUE, Found, Moments, Scan, scan

Kind = Literal["rna", "atac", "protein", "spatial", "other"]

# What the features of a matrix are, in the words of 10x Genomics' files.
FEATURE_TYPES = "feature_types"
WIDEST = 10_000  # characters of a line, far more than any table has
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


@dataclass(frozen=True)
class ModalitySetup:
    """What was taken of one modality, with its features' moments where they were computed on the way."""

    name: str
    kind: Kind
    layer: str | None
    likelihood: Any
    why: str
    n_cells: int
    n_features: int
    moments: Moments | None = field(default=None, compare=False, repr=False)

    @property
    def likelihood_name(self) -> str:
        """Name of the likelihood, however it was given."""
        return self.likelihood["name"] if isinstance(self.likelihood, Mapping) else self.likelihood


@dataclass
class Setup:
    """Result of :func:`inspect`."""

    modalities: list[ModalitySetup] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unlabelled: str = "unknown"
    presence: np.ndarray | None = None

    @property
    def names(self) -> list[str]:
        """Names of the modalities, in the data's order."""
        return [m.name for m in self.modalities]

    def raise_faults(self) -> None:
        """Raise all faults as one :class:`~mmvae.SetupError`, if there are any."""
        if self.faults:
            raise SetupError(self.faults)


def inspect_modality(setup: Setup, name: str, adata: AnnData, arguments: SetupArguments, *, is_query: bool) -> None:
    """Add to ``setup`` what is taken of a modality, what is wrong with its values, and what to watch."""
    kind = kind_of(name, adata, next((role for role, n in (arguments.modalities or {}).items() if n == name), None))
    given: Any = arguments.likelihoods.get(name)
    label = str(given.get("name") if isinstance(given, Mapping) else given)
    # A likelihood of real values needs no counts, so none are looked for.
    as_it_is = label in Likelihood.registry and Likelihood.named(label).values == "real"
    source = _layer_of(name, adata, arguments.layers, as_it_is, with_moments=not is_query)
    if isinstance(source, str):
        setup.faults.append(source)
        return
    layer, found, why = source
    likelihood, reason = (given, "given") if name in arguments.likelihoods else choose_likelihood(kind, found)
    try:
        Likelihood.named(label if name in arguments.likelihoods else likelihood)
    except ValueError as error:
        setup.faults.append(f"modality '{name}': {error}")
        return
    reason = "; ".join(filter(None, [reason, why]))
    taken = ModalitySetup(name, kind, layer, likelihood, reason, adata.n_obs, adata.n_vars, found.moments)
    setup.faults += _value_faults(taken, found, adata)
    if not (is_query or found.n_nonzero or taken.n_cells == 0):
        advice = "Use layers= to name what was measured, or leave the modality out with modalities=."
        what = f"every value is 0, in all {taken.n_cells} cells"
        setup.faults.append(f"modality '{name}', {_place(layer)}: {what}. {advice}")
    setup.notes += _value_notes(taken, found)
    setup.modalities.append(taken)


def feature_type_faults(name: str, adata: AnnData, where: str) -> list[str]:
    """Features of several types in one modality; ``where`` is its place in the user's object."""
    counts = feature_types(adata)
    if len(counts) < 2:
        return []
    shown = ", ".join(f"{n:,} of '{feature_type}'" for feature_type, n in counts.items())
    advice = (
        f"mmvae.pp.split_modalities({where}) makes a modality of each; drop var['{FEATURE_TYPES}'] to model them as one"
    )
    return [f"modality '{name}' mixes feature types: {shown}. {advice}."]


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


def _layer_of(
    name: str, adata: AnnData, layers: Mapping[str, str | None], as_it_is: bool, *, with_moments: bool
) -> tuple[str | None, Scan, str] | str:
    """Layer to model, its scan and why; or a sentence that says what is wrong with it."""
    if name not in layers and is_supported(adata.X) and not as_it_is:
        return choose_layer(adata, with_moments=with_moments)
    layer = layers.get(name)
    if layer is not None and layer not in adata.layers:
        there = (
            f"it has {known}.{near(layer, known)}" if (known := list(filter(None, adata.layers))) else "it has none."
        )
        return f"modality '{name}' has no layer '{layer}'; {there} X is meant by None."
    matrix: Any = values_of(adata, layer)
    if is_supported(matrix):
        return layer, scan(matrix, with_moments=with_moments), ""
    wanted = "expected numbers in a numpy array or a CSR or CSC matrix"
    return f"modality '{name}', {_place(layer)}: {wanted}; got {_got(adata, matrix)}"


def _got(adata: AnnData, matrix: Any) -> str:
    """What there is in place of a matrix of numbers, and what to do."""
    if matrix is not None:
        lazy = hasattr(matrix, "compute")
        advice = "Read it with .compute(), or leave it in a file: mmvae.pp.read_backed." if lazy else "Convert it."
        return f"{type(matrix).__name__} of {getattr(matrix, 'dtype', 'unknown type')}. {advice}"
    if layers := list(filter(None, adata.layers)):
        return f"nothing. Name one of its layers with layers=: {layers}."
    return "nothing. " + ("adata.raw.to_adata() has what raw holds." if adata.raw is not None else "Fill it in.")


def _place(layer: str | None) -> str:
    return "X" if layer is None else f"layer '{layer}'"


def _value_faults(taken: ModalitySetup, found: Scan, adata: AnnData) -> list[str]:
    """What values there are that the likelihood does not take, a sentence each."""
    values = Likelihood.named(taken.likelihood_name).values
    where = f"modality '{taken.name}', {_place(taken.layer)}"
    wants = f"likelihood '{taken.likelihood_name}' needs {'counts' if values == 'counts' else f'{values} values'}"
    normal = f"likelihoods={{'{taken.name}': 'normal'}}"
    advice = f"Correct them, use layers= to name raw counts, or {normal} for what is no counts."
    if found.nonfinite.n:
        what = f"NaN or infinite, or beyond {LARGEST_VALUE:g}, {_examples(found.nonfinite, adata)}"
        advice = "Absent measurements belong in no row at all: drop those cells from the modality, or the features."
        return [f"{where}: {found.nonfinite.n} values are {what}. {advice}"]
    negative = found.negative if values != "real" else Found()
    fractional = found.fractional if values in ("counts", "binary") else Found()
    faults = [
        f"{where}: {each.n} values are {what}, {_examples(each, adata)}; {wants}. {advice}"
        for what, each in (("negative", negative), ("not integers", fractional))
        if each.n
    ]
    if values == "binary" and found.is_counts and found.maximum > 1:
        faults.append(f"{where}: values go up to {found.maximum:g}; {wants} (0 or 1). Use 'poisson', or binarise.")
    return faults


def _examples(found: Found, adata: AnnData) -> str:
    values = ", ".join(f"{value:g}" for value in found.values)
    return f"such as {values}, in cells such as {', '.join(map(repr, adata.obs_names[found.rows].tolist()))}"


def _value_notes(taken: ModalitySetup, found: Scan) -> list[str]:
    """What is allowed and worth knowing."""
    notes, where = [], f"modality '{taken.name}'"
    readable = found.nonfinite.n == 0 and found.n_nonzero > 0 and taken.n_cells > 1
    if found.moments is not None and readable and not (found.moments.statistics().sd > 0).any():
        notes.append(f"{where}: every feature has the same value in all cells, so it tells nothing of them.")
    if found.n_empty and taken.likelihood_name not in ("normal", "student_t"):
        advice = "They count as measured; drop them from the modality if the measurement failed."
        notes.append(f"{where}: {found.n_empty} measured cells hold only zeros. {advice}")
    # Small counts of fragments are not even this often.
    looks_like_reads = found.is_counts and found.n_small > 1000 and found.n_odd < 0.3 * found.n_small
    if taken.kind == "atac" and taken.likelihood_name == "poisson" and looks_like_reads:
        share = f"{found.n_odd / found.n_small:.0%} of the counts up to 4 are odd"
        notes.append(f"{where} looks like reads, not fragments: {share}. Model fragments, about (reads + 1) // 2.")
    return notes


def matrices_of(data: AnnData | MuData, setup: Setup) -> list[Matrix]:
    """Values that were taken of each modality."""
    modalities = modalities_of(data, {name: name for name in setup.names})
    return [values_of(modalities[m.name], m.layer) for m in setup.modalities]


def print_setup(setup: Setup) -> None:
    """Print the modalities, the missing patterns and the notes."""
    assert setup.presence is not None  # only faults leave it out, and those were raised
    table = Table(title=f"MultiVAE: {len(setup.presence):,} cells")
    for title in ("modality", "cells", "features", "layer", "likelihood", "why"):
        justify: Literal["right", "left"] = "right" if title in ("cells", "features") else "left"
        table.add_column(title, justify=justify, no_wrap=title != "why")
    for m in setup.modalities:
        cells = (m.name, f"{m.n_cells:,}", f"{m.n_features:,}", m.layer or "X", m.likelihood_name, m.why)
        table.add_row(*map(_text, cells))
    console = Console()
    # A window too narrow for the table breaks its lines; the table itself would leave out names.
    needed = Measurement.get(console, console.options.update(max_width=WIDEST), table).minimum
    console = Console(width=max(console.width, needed))
    console.print(table)
    patterns, counts = np.unique(pattern_names(setup.presence, setup.names), return_counts=True)
    shown = ", ".join(f"{patterns[i]}: {counts[i]:,}" for i in np.argsort(-counts)[:8])
    console.print(_text(f"Cells by what they have: {shown}"))
    for column in setup.columns:
        console.print(_text(_column_line(column)))
    for note in setup.notes:
        console.print(_text(f"Note: {note}", style="yellow"))


def _text(words: str, style: str = "") -> Text:
    """Text that is shown as it is: names may look like rich's markup, its names of emojis, or codes of a terminal."""
    return Text(printable(words), style=style)


def _column_line(column: Column) -> str:
    what = column.role.replace("_", " ") + (f" of {column.detail}" if column.detail else "")
    line = f"{what.capitalize()}: '{column.key}'"
    if column.role == "continuous":
        mean, sd = scale_of(column.values)
        return f"{line}, standardised: mean {mean:.4g}, standard deviation {sd:.4g}"
    return line if column.role == "size_factor" else f"{line}, {column.values.nunique()} categories"
