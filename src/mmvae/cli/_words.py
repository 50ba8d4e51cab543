"""What a failure says to a user."""


def in_words(error: BaseException) -> str:
    """The sentence of an exception; what the system calls its own helps nobody."""
    if not isinstance(error, OSError):
        return f"{type(error).__name__}: {error}"
    return error.strerror if error.filename is None and error.strerror else str(error)
