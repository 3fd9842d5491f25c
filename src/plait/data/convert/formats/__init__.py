"""One file a format; its name is what `plait convert --format` takes."""
