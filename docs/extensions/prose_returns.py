"""Show a Returns section as it is written: sentences and lists, not one item for each line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sphinx.ext.napoleon import NumpyDocstring

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def _returns(self: NumpyDocstring, section: str) -> list[str]:
    """The section's text; its types are those of the annotations."""
    lines = self._dedent(self._consume_to_next_section())
    # sphinx_autodoc_typehints puts a colon on top, which tells napoleon that what follows is no type.
    text = lines[1:] if lines[:1] == [":"] else lines
    return [*self._format_block(":returns: ", text), ""]


def setup(app: Sphinx) -> dict[str, bool]:
    """Take the place of napoleon's own reading, in which a line with a colon is a name and its description."""
    NumpyDocstring._parse_returns_section = _returns
    return {"parallel_read_safe": True, "parallel_write_safe": True}
