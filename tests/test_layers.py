"""Imports go one way and in no circles, and private names of scvi-tools are left alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from import_graph import circles, import_graph

REPOSITORY = Path(__file__).parents[1]
ROOT = REPOSITORY / "src" / "mmvae"
ORDER = [
    "_keys",
    "_printing",
    "_errors",
    "_files",
    "_checks",
    "_config",
    "_compat",
    "nn",
    "graph",
    "analysis",
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
    "report",
    "datasets",
    "cli",
]
TORCH_ONLY = {"nn", "graph", "analysis", "likelihoods", "fusion", "priors"}
FILES = [path for path in sorted(ROOT.rglob("*.py")) if path.parent != ROOT]


def imports(path: Path) -> set[str]:
    """Modules and names that a file imports when it is run, not those for type checkers alone."""
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
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def relative(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(REPOSITORY)) for path in paths]


def test_every_folder_has_its_place_in_the_order():
    folders = {path.relative_to(ROOT).parts[0] for path in FILES}
    assert folders <= set(ORDER)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path):
    here = path.relative_to(ROOT).parts[0]
    rooms = {name.split(".")[1] for name in imports(path) if name.startswith("mmvae.")} & set(ORDER)
    assert not {room for room in rooms if ORDER.index(room) > ORDER.index(here)}
    if here in TORCH_ONLY:
        assert not {n for n in imports(path) if n.split(".")[0] in {"anndata", "mudata", "pandas", "scanpy"}}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_private_name_of_scvi_tools_is_imported(path):
    assert not [n for n in imports(path) if n.startswith("scvi.") and any(part[0] == "_" for part in n.split(".")[1:])]


def test_no_files_import_one_another():
    assert [relative(group) for group in circles(import_graph(ROOT))] == []


def test_no_benchmarks_import_one_another():
    assert [relative(group) for group in circles(import_graph(REPOSITORY / "benchmarks"))] == []


def test_private_files_of_benchmarks_are_imported_in_their_folder_alone():
    graph = import_graph(REPOSITORY / "benchmarks")
    private = [
        (str(path.relative_to(REPOSITORY)), str(other.relative_to(REPOSITORY)))
        for path, others in graph.items()
        for other in others
        if other.name.startswith("_") and other.name != "__init__.py" and other.parent != path.parent
    ]
    assert private == []


@pytest.mark.parametrize(
    "back",
    [
        "from .one import f",
        "from package import f",
        "from package.folder import f",
        "def g():\n    from package.folder.one import f",
        "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from . import one",
        "import package.folder.one",
    ],
)
def test_a_circle_is_found_however_it_is_written(tmp_path, back):
    folder = tmp_path / "package" / "folder"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("from .folder import f")
    (folder / "__init__.py").write_text("from .one import f")
    (folder / "one.py").write_text("from .three import h\n\ndef f():\n    from package.folder import two")
    (folder / "two.py").write_text(back)
    (folder / "three.py").write_text("h = 1")
    assert circles(import_graph(folder.parent)) == [[folder / "one.py", folder / "two.py"]]
