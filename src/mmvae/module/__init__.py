"""The module: encoders, fusion, priors and decoders wired together."""

from ._minibatch import Inference, Minibatch, Step
from ._multivae import MultiVAEModule
from ._objective import Terms, emission_kl, reconstruction
from ._padded import PaddedBuffers
from ._query import start_new_categories, table_sizes, train_new_categories
