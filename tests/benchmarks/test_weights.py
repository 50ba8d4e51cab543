"""Rules of weighing modalities, on one training."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks import table
from benchmarks.weights import COLUMNS, RULES, RUN, latents, page
from mmvae import MultiVAE
from mmvae.datasets import simulate

# In a few epochs a model learns next to nothing, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:The latent of")


def test_the_rule_is_that_of_the_fused_latent():
    mdata = simulate(150, seed=0)
    MultiVAE.setup_mudata(mdata)
    model = MultiVAE(mdata, n_hidden=16, n_latent=4)
    model.train(max_epochs=3, enable_progress_bar=False)
    found = latents(model)
    assert set(found) == {*RULES, *mdata.mod}
    np.testing.assert_allclose(found["weight"][1], model.get_latent_representation(), rtol=1e-5)
    assert found["rna"][1].shape == (mdata.n_obs, 4)


def test_a_line_of_the_page_is_of_all_seeds(tmp_path):
    methods = dict(zip([*RULES, "rna", "protein"], [0.8, 0.7, 0.6, 0.5, 0.4, 0.9], strict=True))
    rows = pd.DataFrame(
        [
            {"data": "set", "seed": seed, "method": name, "labels": "type", "value": value, "weights": "rna 1.00"}
            for seed in (0, 1)
            for name, value in methods.items()
        ]
    ).reindex(columns=COLUMNS)
    table.update(tmp_path / "weights.csv", rows, ["set"], RUN, COLUMNS)
    lines = page(table.read(tmp_path / "weights.csv", COLUMNS)).splitlines()
    assert lines[2].startswith("| set | type | rna 1.00 | 0.800 ± 0.000 | 0.700 ± 0.000 |")
    assert lines[2].endswith("0.900 ± 0.000 (protein) |")
    assert lines[3].split(" | ")[3:5] == ["0.800", "0.700"]
