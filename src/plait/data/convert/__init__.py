"""Datasets of other formats, turned into LeRobot v3.0: one file a format in `formats/`."""
