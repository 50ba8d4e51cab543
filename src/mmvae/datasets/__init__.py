"""Data with known truth, for tests, examples and benchmarks, and real data to download."""

from .pdac import pdac_visium, simulate_pdac
from .simulation import simulate

__all__ = ["pdac_visium", "simulate", "simulate_pdac"]
