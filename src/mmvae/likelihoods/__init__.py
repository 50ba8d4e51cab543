"""Likelihoods: what the values of a modality are, and how the decoder explains them."""

from ._accessibility import Bernoulli
from ._base import Emission, FeatureStatistics, Likelihood
from ._continuous import Normal, StudentT
from ._counts import NegativeBinomial, Poisson, ZeroInflatedNegativeBinomial
from ._protein import NegativeBinomialMixture

__all__ = [
    "Bernoulli",
    "Emission",
    "FeatureStatistics",
    "Likelihood",
    "NegativeBinomial",
    "NegativeBinomialMixture",
    "Normal",
    "Poisson",
    "StudentT",
    "ZeroInflatedNegativeBinomial",
]
