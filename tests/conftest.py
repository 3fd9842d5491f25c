"""Fixtures of more than one folder."""

import pytest


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Return a function that gives the folder of a tiny pretrained model, e.g. `tiny("clip")`."""
    import tiny_models

    root = tmp_path_factory.mktemp("models")
    made = {}

    def get(name):
        if name not in made:
            made[name] = getattr(tiny_models, name)(root / name)
        return str(made[name])

    return get
