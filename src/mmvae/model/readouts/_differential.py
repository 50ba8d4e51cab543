"""What differs between groups of cells: expression, accessibility, proteins."""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from mmvae._checks import check_numbers
from mmvae.model._data import Data, DataAccess
from mmvae.model._reader import Reader, has_values

from ._differences import Settings, tested
from ._group_means import Detection, GroupSampler, Rates
from ._groups import Compared, Groups
from ._regions import region_faults, region_modality

# Columns of scvi-tools' differential accessibility, and where they come from.
OF_PEAKS = {"proba_de": "prob_da", "proba_m1": "prob_da", "scale1": "est_prob1", "scale2": "est_prob2"}
OF_PEAKS |= {f"non_zeros_proportion{n}": f"emp_prob{n}" for n in (1, 2)}
COLUMNS = ["prob_da", "is_da_fdr", "bayes_factor", "effect_size", "emp_effect"]
COLUMNS += ["est_prob1", "est_prob2", "emp_prob1", "emp_prob2"]


class DifferentialMethods(DataAccess):
    """Tests of differences between groups of cells. Differential abundance is scvi-tools' own."""

    def differential_expression(
        self,
        adata: Data | None = None,
        groupby: str | None = None,
        group1: str | Iterable[str] | None = None,
        group2: str | Iterable[str] | None = None,
        idx1: Any = None,
        idx2: Any = None,
        mode: Literal["vanilla", "change"] = "change",
        delta: float | None = 0.25,
        batch_size: int | None = None,
        all_stats: bool = True,
        batch_correction: bool = False,
        batchid1: Iterable[str] | None = None,
        batchid2: Iterable[str] | None = None,
        fdr_target: float = 0.05,
        silent: bool = False,
        weights: Literal["uniform"] | None = "uniform",
        filter_outlier_cells: bool = False,
        importance_weighting_kwargs: dict[str, Any] | None = None,
        *,
        modality: str | None = None,
        within: str | None = None,
        include_imputed: bool = False,
        compare: Literal["means", "cells"] = "means",
        **kwargs: Any,
    ) -> pd.DataFrame:
        r"""Features of a modality that differ between groups of cells, by scvi-tools' test.

        The test asks with which probability a fold change of the groups' means exceeds ``delta``, in base 2; of values that
        may be negative (``normal``, ``student_t``) the difference, in standard deviations of the feature. Cells that lack
        the modality are left out, and it is said how many.

        Parameters
        ----------
        adata
            Data other than the model's own.
        groupby
            Column of ``obs`` that holds the groups. Cells without a value are left out.
        group1, group2
            Groups to compare, one or several. Without ``group1`` each group in turn; without ``group2`` against all other
            cells. One is compared with each of several; several of both are compared in pairs, the first with the first.
        idx1, idx2
            In place of groups, cells by number, as a mask, or as a query of ``obs``; without ``idx2`` against all others.
        mode
            ``"change"`` :cite:p:`Boyeau2023`, as above; ``"vanilla"`` :cite:p:`Lopez2018`: which mean is larger, with a Bayes
            factor and no control of false discovery.
        delta
            Change that counts as a difference; ``None`` learns it from all features.
        batch_size
            Cells at a time.
        all_stats
            Whether to add statistics of the measured values.
        batch_correction
            Whether to decode all cells in each batch in turn, by default of those in which the modality was measured, rather
            than in their own. Needed where groups are spread unevenly over batches, which a warning tells.
        batchid1, batchid2
            Batches to decode the two groups in.
        fdr_target
            Share of false discoveries that are accepted.
        silent
            Whether to show no progress, nor how many cells are left out.
        weights, importance_weighting_kwargs
            ``"uniform"`` alone: all cells count alike. scvi-tools' importance weights presume a normal prior.
        filter_outlier_cells
            Whether to leave out cells that lie far from their group in the latent.
        modality
            Which modality; may be left out if there is one.
        within
            Another column of ``obs``, within whose groups cells are compared, such as conditions within cell types. It is a
            column of the results, and false discovery is controlled in each of its groups.
        include_imputed
            Whether cells that lack the modality count, with what the model expects of them from the others. Statistics
            remain those of measured cells.
        compare
            ``"means"`` of the groups, or ``"cells"``, as scvi-tools has it: one drawn at random of each group.
        **kwargs
            Passed to scvi-tools' ``DifferentialComputation.get_bayes_factors``, such as ``n_samples_overall``, ``test_mode``
            and ``pseudocounts``, by default the value at which a feature has 10 counts in the whole of the smaller group.

        Returns
        -------
        Features by the columns of scvi-tools: ``proba_de`` (the probability, the larger of those of an increase and of a
        decrease), ``is_de_fdr_0.05`` (whether it passes at ``fdr_target``), ``lfc_mean``, ``lfc_std`` and others of the fold
        change, or ``difference_mean`` and others; ``scale1`` and ``scale2``, the means; ``raw_mean1``,
        ``non_zeros_proportion1``, ``raw_normalized_mean1`` (of counts of 10,000 in a cell) and those of the second group;
        ``comparison``, ``group1``, ``group2``. Those that pass stand first, and of them those that change much, surely, and
        are much expressed, in either direction; ``lfc_mean > 0`` are those higher in ``group1``.

        Notes
        -----
        A sample of a group's mean is the mean of what is decoded at draws of its cells' posteriors, plus the error of a mean
        of what was measured, by a Bayesian bootstrap of cells :cite:p:`Rubin1981`. The draws alone are too sure, as they know
        nothing of the noise in what the decoder has learnt; and of two cells at random, as scvi-tools draws them, few
        differences are sure though means differ. ``benchmarks/differential.py`` measures all three. Differences that the
        model has not learnt are not found. At most 5,000 cells stand for a group, and memory does not grow with the number
        of cells. The same call gives the same result.
        """
        groups = Groups(groupby, group1, group2, idx1, idx2, within)
        batches, reader = (batchid1, batchid2), Reader(self)
        represent = partial(_representation, self, reader.data(adata)) if filter_outlier_cells else None
        settings = Settings(mode, delta, fdr_target, all_stats, batch_correction, batches, silent, compare, kwargs)
        settings = replace(settings, weights=weights, representation=represent)
        quantity = Rates(reader, reader.modality(modality))
        return _tested(reader, adata, quantity, groups, settings, batch_size, include_imputed=include_imputed)

    def differential_accessibility(
        self,
        adata: Data | None = None,
        groupby: str | None = None,
        group1: str | Iterable[str] | None = None,
        group2: str | Iterable[str] | None = None,
        idx1: Any = None,
        idx2: Any = None,
        mode: Literal["vanilla", "change"] = "change",
        delta: float | None = 0.05,
        batch_size: int | None = None,
        all_stats: bool = True,
        batch_correction: bool = False,
        batchid1: Iterable[str] | None = None,
        batchid2: Iterable[str] | None = None,
        fdr_target: float = 0.05,
        silent: bool = False,
        two_sided: bool = True,
        *,
        modality: str | None = None,
        within: str | None = None,
        include_imputed: bool = False,
        compare: Literal["means", "cells"] = "means",
        **kwargs: Any,
    ) -> pd.DataFrame:
        """Regions that are open in more cells of one group than of another, by the test of :meth:`differential_expression`.

        What is compared is the probability that a region is seen open in a cell of median depth.

        Parameters
        ----------
        adata, groupby, group1, group2, idx1, idx2, mode, batch_size, all_stats, batch_correction, batchid1, batchid2
            As in :meth:`differential_expression`.
        delta
            Fold change of probabilities, in base 2, that counts as a difference; ``None`` learns it, of both sides alone.
        fdr_target, silent, within, include_imputed, compare, **kwargs
            As in :meth:`differential_expression`.
        two_sided
            Whether regions that are less open in the first group count, or those that are more open alone.
        modality
            Which modality; by default as in :meth:`get_normalized_accessibility`.

        Returns
        -------
        Regions by the columns of scvi-tools: ``prob_da``, the probability; ``is_da_fdr``, whether it passes at ``fdr_target``;
        ``bayes_factor``; ``effect_size``, the probability of being open in group 2 less that in group 1; ``emp_effect``, the
        same of the shares of cells in which the region was seen; ``est_prob1``, ``est_prob2``, ``emp_prob1`` and
        ``emp_prob2``, of which these are the differences; then ``comparison``, ``group1`` and ``group2``.
        """
        groups = Groups(groupby, group1, group2, idx1, idx2, within)
        batches, reader = (batchid1, batchid2), Reader(self)
        settings = Settings(
            mode, delta, fdr_target, all_stats, batch_correction, batches, silent, compare, kwargs, two_sided
        )
        name = region_modality(reader, reader.data(adata), modality)
        check_numbers({}, region_faults(reader, name))
        quantity = Detection(reader, name)
        found = _tested(reader, adata, quantity, groups, settings, batch_size, include_imputed=include_imputed)
        found = found.rename(columns=OF_PEAKS | {f"is_de_fdr_{fdr_target}": "is_da_fdr"})
        for effect, kind in (("effect_size", "est_prob"), ("emp_effect", "emp_prob")):
            if f"{kind}1" in found:
                found[effect] = found[f"{kind}2"] - found[f"{kind}1"]
        kept = [*COLUMNS, "comparison", "group1", "group2", within]
        return found[[column for column in kept if column in found]]


def _tested(
    reader: Reader,
    adata: Data | None,
    quantity: Rates,
    groups: Groups,
    settings: Settings,
    batch_size: int | None,
    *,
    include_imputed: bool,
) -> pd.DataFrame:
    data = reader.data(adata)
    if (settings.compare == "means" or settings.all_stats) and not has_values(data):
        msg = (
            "Expected data with their values, for the error of measured means (compare='means') and statistics of the measured "
            "values (all_stats=True); got minified data. Give such data as adata, or compare='cells' and all_stats=False."
        )
        raise ValueError(msg)
    cells = Compared.of(
        reader, data, quantity.modality, groups, include_imputed=include_imputed, silent=settings.silent
    )
    return tested(GroupSampler(reader, data, quantity, batch_size), cells, groups, settings)


def _representation(model: Any, data: Data, numbers: np.ndarray) -> np.ndarray:
    return np.asarray(model.get_latent_representation(data, indices=numbers))
