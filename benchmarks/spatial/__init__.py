"""Sections of tissue: regions in them, and tissues of sections that were never seen."""
