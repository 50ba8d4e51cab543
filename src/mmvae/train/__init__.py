"""Training, of which the model is not known: schedule, split, plan, callbacks, what to do where it fails."""

from ._arguments import Config, plan_of, trainer_of
from ._calibration import calibrate_imputation
from ._callbacks import InitPriors, init_priors
from ._checkpoint import FILE as CHECKPOINT_FILE
from ._checkpoint import Checkpoint
from ._course import NEW, OF_WEIGHTS, Course
from ._divergence import NonFiniteError, divergence, is_out_of_memory
from ._forecast import Forecast, memory_needed, memory_note, say
from ._history import joined, n_epochs
from ._keep import KeepWeights, as_sent
from ._plan import MultiVAEPlan, check_arguments
from ._progress import Progress, show_progress, without_last_words
from ._report import (
    MINIMUM_NATS,
    MONITOR,
    collapse_notes,
    metric,
    objective_notes,
    overtraining_notes,
    prior_notes,
    training_report,
)
from ._schedule import Schedule, defaults_for, schedule_for
from ._split import HeldOut, split
from ._surroundings import Snapshot, quiet, seeded, tensor_cores
