"""The public methods of a trained model, by what they are about; each calls a readout."""

from ._base import Readouts
from ._contributions import ContributionMethods
from ._expression import ExpressionMethods
from ._labels import LabelMethods
from ._latent import LatentMethods
from ._priors import PriorMethods
from ._space import SpaceMethods
