"""After training: results written to the data."""

from ._domains import domains
from ._write import embed, responsibilities

__all__ = ["domains", "embed", "responsibilities"]
