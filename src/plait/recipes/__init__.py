"""Trainings that made published figures, as values of Python: what was used, and nothing else."""
