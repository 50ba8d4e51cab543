"""What differs between groups of cells: expression, accessibility, proteins."""

from collections.abc import Iterable
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from mmvae.model._data import Data, DataAccess
from mmvae.model._reader import Reader

from ._differences import Test, tested
from ._group_means import GroupSampler, Rates
from ._groups import Compared, Groups


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
        importance_weighting_kwargs: dict | None = None,
        *,
        modality: str | None = None,
        within: str | None = None,
        include_imputed: bool = False,
        compare: Literal["means", "cells"] = "means",
        **kwargs: Any,
    ) -> pd.DataFrame:
        """TODO."""
        groups = Groups(groupby, group1, group2, idx1, idx2, within)
        reader = Reader(self)
        data, name = reader.data(adata), reader.modality(modality)
        cells = Compared.of(reader, data, name, groups, include_imputed=include_imputed, silent=silent)
        sampler = GroupSampler(reader, data, Rates(reader, name), batch_size)
        represent = partial(_representation, self, data) if filter_outlier_cells else None
        batches = (batchid1, batchid2)
        test = Test(
            mode, delta, fdr_target, all_stats, batch_correction, batches, silent, compare, weights, represent, kwargs
        )
        return tested(sampler, cells, groups, test)


def _representation(model: Any, data: Data, numbers: np.ndarray) -> np.ndarray:
    return model.get_latent_representation(data, indices=numbers)
