"""What must be installed, said in one sentence before anything long starts."""

import importlib.metadata
from types import ModuleType

from plait.envs.opengl_library import leftovers_of_mujoco_4
from plait.errors import PlaitError

MUJOCO_VERSION = "3.3.0"
INSTALL = "pip install 'plait[metaworld]'"


class MissingBenchmarkError(PlaitError):
    """A benchmark that is not installed, or beside a MuJoCo that it does not work with."""


def import_metaworld() -> ModuleType:
    """Return the package `metaworld`.

    Raises:
        MissingBenchmarkError: If it is not installed, or MuJoCo is of another version.
    """
    try:
        installed = importlib.metadata.version("metaworld")
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingBenchmarkError(
            f"Meta-World is not installed; get it with: {INSTALL}"
        ) from error
    found = importlib.metadata.version("mujoco")
    if found != MUJOCO_VERSION:
        raise MissingBenchmarkError(
            f"Meta-World {installed} works with MuJoCo {MUJOCO_VERSION} alone, but {found} is "
            f"installed; get both with: {INSTALL}"
        )
    try:
        import metaworld
        import metaworld.env_dict
        import metaworld.policies
    except ImportError as error:
        todo = leftovers_of_mujoco_4() or f"install it anew with: {INSTALL}"
        raise MissingBenchmarkError(
            f"Meta-World {installed} cannot be imported ({error}); {todo}"
        ) from error
    return metaworld
