"""Before training: what the data hold."""

from ._check import check

__all__ = ["check"]
