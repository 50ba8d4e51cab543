"""Before training: what the data hold, modalities out of one matrix, spots with their surroundings, assays as one modality."""

from ._check import check
from ._join import join_features
from ._read_backed import read_backed
from ._spatial import spatial
from ._split_modalities import split_modalities

__all__ = ["check", "join_features", "read_backed", "spatial", "split_modalities"]
