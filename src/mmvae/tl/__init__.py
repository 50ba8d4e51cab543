"""After training: results written to the data."""

from ._write import embed, responsibilities

__all__ = ["embed", "responsibilities"]
