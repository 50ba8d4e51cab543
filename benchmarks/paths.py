"""Where tables, figures and pages are."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
STATIC = ROOT / "docs" / "_static"
EVIDENCE = ROOT / "docs" / "_evidence"
