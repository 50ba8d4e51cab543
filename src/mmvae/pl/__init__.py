"""Plots that scanpy does not have."""

from ._history import history

__all__ = ["history"]
