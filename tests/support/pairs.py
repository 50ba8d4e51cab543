"""Pairs of a fusion and a prior."""

from __future__ import annotations

import pytest

from mmvae.fusion import Fusion
from mmvae.priors import Prior

# Fusions and priors that the quick tests pair with all of the other family; the remaining pairs share their code.
QUICK_FUSIONS, QUICK_PRIORS = ("concat", "poe"), ("mog", "labels")

PAIRS = [
    pytest.param(
        fusion,
        prior,
        id=f"{fusion}-{prior}",
        marks=() if fusion in QUICK_FUSIONS or prior in QUICK_PRIORS else pytest.mark.slow,
    )
    for fusion in sorted(Fusion.registry)
    for prior in sorted(Prior.registry)
]
