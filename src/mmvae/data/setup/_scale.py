"""Standardised covariates: what they were divided by is kept in the registry, for other data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import pandas as pd
from scvi import REGISTRY_KEYS

from mmvae._keys import FIELDS, STATE

COLUMNS, MEANS, SDS = "columns", "means", "sds"
# What rounding leaves of a constant, relative to it, is no spread.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of a covariate over the cells of the reference; 1 where it is constant."""

    mean: float
    sd: float

    @classmethod
    def of(cls, values: pd.Series) -> Self:
        """Of a column of numbers."""
        mean, sd = float(values.mean()), float(values.std(ddof=0))
        return cls(mean, sd if sd > ROUNDING * abs(mean) else 1.0)

    def standardise(self, values: pd.Series) -> pd.Series:
        """Numbers of standard deviations from the mean."""
        return (values - self.mean) / self.sd


def scales_of(registry: Mapping[str, Any]) -> dict[str, Scale]:
    """Scale of each covariate in a registry, by the name of its column."""
    state = registry[FIELDS].get(REGISTRY_KEYS.CONT_COVS_KEY, {}).get(STATE, {})
    if MEANS not in state:
        return {}
    return {name: Scale(mean, sd) for name, mean, sd in zip(state[COLUMNS], state[MEANS], state[SDS], strict=True)}


def keep_scales(registry: Mapping[str, Any], scales: Mapping[str, Scale]) -> None:
    """Write the scales beside the names of their columns in a registry."""
    state = registry[FIELDS][REGISTRY_KEYS.CONT_COVS_KEY][STATE]
    used = [scales[name] for name in state.get(COLUMNS, ())]
    if used:
        state[MEANS], state[SDS] = [scale.mean for scale in used], [scale.sd for scale in used]
