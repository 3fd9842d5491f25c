"""The LeRobot dataset format, read and written."""
