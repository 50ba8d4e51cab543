"""Scores of embeddings, of neighbours where a method gives no embedding, and of mosaics."""
