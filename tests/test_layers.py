"""Imports go one way, and private names of scvi-tools are left alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "mmvae"
ORDER = [
    "_keys",
    "_errors",
    "_checks",
    "_config",
    "_compat",
    "nn",
    "likelihoods",
    "fusion",
    "priors",
    "module",
    "data",
    "train",
    "model",
    "pp",
    "tl",
    "pl",
    "datasets",
    "cli",
]
TORCH_ONLY = {"nn", "likelihoods", "fusion", "priors"}
FILES = [path for path in sorted(ROOT.rglob("*.py")) if path.parent != ROOT]


def imports(path: Path) -> set[str]:
    """Modules that a file imports when it is run, not those for type checkers alone."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.dump(branch.test)
        for node in ast.walk(branch)
    }
    names = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path):
    here = path.relative_to(ROOT).parts[0]
    rooms = {name.split(".")[1] for name in imports(path) if name.startswith("mmvae.")}
    assert not {room for room in rooms if ORDER.index(room) > ORDER.index(here)}
    if here in TORCH_ONLY:
        assert not {n for n in imports(path) if n.split(".")[0] in {"anndata", "mudata", "pandas", "scanpy"}}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_private_module_of_scvi_tools_is_imported(path):
    assert not [n for n in imports(path) if n.startswith("scvi.") and any(part[0] == "_" for part in n.split(".")[1:])]
