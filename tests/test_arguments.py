"""Every number and name that a public function takes is checked where it is given, in the words of the rest.

A new function needs a call in ``CALLS``, with arguments that work; a new argument needs a check, or a reason in ``FREE``.
"""

from __future__ import annotations

import re
from importlib import import_module
from inspect import Parameter, isclass, signature

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import mmvae
from mmvae import MosaicDataModule, MultiVAE

NUMBERS = [float("nan"), -1.5, "many"]
NAMES = ["no such name", 3, ["no such name"]]
# Any text will do, as it names what is to be made; paths are Python's to check.
FREE = {"key_added", "key", "save", "out", "path", "cache", "mirrors", "unlabeled_category", "setup_anndata.modality"}
# Lightning's to check; a colour map, which matplotlib checks; features, which may be any of several tables.
FREE |= {"translate.source", "train.accelerator", "train.devices", "embedding.palette", "embedding.layer"}
# Cells by a query of obs.
FREE |= {"idx1", "idx2", "registry"}
# What is no function of numbers and names: results, parts that classes of one's own are given, and protocols.
DATA = {"Diagnosis", "SetupError", "TrainingDivergedError", "JointPrior", "LatentDraw", "ObservedDims", "Posteriors"}
DATA |= {"PriorTerm", "Emission", "FeatureStatistics", "CellGraph", "PosteriorSample", "PriorContext"}
FRAME = pd.DataFrame(np.ones((4, 3)), columns=list("abc"))
RESULT = FRAME.set_axis(["lfc_mean", "bayes_factor", "is_de_fdr_0.05"], axis=1).assign(comparison="a vs b")
SIZES = {"priors": {"n_latent": 4}, "fusion": {"n_latent": {"rna": 4}}, "likelihoods": {"n_features": 4, "n_hidden": 4}}


def spots():
    made = mmvae.datasets.simulate(30, modalities={"rna": 12}, n_clusters=3, spatial=True)
    adata = made["rna"].copy()
    adata.obs, adata.obsm["spatial"] = made.obs, made.obsm["spatial"]
    return adata


# By name, what to call and with what, of a trained model and its data.
CALLS = {
    "simulate": lambda m, d: {"n_cells": 20},
    "simulate_pdac": lambda m, d: {"n_sections": 1},
    "embedding": lambda m, d: {"mdata": d, "color": "batch"},
    "imputation": lambda m, d: {"truth": FRAME, "predicted": FRAME},
    "loadings": lambda m, d: {"frame": FRAME},
    "overview": lambda m, d: {"model": m},
    "presence": lambda m, d: {"mdata": d},
    "pl.priors": lambda m, d: {"model": m, "modality": "rna"},
    "pl.spatial": lambda m, d: {"mdata": d, "color": "batch"},
    "volcano": lambda m, d: {"frame": RESULT},
    "check": lambda m, d: {"data": d},
    "pp.spatial": lambda m, d: {"data": spots()},
    "domains": lambda m, d: {"mdata": d, "n_domains": 2},
    "MosaicDataModule": lambda m, d: {"data": d},
    "MultiVAE": lambda m, d: {"mdata": d},
    "train": lambda m, d: {"max_epochs": 1},
    "setup_mudata": lambda m, d: {"mdata": d},
    "setup_anndata": lambda m, d: {"adata": d["rna"]},
    "differential_expression": lambda m, d: {"groupby": "cluster", "modality": "rna", "silent": True},
    "differential_accessibility": lambda m, d: {"groupby": "cluster", "modality": "atac", "silent": True},
    "differential_abundance": lambda m, d: {"sample_key": "batch"},
    "get_attributions": lambda m, d: {"target": "rna_0"},
    "get_loadings": lambda m, d: {"modality": "rna"},
    "get_normalized_accessibility": lambda m, d: {"modality": "atac"},
    "get_accessibility_estimates": lambda m, d: {"modality": "atac"},
    "get_protein_foreground_probability": lambda m, d: {"modality": "protein"},
    "get_responsibilities": lambda m, d: {"modality": "rna"},
    "check_imputation": lambda m, d: {"modality": "rna"},
    "impute": lambda m, d: {"modality": "rna"},
    "sample": lambda m, d: {"n": 3, "modality": "rna"},
    "translate": lambda m, d: {"source": "rna", "target": "protein"},
    "VampPrior": lambda m, d: {"n_latent": 4, "n_hidden": 4},
    "LabelledMixture": lambda m, d: {"n_latent": 4, "n_labels": 2},
    "Conditional": lambda m, d: {"n_latent": 4, "n_categories": [2]},
}


def functions() -> dict[str, object]:
    """What users call, by name, with the module where two have one name."""
    found = {"MultiVAE": MultiVAE, "MosaicDataModule": MosaicDataModule}
    for module in ("datasets", "pl", "pp", "tl", "priors", "fusion", "likelihoods"):
        for name in import_module(f"mmvae.{module}").__all__:
            one = getattr(import_module(f"mmvae.{module}"), name)
            found[f"{module}.{name}" if name in ("spatial", "priors") else name] = one
    own = (name for name, value in vars(MultiVAE).items() if not name.startswith("_"))
    inherited = (name for base in MultiVAE.__mro__ if base.__module__.startswith("mmvae") for name in vars(base))
    for name in dict.fromkeys([*own, *inherited]):
        if not name.startswith("_") and callable(getattr(MultiVAE, name, None)):
            found[name] = getattr(MultiVAE, name)
    return {name: function for name, function in found.items() if name.split(".")[-1] not in DATA}


def wrong_values(name: str, parameter: Parameter) -> list:
    """Values of a kind that the argument is not to take."""
    kind = str(parameter.annotation)
    if {parameter.name, f"{name}.{parameter.name}"} & FREE or "PathLike" in kind:
        return []
    if re.search(r"\b(int|float)\b", kind) and "Sequence" not in kind:
        return NUMBERS
    return NAMES if re.search(r"\bstr\b|Literal", kind) and "dict" not in kind and "bool" not in kind else []


def asked(name: str, function: object) -> dict[str, list]:
    found = {p.name: wrong_values(name, p) for p in signature(function).parameters.values()}
    return {argument: values for argument, values in found.items() if values}


# Methods of saving and loading, and of scvi-tools' registries, have tests of their own.
ELSEWHERE = {"load", "load_query_data", "save", "remember", "setup_annbatch", "pdac_visium", "read_backed"}
ELSEWHERE |= {"minify_mudata", "minify_adata", "load_registry", "view_setup_args"}
FUNCTIONS = {name: each for name, each in functions().items() if name not in ELSEWHERE and asked(name, each)}


def fault_of(function, arguments) -> str | None:
    """What is wrong with how the call fails; ``None`` if it says what it expected."""
    try:
        function(**arguments)
    except (ValueError, TypeError, LookupError) as error:
        words = str(error)
        in_words = re.match("Expected|Found|[\"']key '", words) and re.search("got|not|no ", words)
        return None if in_words else f"{type(error).__name__}: {words[:200]}"
    return "accepted"


@pytest.fixture(scope="module")
def data(trained):
    """The data of the trained model, with an embedding."""
    _, mdata = trained
    copy = mmvae.datasets.simulate(200, missing=0.3, spatial=True)
    copy.obsm["X_mmvae"] = copy.obsm["X_umap"] = np.random.default_rng(0).normal(size=(200, 2))
    MultiVAE.setup_mudata(copy, batch_key="batch")
    return copy


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.filterwarnings("ignore:.*spots are taken for one slide", "ignore:The groups of")
def test_wrong_numbers_and_names_are_refused_in_words(trained, data, name):
    model, _ = trained
    function = FUNCTIONS[name]
    if name in CALLS:
        given = CALLS[name](model, data)
    else:
        module = getattr(function, "__module__", "").split(".")[1:2]
        given = SIZES.get(module[0], {}) if isclass(function) and module else {}
    bound = (
        getattr(model, name) if hasattr(MultiVAE, name) and name not in ("setup_mudata", "setup_anndata") else function
    )
    cases = {f"{a}={v!r}": given | {a: v} for a, values in asked(name, function).items() for v in values}
    faults = {case: fault_of(bound, arguments) for case, arguments in cases.items()}
    plt.close("all")
    assert not {case: fault for case, fault in faults.items() if fault is not None}
