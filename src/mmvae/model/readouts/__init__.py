"""The public methods of a trained model, by what they are about."""

from ._components import ComponentMethods
from ._contributions import ContributionMethods
from ._differential import DifferentialMethods
from ._expression import ExpressionMethods
from ._imputation import ImputationMethods
from ._labels import LabelMethods, remember_labelled
from ._latent import LatentMethods
from ._priors import PriorMethods
from ._weights import measure_modalities


class Readouts(
    LatentMethods,
    ComponentMethods,
    PriorMethods,
    ContributionMethods,
    ExpressionMethods,
    DifferentialMethods,
    ImputationMethods,
    LabelMethods,
):
    """All of them."""
