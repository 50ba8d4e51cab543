"""Numerics of latents: arrays in, arrays or small values out; no model and no data objects."""

from ._canonical_correlation import SharedSubspace
from ._discriminant import DiscriminantAnalysis, few_of_each
from ._mixtures import batch_evenness, effective_number, responsibilities, top_features
from ._outliers import outlier_share
from ._reliability import split_half_reliability, total_scale
from ._two_sample import two_sample_auc, verdict
