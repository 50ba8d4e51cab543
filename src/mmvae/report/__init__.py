"""A trained model on one page: what went in, what came out, whether it can be relied on."""

from ._page import write
