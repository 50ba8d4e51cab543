"""After training: results written to the data."""

from ._embed import embed

__all__ = ["embed"]
