"""Whether a modality's values fit its likelihood."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anndata import AnnData

    from ._result import ModalitySetup
    from ._scan import Scan


def value_faults(taken: ModalitySetup, values: str, found: Scan, adata: AnnData) -> list[str]:
    """What ``found`` holds against the ``values`` that the likelihood takes; a sentence each."""
    where = f"modality '{taken.name}', {_place(taken)}"
    wants = f"likelihood '{taken.likelihood_name}' needs {values} values"
    if found.n_nonfinite:
        cells = _cells(adata, found.rows_nonfinite)
        return [
            f"{where}: {found.n_nonfinite} values are NaN or infinite, in cells such as {cells}. Absent measurements "
            "belong in no row at all: drop those cells from the modality, or the features."
        ]
    faults = []
    if found.n_negative and values != "real":
        faults.append(
            f"{where}: {found.n_negative} values are negative, in cells such as {_cells(adata, found.rows_negative)}; "
            f"{wants}. Use layers= to name raw counts, or likelihoods={{'{taken.name}': 'normal'}}."
        )
    if found.n_fractional and values in ("counts", "binary"):
        example = ", ".join(f"{f:g}" for f in found.fractions)
        faults.append(
            f"{where}: {found.n_fractional} values are not integers, such as {example}; {wants}. Use layers= to name "
            f"raw counts, or likelihoods={{'{taken.name}': 'normal'}}."
        )
    if values == "binary" and found.is_counts and found.maximum > 1:
        faults.append(f"{where}: values go up to {found.maximum:g}; {wants} (0 or 1). Use 'poisson', or binarise.")
    return faults


def value_notes(taken: ModalitySetup, found: Scan) -> list[str]:
    """What is allowed and worth knowing."""
    notes = []
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


def _cells(adata: AnnData, rows: list[int]) -> str:
    return ", ".join(f"'{name}'" for name in adata.obs_names[rows])
