"""What a model remembers of the cells that it was trained with."""

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class ReferenceMemory:
    """One value, saved with the model as a plain dictionary.

    Attributes
    ----------
    labelled
        Codes and posteriors of the labelled cells, from which :meth:`~mmvae.MultiVAE.predict` learns.
    reliability, scale
        Split-half reliability of each modality's latent, and the root of the total variance of its draws.
    shared
        The subspace that the modalities share; fitted on first use.
    n_categories
        Number of categories of each table of weights when the training ended; ``None`` before.
    known_categories
        In a query, those of its reference, which stay as they are; ``None`` in other models.
    dropout_is_frozen
        Whether a query is trained without dropout.
    """

    labelled: dict[str, Any] | None = None
    reliability: dict[str, float] | None = None
    scale: dict[str, float] | None = None
    shared: dict[str, Any] | None = None
    n_categories: dict[str, int] | None = None
    known_categories: dict[str, int] | None = None
    dropout_is_frozen: bool = False

    @property
    def is_query(self) -> bool:
        """Whether the model is a reference onto which other data were mapped, whose encoders stay as they are."""
        return self.known_categories is not None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a saved model."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


class Remembering:
    """A model's memory, as the attribute that scvi-tools saves because its name ends so."""

    memory_: dict[str, Any]

    @property
    def memory(self) -> ReferenceMemory:
        """What the model remembers of its training cells."""
        return ReferenceMemory(**self.memory_)

    def remember(self, **values: Any) -> None:
        """Replace what is remembered under these names, those of :class:`ReferenceMemory`."""
        self.memory_ = replace(self.memory, **values).to_dict()
