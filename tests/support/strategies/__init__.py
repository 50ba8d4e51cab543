"""Data, arguments and models that Hypothesis draws, and what must hold of them."""
