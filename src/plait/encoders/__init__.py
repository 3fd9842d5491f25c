"""Encoders, one a file: its name is the file's name."""
