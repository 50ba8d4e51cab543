"""Numerics of latents: arrays in, arrays or small values out; no model and no data objects."""

from ._canonical_correlation import SharedSubspace
from ._discriminant import DiscriminantAnalysis, few_of_each
from ._mixtures import batch_evenness, effective_number, responsibilities
from ._outliers import outlier_share
from ._reliability import split_half_reliability, total_scale
from ._top_features import top_features
from ._two_sample import two_sample_auc, verdict
