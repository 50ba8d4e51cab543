"""Whatever data and arguments are drawn, they are refused in words, or make a model that can be relied on."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from strategies.cases import cases
from strategies.faults import FAULTS, made
from strategies.promises import check_model, check_refusal, looks

# What a model says of few cells and short trainings; every other warning is an error.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

MODALITIES = 1, 2, 3, 4
FAULTLESS = 7  # cases to one with a fault
# Without the explanation, which costs more than what it explains.
PHASES = set(Phase) - {Phase.explain}
COMMON = {"deadline": None, "suppress_health_check": list(HealthCheck), "phases": PHASES, "print_blob": True}


def check(data: st.DataObject, n_modalities: int) -> None:
    """Draw a case, which may have a fault, and look at what becomes of it."""
    drawn, look = data.draw(cases(n_modalities)), data.draw(looks())
    has_fault = data.draw(st.sampled_from([False] * FAULTLESS + [True]))
    fault = data.draw(st.sampled_from(sorted(FAULTS))) if has_fault else None
    event("trained" if fault is None else "refused")
    if fault is None:
        check_model(made(drawn), look)
    else:
        check_refusal(made(drawn, fault))


@pytest.mark.parametrize("n_modalities", MODALITIES)
@settings(max_examples=50, derandomize=True, database=None, **COMMON)
@given(data=st.data())
def test_some_data(n_modalities, data):
    check(data, n_modalities)


@pytest.mark.slow
@pytest.mark.parametrize("n_modalities", MODALITIES)
@settings(max_examples=int(os.environ.get("MMVAE_FUZZ_EXAMPLES", 5_000)) // len(MODALITIES), **COMMON)
@given(data=st.data())
def test_many_data(n_modalities, data):
    check(data, n_modalities)
