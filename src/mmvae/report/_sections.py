"""The sections of the page, in their order, and the parts that each is made of."""

from collections.abc import Callable, Iterator

from mmvae.model import MultiVAE

from ._blocks import Block
from ._contributions import information, shared, weights, withheld
from ._data import batches, columns, modalities, patterns
from ._diagnosis import diagnosis
from ._embeddings import embeddings
from ._imputation import intervals, predictions
from ._priors import components, pictures
from ._settings import settings, versions
from ._training import training

# A part gives blocks of a trained model; its docstring says what, in words for the page, where it fails.
Part = Callable[[MultiVAE], Iterator[Block]]
SECTIONS: dict[str, tuple[Part, ...]] = {
    "Diagnosis": (diagnosis,),
    "Training": (training,),
    "Embeddings": (embeddings,),
    "Contributions": (weights, shared, information, withheld),
    "Imputation": (predictions, intervals),
    "Priors": (pictures, components),
    "Data": (modalities, patterns, batches, columns),
    "Settings": (settings,),
    "Versions": (versions,),
}
