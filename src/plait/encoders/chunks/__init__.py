"""Encoders of action chunks, one a file: what a robot did, as tokens, for alignment.

A policy has none: actions are what it predicts, never what it sees.
"""
