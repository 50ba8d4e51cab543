"""Which file imports which, and the circles among them."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

FACE = "__init__.py"


def import_graph(root: Path) -> dict[Path, set[Path]]:
    """Files of a package and those of its files that each imports, anywhere in it, for types alone included.

    A name that a folder's face takes from a file of the folder is an import of that file.
    """
    return {path: set(_imported(path, root)) - {path} for path in sorted(root.rglob("*.py"))}


def circles(graph: Mapping[Path, set[Path]]) -> list[list[Path]]:
    """Groups of files each of which imports the others, by way of others or not."""
    files = list(graph)
    edges = np.array([[other in graph[one] for other in files] for one in files])
    _, group = connected_components(edges, directed=True, connection="strong")
    found = [[path for path, own in zip(files, group, strict=True) if own == g] for g in np.unique(group)]
    return [paths for paths in found if len(paths) > 1]


def _imported(path: Path, root: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _found(_place(root.parent, alias.name))
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield from _found(_origin(_module(node, path, root), alias.name, root))


def _module(node: ast.ImportFrom, path: Path, root: Path) -> Path:
    """Folder, or file without its ending, that an import is from."""
    start = path.parents[node.level - 1] if node.level else root.parent
    return _place(start, node.module or "")


def _origin(module: Path, name: str, root: Path) -> Path:
    """Where a name that is imported from a module stands: through faces, the file that they take it from."""
    if _found(module / name):
        return module / name
    face = module / FACE
    for node in ast.walk(ast.parse(face.read_text())) if face.is_file() else ():
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if name == (alias.asname or alias.name):
                    return _origin(_module(node, face, root), alias.name, root)
    return module


def _place(start: Path, dotted: str) -> Path:
    return start.joinpath(*dotted.split(".")) if dotted else start


def _found(place: Path) -> list[Path]:
    """The file of a module, if it is one of the package's."""
    return [path for path in (place.parent / f"{place.name}.py", place / FACE) if path.is_file()]
