"""Data with known truth, for tests, examples and benchmarks."""

from ._simulate import simulate

__all__ = ["simulate"]
