"""What a user of the command line can mend."""

from __future__ import annotations


class InputError(Exception):
    """A file or an option cannot be used."""
