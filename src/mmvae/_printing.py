"""Names of a user's in what is printed."""


def printable(text: object, keep: str = "") -> str:
    """``text`` in which what a terminal would act on is shown as Python writes it, but for the characters to ``keep``."""
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in str(text))
