"""Is a dataset sound? One module a family of checks, each from arrays to findings."""
