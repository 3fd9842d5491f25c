"""What importing costs: nothing heavy that is not needed."""

import subprocess
import sys

import pytest

HEAVY = ("tensorflow", "torchvision", "datasets", "lerobot", "wandb", "cv2")


def modules_after(statement):
    code = f"{statement}\nimport sys\nprint(chr(10).join(sys.modules))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_importing_plait_imports_no_library():
    assert not modules_after("import plait") & {"numpy", "torch", "pyarrow", "av", "mujoco", *HEAVY}


@pytest.mark.parametrize("module", ["plait.data.dataset", "plait.policy", "plait.cli"])
def test_no_heavy_library_comes_along(module):
    found = modules_after(f"import {module}")
    assert "plait" in found
    assert not found & set(HEAVY)


def test_reading_needs_no_torch():
    assert "torch" not in modules_after("import plait.data.lerobot.reader")
