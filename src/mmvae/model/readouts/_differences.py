"""scvi-tools' tests of differences between groups of cells. C cells, G features, R samples."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scvi.utils import track

from mmvae._checks import NOT_NEGATIVE, SHARE, number_faults
from mmvae._compat import de_core
from mmvae.train import seeded

from ._group_means import GroupSampler, MeasuredSums, Rates
from ._groups import FEWEST_CELLS, GROUP, Compared, Groups, Pair, warn_of_batches
from ._options import check_options

# Where a feature would have fewer counts than this in the whole of the smaller group, its fold change fades.
FEWEST_COUNTS = 10
# Samples of a group, the fewer the more features there are, so that all of them are not more values than this.
SAMPLES, MOST_VALUES = (500, 5_000), 20_000_000
# Standard deviations below its mean that a change is almost sure to exceed.
SURE = 2.0
KNOWN = {"mode": ("change", "vanilla"), "compare": ("means", "cells"), "weights": ("uniform", None)}


@dataclass(frozen=True)
class Settings:
    """How groups are compared; ``options`` are those of scvi-tools' ``DifferentialComputation.get_bayes_factors``.

    ``representation`` gives the latents of cells, by their numbers, from which outliers are told, if they are to be left out.
    """

    mode: str
    delta: float | None
    fdr_target: float
    all_stats: bool
    batch_correction: bool
    batches: tuple[Any, Any]
    silent: bool
    compare: str
    options: dict[str, Any]
    two_sided: bool = True
    weights: str | None = "uniform"
    representation: Callable[[np.ndarray], np.ndarray] | None = None

    @property
    def given(self) -> dict[str, Any]:
        """The options that the user did not leave to us, and which changes count, if not those of both directions."""
        own = {} if self.two_sided or self.delta is None else {"m1_domain_fn": partial(_above, self.delta)}
        return own | {name: value for name, value in self.options.items() if value is not None}

    def __post_init__(self) -> None:
        faults = [
            f"Expected {name} as one of {list(known)}; got {getattr(self, name)!r}."
            for name, known in KNOWN.items()
            if getattr(self, name) not in known
        ]
        if self.batches != (None, None) and not self.batch_correction:
            faults.append("Expected batchid1 and batchid2 together with batch_correction=True; got them without.")
        if self.delta is None and not self.two_sided:
            faults.append(
                "Expected delta as a number together with two_sided=False; got None. Give delta, or two_sided=True."
            )
        faults += number_faults(
            {"delta": NOT_NEGATIVE, "fdr_target": SHARE}, delta=self.delta, fdr_target=self.fdr_target
        )
        check_options(self.options, faults)


def tested(sampler: GroupSampler, cells: Compared, groups: Groups, settings: Settings) -> pd.DataFrame:
    """Results of all comparisons, one after the other, in the columns of scvi-tools."""
    asked = [(part, pair) for part in cells.parts() for pair in groups.pairs(cells.names)]
    kept = [(part, pair) for part, pair in asked if _n_cells(part, pair) >= FEWEST_CELLS]
    _tell_of_small_groups([_title(*each) for each in asked if each not in kept], n_kept=len(kept))
    if not settings.batch_correction:
        cells.check_own_batches()
        warn_of_batches({_title(part, pair): part.unevenness(*pair) for part, pair in kept})
    elif None in settings.batches:
        cells.check_measured(sampler.quantity.modality)
    found: list[pd.DataFrame] = []
    sums: dict[str, MeasuredSums] = {}
    with seeded(0):
        for part, pair in track(kept, description="Comparing groups", disable=settings.silent):
            if settings.all_stats and part.stratum not in sums:
                sums = {part.stratum: MeasuredSums(sampler, part.numbers, part.group_codes)}
            result = _compared(sampler, part, pair, settings, sums.get(part.stratum))
            found.append(result if groups.within is None else result.assign(**{groups.within: part.stratum}))
    together = pd.concat(found)
    return together if groups.is_named else together.drop(columns=["comparison", "group1", "group2"])


def _compared(
    sampler: GroupSampler, part: Compared, pair: Pair, settings: Settings, sums: MeasuredSums | None
) -> pd.DataFrame:
    """Result of one comparison."""
    sample, represent = getattr(sampler, settings.compare), settings.representation
    result = de_core(
        part,
        lambda _, indices, transform_batch, n_samples_overall: sample(
            part.numbers[indices], transform_batch, n_samples_overall
        ),
        None if represent is None else lambda _, indices: represent(part.numbers[indices]),
        groupby=GROUP,
        group1=pair[0],
        group2=pair[1],
        idx1=None,
        idx2=None,
        all_stats=True,
        all_stats_fn=lambda _, *masks: _statistics(sums, [part.group_codes[mask] for mask in masks]),
        col_names=sampler.features,
        mode=settings.mode,
        batchid1=settings.batches[0],
        batchid2=settings.batches[1],
        delta=settings.delta,
        batch_correction=settings.batch_correction,
        fdr=settings.fdr_target,
        silent=True,
        **_options(sampler.quantity, _n_cells(part, pair)) | settings.given,
    )
    return _in_order(result, sampler.quantity, settings) if settings.mode == "change" else result


def _options(quantity: Rates, n_cells: int) -> dict[str, Any]:
    """What scvi-tools' test is given where the user says nothing, ``n_cells`` being those of the smaller group."""
    n_samples = int(np.clip(MOST_VALUES // quantity.n_features, *SAMPLES))
    if quantity.is_positive:
        return {"n_samples_overall": n_samples, "pseudocounts": FEWEST_COUNTS / (n_cells * quantity.depth)}
    return {
        "n_samples_overall": n_samples,
        "pseudocounts": 0.0,
        "change_fn": lambda first, second, pseudocounts: (first - second) / quantity.unit,
    }


def _in_order(result: pd.DataFrame, quantity: Rates, settings: Settings) -> pd.DataFrame:
    """Features that differ first, and of them those of which a large change is sure and that are much expressed.

    Probabilities do not tell them apart, most of which are 1.
    """
    sure = result["lfc_mean"].abs() - SURE * result["lfc_std"]
    if quantity.is_positive:
        sure *= np.log1p(result[["scale1", "scale2"]].max(axis=1) * quantity.shown)
    else:
        result = result.drop(columns="pseudocounts").rename(columns=lambda n: n.replace("lfc_", "difference_"))
    called = result[f"is_de_fdr_{settings.fdr_target}"].to_numpy()
    first = np.where(called, sure, result["proba_de"])
    return result.iloc[np.lexsort((-first, ~called))]


def _above(delta: float, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which changes are increases, and none that are decreases, in the form of scvi-tools' ``m1_domain_fn``."""
    return samples >= delta, np.zeros_like(samples, dtype=bool)


def _statistics(sums: MeasuredSums | None, codes: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Statistics of both groups, by scvi-tools' names; none without ``sums``."""
    if sums is None:
        return {}
    both = [sums.of(np.unique(own)) for own in codes]
    return {f"{name}{number}": own[name] for name in both[0] for number, own in enumerate(both, 1)}


def _n_cells(part: Compared, pair: Pair) -> int:
    """Cells of the smaller group."""
    return int(min(mask.sum() for mask in part.masks(*pair)))


def _title(part: Compared, pair: Pair) -> str:
    first, second = pair
    words = f"'{first}' against {'the rest' if second is None else repr(second)}"
    return f"{words} in '{part.stratum}'" if part.stratum else words


def _tell_of_small_groups(titles: list[str], *, n_kept: int) -> None:
    """Warn of comparisons that are left out as there are too few cells; raise if none is left."""
    if not titles and n_kept:
        return
    few = f"fewer than {FEWEST_CELLS} cells in a group that have the modality"
    if not n_kept:
        msg = f"Expected groups of at least {FEWEST_CELLS} cells; got {few}: {', '.join(titles) or 'no comparison'}."
        raise ValueError(msg)
    warnings.warn(
        f"{len(titles)} comparisons are left out, with {few}: {', '.join(titles)}.", UserWarning, stacklevel=5
    )
