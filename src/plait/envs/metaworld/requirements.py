"""What must be installed, said in one sentence before anything long starts."""

from types import ModuleType

from plait.envs.benchmark import MissingBenchmarkError, require_benchmark
from plait.envs.opengl_library import leftovers_of_mujoco_4

MUJOCO_VERSION = "3.3.0"
INSTALL = "pip install 'plait[metaworld]'"


def import_metaworld() -> ModuleType:
    """Return the package `metaworld`.

    Raises:
        MissingBenchmarkError: If it is not installed, or MuJoCo is of another version.
    """
    installed = require_benchmark("Meta-World", "metaworld", MUJOCO_VERSION, INSTALL)
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
