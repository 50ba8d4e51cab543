"""Options of scvi-tools' test of differences, as users give them."""

from collections.abc import Iterable, Mapping
from inspect import signature
from typing import Any

from scvi.model.base import DifferentialComputation

from mmvae._checks import COUNT, NOT_NEGATIVE, SHARE_INSIDE, check_numbers, near

# Arguments of scvi-tools' test that are ours under names of their own, or follow from them.
OURS = {"self", "idx1", "idx2", "mode", "batchid1", "batchid2", "use_observed_batches", "delta"}
KNOWN = [name for name in signature(DifferentialComputation.get_bayes_factors).parameters if name not in OURS]
NUMBERS = {
    "n_samples_overall": COUNT,
    "m_permutation": COUNT,
    "pseudocounts": NOT_NEGATIVE,
    "threshold_counts": NOT_NEGATIVE,
}
LEVELS, MODES = "cred_interval_lvls", ("two", "three")


def check_options(options: Mapping[str, Any], others: list[str]) -> None:
    """Refuse, in one ``ValueError``, options that the test does not know or cannot use; ``others`` are faults beside these."""
    faults = [*others, *(_unknown(name) for name in options if name not in KNOWN)]
    if (mode := options.get("test_mode")) not in (None, *MODES):
        faults.append(f"Expected test_mode as one of {list(MODES)}; got {mode!r}.")
    levels = options.get(LEVELS)
    if levels is not None and (isinstance(levels, str) or not isinstance(levels, Iterable)):
        faults.append(f"Expected {LEVELS} as a list of shares; got {levels!r}. Give such as [0.9].")
        levels = None
    given: dict[str, Any] = {name: options.get(name) for name in NUMBERS}
    given |= {} if levels is None else {LEVELS: dict(enumerate(levels))}
    check_numbers(NUMBERS | {LEVELS: SHARE_INSIDE}, faults, **given)


def _unknown(name: str) -> str:
    return f"Expected options of the test among {KNOWN}; got {name!r}.{near(name, KNOWN)}"
