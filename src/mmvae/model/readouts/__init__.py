"""The public methods of a trained model, by what they are about."""

from ._attributions import AttributionMethods
from ._components import ComponentMethods
from ._contributions import ContributionMethods
from ._diagnosis import Diagnosis, DiagnosisMethods, in_short
from ._differential import DifferentialMethods
from ._explained import ExplainedMethods
from ._expression import ExpressionMethods
from ._imputation import ImputationMethods, remember_imputation
from ._inherited import InheritedMethods
from ._labels import LabelMethods, remember_labelled
from ._latent import LatentMethods
from ._loadings import LoadingMethods
from ._predictive import PredictiveMethods
from ._priors import PriorMethods
from ._probabilities import ProbabilityMethods
from ._report import ReportMethods
from ._weights import measure_modalities


class Readouts(
    LatentMethods,
    LoadingMethods,
    AttributionMethods,
    ExplainedMethods,
    DiagnosisMethods,
    ComponentMethods,
    PriorMethods,
    ContributionMethods,
    ExpressionMethods,
    ProbabilityMethods,
    PredictiveMethods,
    DifferentialMethods,
    ImputationMethods,
    LabelMethods,
    ReportMethods,
    InheritedMethods,
):
    """All of them."""
