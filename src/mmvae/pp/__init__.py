"""Before training: what the data hold, and spots with their surroundings."""

from ._check import check
from ._spatial import spatial

__all__ = ["check", "spatial"]
