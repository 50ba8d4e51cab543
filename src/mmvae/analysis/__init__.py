"""Numerics of latents: arrays in, arrays or small values out; no model and no data objects."""

from ._baselines import by_label, by_neighbors, by_ridge, components, correlations, lead
from ._canonical_correlation import SharedSubspace
from ._depth import DepthModel
from ._deviance import MeanModel, explained, unit_deviance
from ._directions import patterns, told_apart
from ._discriminant import DiscriminantAnalysis, few_of_each
from ._effects import gains, log_rates
from ._mixtures import batch_evenness, effective_number, responsibilities, top_features
from ._recalibration import Recalibration, between, places, spread_wanted
from ._residuals import of_mixture, squared_residual
from ._scores import ROUGHLY, outlier_share, two_sample_auc, verdict
from ._weights import (
    certain_share,
    certain_shares,
    modality_weights,
    split_half_reliability,
    told_by_neighbors,
    total_scale,
)
