"""Fixtures of more than one folder."""

import pytest
import torch


@pytest.fixture(autouse=True)
def denormals():
    """Undo what a training sets for the whole process: hypothesis wants every float there is."""
    yield
    torch.set_flush_denormal(False)


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
