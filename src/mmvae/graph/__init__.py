"""Graphs of neighbouring cells, for what is computed on them: no priors, no data objects."""

from ._cells import CellGraph, Spectrum, spectrum_of
