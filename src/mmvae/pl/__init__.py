"""Plots that scanpy does not have."""

from ._history import history
from ._spatial import spatial

__all__ = ["history", "spatial"]
