"""Which OpenGL library can be used here, and an `import mujoco` that does not need one.

`import mujoco` dies of an AttributeError where `MUJOCO_GL` names a library that is missing, and of
an OSError where two of its versions are mixed. `plait.envs` imports it here before anything else
does, so that whoever needs no OpenGL goes on, and whoever does is told what to install.
"""

import ctypes.util
import importlib
import importlib.metadata
import os
from collections.abc import Iterator
from contextlib import contextmanager

from plait.errors import PlaitError

# Libraries by the platform of PyOpenGL that needs them. OSMesa first: it is one small package.
LIBRARIES = {"osmesa": "OSMesa", "egl": "EGL"}
HOW_TO_INSTALL = (
    "install one: `apt-get install --no-install-recommends libosmesa6` on Debian and Ubuntu, "
    "`dnf install mesa-libOSMesa` on Fedora"
)
# MuJoCo 4 lies in several packages, which stay behind when it is replaced by MuJoCo 3.
PARTS_OF_MUJOCO_4 = ("mujoco-core", "mujoco-studio")


class NoOpenGLError(PlaitError):
    """There is no OpenGL library to take pictures with."""


class BrokenMujocoError(PlaitError):
    """MuJoCo is installed but cannot be imported."""


def find_platform() -> str | None:
    """Return the platform that can render here: what `MUJOCO_GL` asks for, or what is installed."""
    wanted = _asked().lower()
    names = [wanted] if wanted in LIBRARIES else list(LIBRARIES)
    return next((name for name in names if ctypes.util.find_library(LIBRARIES[name])), None)


def require_opengl(way_out: str = "") -> None:
    """Refuse to start what needs pictures where none can be taken.

    Args:
        way_out: What else the user can do, as the end of a sentence.

    Raises:
        NoOpenGLError: Naming the package to install.
    """
    if find_platform() is not None:
        return
    asked = _asked()
    found = (
        f"the library that MUJOCO_GL={asked} asks for was not found"
        if asked.lower() in LIBRARIES
        else "neither OSMesa nor EGL was found"
    )
    raise NoOpenGLError(
        f"taking pictures needs OpenGL, and {found}; {HOW_TO_INSTALL}"
        + (f"; or {way_out}" if way_out else "")
    )


def import_mujoco() -> None:
    """Import MuJoCo, without its OpenGL where the library that it would look for is missing.

    Raises:
        BrokenMujocoError: If it cannot be imported, saying how to install it anew.
    """
    try:
        with _without_missing_library():
            importlib.import_module("mujoco")
    except (ImportError, OSError, RuntimeError) as error:
        leftovers = leftovers_of_mujoco_4()
        reason = f"MuJoCo cannot be imported ({error})"
        if leftovers:
            raise BrokenMujocoError(f"{reason}; {leftovers}") from error
        raise BrokenMujocoError(reason) from error


def leftovers_of_mujoco_4() -> str:
    """Say what remains of a MuJoCo 4 beside a MuJoCo 3, and how to get rid of it; else empty."""
    found = _version("mujoco") or ""
    parts = [part for part in PARTS_OF_MUJOCO_4 if _version(part)]
    if not parts or not found.startswith("3."):
        return ""
    return (
        f"beside MuJoCo {found} there are parts of MuJoCo {_version(parts[0])}; run: "
        f"pip uninstall -y mujoco {' '.join(parts)} && pip install mujoco=={found}"
    )


def _asked() -> str:
    return os.environ.get("PYOPENGL_PLATFORM") or os.environ.get("MUJOCO_GL", "").strip()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


@contextmanager
def _without_missing_library() -> Iterator[None]:
    """Hide a `MUJOCO_GL` that names a missing library; it stays, to be told of where it matters."""
    asked = os.environ.get("MUJOCO_GL")
    is_missing = (asked or "").strip().lower() in LIBRARIES and find_platform() is None
    if asked is None or not is_missing:
        yield
        return
    os.environ["MUJOCO_GL"] = "disable"
    try:
        yield
    finally:
        os.environ["MUJOCO_GL"] = asked


import_mujoco()
