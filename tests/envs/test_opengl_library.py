"""What is said where OpenGL or MuJoCo is amiss, and what goes on nevertheless."""

import ctypes.util
import importlib.metadata
import os
import subprocess
import sys

import pytest

from plait.envs import opengl_library
from plait.envs.opengl_library import (
    BrokenMujocoError,
    NoOpenGLError,
    find_platform,
    import_mujoco,
    leftovers_of_mujoco_4,
    require_opengl,
)

BARE = """
import ctypes.util
ctypes.util.find_library = lambda name: None
import plait.envs
env = plait.envs.make_env("tabletop/touch", image_size=8)
env.reset(seed=0)
from plait.envs.opengl_library import NoOpenGLError, require_opengl
try:
    require_opengl("go without")
except NoOpenGLError as error:
    print(error)
"""
DRAW = """
import mujoco
from plait.envs.opengl import OffscreenRenderer, RenderProfile, find_platform
model = mujoco.MjModel.from_xml_string(
    "<mujoco><worldbody><camera pos='0 0 3'/><geom size='1' rgba='1 0 0 1'/></worldbody></mujoco>"
)
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
renderer = OffscreenRenderer(model, 16, RenderProfile())
print(find_platform(), renderer.render(model, data, 0)[8, 8].argmax())
"""


def run(code: str, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("MUJOCO_GL", "PYOPENGL_PLATFORM")}
    env = {**kept, **settings}
    return subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
    )


@pytest.fixture
def installed(monkeypatch):
    """Return a function that says which libraries are found, and what the environment asks for."""
    for name in ("MUJOCO_GL", "PYOPENGL_PLATFORM"):
        monkeypatch.delenv(name, raising=False)

    def say(*libraries: str, **asked: str) -> None:
        found = {name: f"lib{name}.so" for name in libraries}
        monkeypatch.setattr(ctypes.util, "find_library", found.get)
        for name, value in asked.items():
            monkeypatch.setenv(name, value)

    return say


@pytest.mark.parametrize(
    ("libraries", "asked", "expected"),
    [
        (("OSMesa", "EGL"), {}, "osmesa"),
        (("EGL",), {}, "egl"),
        ((), {}, None),
        (("OSMesa", "EGL"), {"MUJOCO_GL": "egl"}, "egl"),
        (("OSMesa", "EGL"), {"MUJOCO_GL": " OSMesa"}, "osmesa"),
        (("OSMesa",), {"MUJOCO_GL": "egl"}, None),
        (("OSMesa", "EGL"), {"MUJOCO_GL": "glfw"}, "osmesa"),
        (("OSMesa", "EGL"), {"MUJOCO_GL": "osmesa", "PYOPENGL_PLATFORM": "egl"}, "egl"),
    ],
)
def test_platform(installed, libraries, asked, expected):
    installed(*libraries, **asked)
    assert find_platform() == expected


def test_the_package_to_install_is_named(installed):
    installed()
    with pytest.raises(NoOpenGLError, match=r"neither OSMesa nor EGL.*libosmesa6.*or go without"):
        require_opengl("go without")
    installed("OSMesa", MUJOCO_GL="egl")
    with pytest.raises(NoOpenGLError, match=r"MUJOCO_GL=egl asks for was not found.*libosmesa6"):
        require_opengl()
    installed("OSMesa")
    os.environ.pop("MUJOCO_GL")
    require_opengl()


@pytest.mark.parametrize("asked", ["osmesa", "egl"])
def test_a_missing_library_stops_only_what_needs_it(asked):
    """`import mujoco` itself would die of an AttributeError here."""
    done = run(BARE, MUJOCO_GL=asked)
    assert done.stderr == ""
    assert done.returncode == 0
    assert f"MUJOCO_GL={asked} asks for" in done.stdout


@pytest.mark.parametrize("asked", ["", "osmesa", "egl"])
def test_pictures_are_taken_and_nothing_is_said_at_exit(asked):
    library = opengl_library.LIBRARIES.get(asked)
    if find_platform() is None or (library and ctypes.util.find_library(library) is None):
        pytest.skip("no OpenGL library is installed")
    done = run(DRAW, **({"MUJOCO_GL": asked} if asked else {}))
    assert done.stderr == ""
    platform, brightest = done.stdout.split()
    assert brightest == "0"
    assert platform == (asked or platform)


def test_parts_of_a_newer_mujoco_are_named(monkeypatch):
    versions = {"mujoco": "3.3.0", "mujoco-core": "4.0.0", "mujoco-studio": "4.0.0"}

    def version(package: str) -> str:
        if package not in versions:
            raise importlib.metadata.PackageNotFoundError(package)
        return versions[package]

    def broken(name: str) -> None:
        raise OSError("libmujoco.so.4.0.0: cannot open shared object file")

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert "pip uninstall -y mujoco mujoco-core mujoco-studio" in leftovers_of_mujoco_4()
    monkeypatch.setattr(opengl_library.importlib, "import_module", broken)
    with pytest.raises(BrokenMujocoError, match=r"libmujoco.so.4.*pip install mujoco==3.3.0"):
        import_mujoco()
    versions["mujoco"] = "4.0.0"
    assert leftovers_of_mujoco_4() == ""
    del versions["mujoco-core"], versions["mujoco-studio"]
    with pytest.raises(BrokenMujocoError, match=r"cannot be imported \(libmujoco"):
        import_mujoco()
