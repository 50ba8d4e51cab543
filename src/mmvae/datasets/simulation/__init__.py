"""Simulated multi-omics cells with known truth."""

from ._simulate import simulate
