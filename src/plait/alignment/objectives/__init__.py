"""What an alignment minimises, one objective a file: its name is the file's name."""
