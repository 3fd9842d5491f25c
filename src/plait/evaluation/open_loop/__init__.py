"""Policies and baselines compared on held-out demonstrations, without an environment."""
