"""Weave vision, language and action into one robot policy, and see which weave to choose."""

__version__ = "0.1.0"
