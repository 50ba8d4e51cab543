"""Whether a modality's values fit its likelihood."""

from anndata import AnnData

from ._result import ModalitySetup
from ._scan import Found, Scan


def value_faults(taken: ModalitySetup, values: str, found: Scan, adata: AnnData) -> list[str]:
    """What ``found`` holds against the ``values`` that the likelihood takes; a sentence each."""
    where = f"modality '{taken.name}', {_place(taken)}"
    wants = f"likelihood '{taken.likelihood_name}' needs {values} values"
    advice = f"Correct them, use layers= to name raw counts, or likelihoods={{'{taken.name}': 'normal'}} for what is no counts."
    if found.nonfinite.n:
        return [
            f"{where}: {found.nonfinite.n} values are NaN or infinite, or beyond single precision, {_examples(found.nonfinite, adata)}. "
            "Absent measurements belong in no row at all: drop those cells from the modality, or the features."
        ]
    faults = []
    if found.negative.n and values != "real":
        faults.append(
            f"{where}: {found.negative.n} values are negative, {_examples(found.negative, adata)}; {wants}. {advice}"
        )
    if found.fractional.n and values in ("counts", "binary"):
        faults.append(
            f"{where}: {found.fractional.n} values are not integers, {_examples(found.fractional, adata)}; {wants}. {advice}"
        )
    if values == "binary" and found.is_counts and found.maximum > 1:
        faults.append(f"{where}: values go up to {found.maximum:g}; {wants} (0 or 1). Use 'poisson', or binarise.")
    return faults


def empty_faults(taken: ModalitySetup, found: Scan) -> list[str]:
    """Nothing but zeros."""
    if found.n_nonzero or taken.n_cells == 0:
        return []
    return [
        f"modality '{taken.name}', {_place(taken)}: every value is 0, in all {taken.n_cells} cells. Use layers= to name what "
        "was measured, or leave the modality out with modalities=."
    ]


def value_notes(taken: ModalitySetup, found: Scan) -> list[str]:
    """What is allowed and worth knowing."""
    notes = _constant_notes(taken, found)
    if found.n_empty and taken.likelihood_name not in ("normal", "student_t"):
        notes.append(
            f"modality '{taken.name}': {found.n_empty} measured cells hold only zeros. They count as measured; drop "
            "them from the modality if the measurement failed."
        )
    if taken.kind == "atac" and taken.likelihood_name == "poisson" and found.looks_like_reads:
        notes.append(
            f"modality '{taken.name}' looks like reads, not fragments: {found.n_odd / found.n_small:.0%} of the counts "
            "up to 4 are odd. Model fragments, about (reads + 1) // 2."
        )
    return notes


def _place(taken: ModalitySetup) -> str:
    return "X" if taken.layer is None else f"layer '{taken.layer}'"


def _constant_notes(taken: ModalitySetup, found: Scan) -> list[str]:
    if found.moments is None or found.nonfinite.n or found.n_nonzero == 0 or taken.n_cells < 2:
        return []
    if (found.moments.statistics().sd > 0).any():
        return []
    return [f"modality '{taken.name}': every feature has the same value in all cells, so it tells nothing of them."]


def _examples(found: Found, adata: AnnData) -> str:
    values = ", ".join(f"{value:g}" for value in found.values)
    return f"such as {values}, in cells such as {', '.join(map(repr, adata.obs_names[found.rows].tolist()))}"
