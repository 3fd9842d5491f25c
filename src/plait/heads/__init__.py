"""Action heads, one a file: a head's name is its file's name."""
