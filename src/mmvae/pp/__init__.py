"""Before training: what the data hold, spots with their surroundings, and assays of the same genes as one modality."""

from ._check import check
from ._join import join_features
from ._spatial import spatial

__all__ = ["check", "join_features", "spatial"]
