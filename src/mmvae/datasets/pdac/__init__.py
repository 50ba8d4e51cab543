"""Visium sections of pancreatic cancer and its metastases: the real ones, and simulated ones of the same form."""

from ._simulate import simulate_pdac
from ._visium import pdac_visium
