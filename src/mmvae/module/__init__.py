"""The module: encoders, fusion, priors and decoders wired together."""

from ._minibatch import Minibatch
from ._multivae import MultiVAEModule
from ._objective import Terms, emission_kl, reconstruction
from ._query import start_new_categories, table_sizes, train_new_categories
from ._step import Inference, Step
