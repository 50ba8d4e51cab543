"""What a user of the command line can mend."""


class InputError(Exception):
    """A file or an option cannot be used."""
