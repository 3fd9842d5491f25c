"""Demonstrations: LeRobot datasets in and out, and batches from them by index."""
