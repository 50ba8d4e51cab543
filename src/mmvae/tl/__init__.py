"""After training: results written to the data."""

from ._embed import embed
from ._responsibilities import responsibilities

__all__ = ["embed", "responsibilities"]
