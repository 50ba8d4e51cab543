"""Show the notebooks of ``tutorials/`` in the documentation, from a copy."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config

DOCS = Path(__file__).parents[1]
SOURCE = DOCS.parent / "tutorials"
COPY = DOCS / "_tutorials"


def copy_tutorials(app: Sphinx, config: Config) -> None:
    """Copy the notebooks, and the README as a page that lists them."""
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir()
    notebooks = sorted(SOURCE.glob("*.ipynb"))
    for notebook in notebooks:
        shutil.copy(notebook, COPY)
    listing = "\n".join(notebook.stem for notebook in notebooks)
    readme = (SOURCE / "README.md").read_text(encoding="utf-8")
    (COPY / "index.md").write_text(f"{readme}\n```{{toctree}}\n:maxdepth: 1\n\n{listing}\n```\n", encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the hook."""
    app.connect("config-inited", copy_tutorials)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
