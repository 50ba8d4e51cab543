"""Likelihoods: what the values of a modality are, and how the decoder explains them."""

from ._base import Emission, FeatureStatistics, Likelihood
from ._continuous import Normal, StudentT
from ._counts import Bernoulli, NegativeBinomial, Poisson, ZeroInflatedNegativeBinomial
from ._protein import NegativeBinomialMixture

__all__ = ["Bernoulli", "Emission", "FeatureStatistics", "Likelihood", "NegativeBinomial", "NegativeBinomialMixture"]
__all__ += ["Normal", "Poisson", "StudentT", "ZeroInflatedNegativeBinomial"]
