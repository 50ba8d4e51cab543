"""Leave what a class inherits from other packages to their documentation."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx


def skip_foreign(app: Sphinx, what: str, name: str, member: Any, skip: bool, options: Any) -> bool | None:
    """Skip a class's member unless mmvae defines it; None leaves the choice to Sphinx."""
    if what not in {"class", "method", "property", "attribute"}:
        return None
    function = member.fget if isinstance(member, property) else inspect.unwrap(getattr(member, "__func__", member))
    module = getattr(function, "__module__", None) or ""
    return None if module.split(".")[0] == "mmvae" else True


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the hook."""
    app.connect("autodoc-skip-member", skip_foreign)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
