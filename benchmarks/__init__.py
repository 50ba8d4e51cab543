"""Measurements behind the claims of the README and the docs. Not part of the installed package."""
