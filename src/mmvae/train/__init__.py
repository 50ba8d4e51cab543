"""Training, of which the model is not known: schedule, split, plan, callbacks, what to do where it fails."""

from ._arguments import check_arguments
from ._callbacks import MONITOR, InitPriors, KeepWeights, as_sent
from ._divergence import NonFiniteError, divergence
from ._plan import MultiVAEPlan
from ._priors import init_priors
from ._quiet import quiet
from ._report import training_report
from ._schedule import Schedule, defaults_for, schedule_for
from ._seed import seeded
from ._snapshot import Snapshot
from ._split import split
