"""Training in two processes, each on half of the cells of a minibatch."""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

SCRIPT = Path(__file__).parents[1] / "support" / "two_processes.py"


def results(n_processes: int, case: str) -> list[dict]:
    """What each process found, by rank."""
    with TemporaryDirectory() as folder:
        command = [sys.executable, str(SCRIPT), str(n_processes), case, folder]
        env = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=400, env=env)
        found = [json.loads(path.read_text()) for path in sorted(Path(folder).iterdir())]
    assert len(found) == n_processes, done.stderr
    return found


# Each takes three processes: the others are run by marker.
@pytest.mark.parametrize(
    "case", ["mosaic", *(pytest.param(case, marks=pytest.mark.slow) for case in ("streamed", "tissue"))]
)
def test_two_processes_train_as_one_does(case):
    (alone,), together = results(1, case), results(2, case)
    halves = [set(found["cells"]) for found in together]
    assert halves[0] | halves[1] == set(alone["cells"])
    assert len(halves[0] & halves[1]) <= 1  # where the number of cells is odd
    # Sums of weights, and of what the graph of neighbours remembers, which no process saw whole.
    for kept in ("weights", "memory"):
        assert together[0][kept] == pytest.approx(together[1][kept], rel=1e-5, abs=1e-5)
    assert together[0]["objective"] == pytest.approx(alone["objective"], rel=0.06)  # of other noise
    assert together[0]["objective"][-1] < together[0]["objective"][0]


def test_a_loss_that_is_not_finite_in_one_process_ends_all():
    first, second = results(2, "spoilt")
    assert "in another process" in first["error"]
    assert "reconstruction of 'rna'" in second["error"]
    assert first["weights"] == second["weights"]


def test_the_history_holds_a_modality_that_one_process_lacks():
    (first, _) = results(2, "rare")
    assert all(0 < value < 100 for value in first["kl"])
