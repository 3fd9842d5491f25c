"""Fusion strategies, one a file: a strategy's name is its file's name."""
