"""Data with known truth, for tests, examples and benchmarks, and real data to download."""

from ._pdac import pdac_visium
from ._simulate import simulate
from ._simulate_pdac import simulate_pdac

__all__ = ["pdac_visium", "simulate", "simulate_pdac"]
