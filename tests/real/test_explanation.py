"""Markers are found by name: which genes predict a protein, and what shares a direction with it."""

from __future__ import annotations

import mudata
import numpy as np
import pytest
import scanpy as sc

from mmvae import MultiVAE
from mmvae._compat import unpulled

pytest.importorskip("captum")
pytestmark = [
    pytest.mark.real,
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:var_names are not unique"
    ),
]
N_CELLS, N_GENES, N_EPOCHS, N_FIRST = 1_500, 1_000, 40, 12
# Of each file the column of batches, and genes that are among the first which raise a protein.
MARKERS = {
    "neurips_bmmc_cite600": (
        "batch",
        {"CD19": {"CD74", "BANK1"}, "CD14": {"FCN1", "MNDA"}, "CD56": {"NKG7", "KLRD1"}},
    ),
    "citeseq_pbmc10k_paired": (
        None,
        {
            "prot_CD8a": {"CD8A", "CD8B"},
            "prot_CD19": {"CD79A", "MS4A1"},
            "prot_CD14": {"S100A8", "S100A9", "VCAN"},
            "prot_CD4": {"IL7R"},
            "prot_CD56": {"GNLY", "NKG7"},
        },
    ),
    "teaseq_pbmc_rna_adt_paired": (None, {"CD19": {"CD74", "BANK1"}, "CD56": {"GNLY"}}),
}


@pytest.fixture(
    scope="module", params=[pytest.param(n, marks=[pytest.mark.slow] * n.startswith("teaseq")) for n in MARKERS]
)
def case(request, data_dir):
    """A model of some cells and the genes that vary most, and the markers to find."""
    path = data_dir / f"{request.param}.h5mu"
    if not path.is_file():
        pytest.skip(f"no {path.name} in {data_dir}")
    batch, markers = MARKERS[request.param]
    with unpulled():
        mdata = some_of(mudata.read_h5mu(path))
    MultiVAE.setup_mudata(mdata, batch_key=batch)
    model = MultiVAE(mdata)
    model.train(N_EPOCHS, enable_progress_bar=False)
    return model, markers


def some_of(mdata):
    """At most 1,500 cells, and the 1,000 genes that vary most."""
    cells = np.sort(np.random.default_rng(0).permutation(mdata.n_obs)[:N_CELLS])
    rna, protein = (mdata[name][mdata.obs_names[cells]].copy() for name in ("rna", "protein"))
    logs = sc.pp.log1p(sc.pp.normalize_total(rna, target_sum=1e4, copy=True), copy=True)
    sc.pp.highly_variable_genes(logs, n_top_genes=N_GENES)
    found = mudata.MuData({"rna": rna[:, logs.var["highly_variable"]].copy(), "protein": protein})
    found.obs["batch"] = rna.obs.get("batch", "all")
    return found


def test_proteins_are_predicted_by_their_markers(case):
    model, markers = case
    for protein, genes in markers.items():
        found = model.get_attributions(f"protein:{protein}", n_cells=500)
        rising = found.loc["rna"].query("slope > 0").index[:N_FIRST]
        assert genes <= set(rising), (protein, list(rising))


def test_a_direction_has_genes_and_proteins_of_the_same_cells(case):
    model, markers = case
    proteins, genes = (model.get_loadings(name, "shared") for name in ("protein", "rna"))
    monocytes = next(name for name in proteins.index if name.endswith("CD14"))
    direction = proteins.loc[monocytes].abs().idxmax()
    towards = np.sign(proteins.loc[monocytes, direction]) * genes[direction]
    first = set(towards.nlargest(40).index)
    assert first & {"FCN1", "MNDA", "S100A8", "S100A9", "VCAN", "LYZ", "CST3"}, first


def test_nothing_is_amiss(case):
    model, _ = case
    assert model.diagnose().verdict == ()
