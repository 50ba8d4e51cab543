"""Inspection of the user's data: what is taken of them, what is wrong, what to watch."""
