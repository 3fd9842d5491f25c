"""What the adapters of installed benchmarks share: what must be installed, and what is refused."""

import importlib.metadata
from collections.abc import Collection, Sequence

import numpy as np
from jaxtyping import Float32

from plait.errors import OptionError, PlaitError, UnknownNameError

SMALLEST_PICTURE, LARGEST_PICTURE = 8, 1024


class MissingBenchmarkError(PlaitError):
    """A benchmark that is not installed, or beside a MuJoCo that it does not work with."""


def require_benchmark(title: str, package: str, mujoco: str, install: str) -> str:
    """Return the installed version of a benchmark.

    Args:
        title: What people call it.
        package: Its distribution.
        mujoco: The MuJoCo that it works with.
        install: The command that gets both.

    Raises:
        MissingBenchmarkError: If it is not installed, or MuJoCo is of another version.
    """
    try:
        installed = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingBenchmarkError(f"{title} is not installed; get it with: {install}") from error
    found = importlib.metadata.version("mujoco")
    if found != mujoco:
        raise MissingBenchmarkError(
            f"{title} {installed} works with MuJoCo {mujoco} alone, but {found} is installed; get "
            f"both with: {install}"
        )
    return installed


def require_cameras(title: str, cameras: Sequence[str], known: Collection[str]) -> None:
    """Refuse cameras that a benchmark has not, and none at all.

    Raises:
        UnknownNameError: If there is no such camera.
        OptionError: If none is asked for.
    """
    for camera in cameras:
        if camera not in known:
            raise UnknownNameError(f"camera of {title}", camera, known)
    if not cameras:
        raise OptionError(f"the environment needs at least one camera, e.g. {next(iter(known))}")


def require_image_size(size: int) -> None:
    """Refuse pictures that are too small to show anything, or too large to be meant.

    Raises:
        OptionError: Naming the size.
    """
    if not SMALLEST_PICTURE <= size <= LARGEST_PICTURE:
        raise OptionError(
            f"image_size must be from {SMALLEST_PICTURE} to {LARGEST_PICTURE} pixels, but is {size}"
        )


def checked_action(action: np.ndarray, dim: int) -> Float32[np.ndarray, " action_dim"]:
    """Return an action cut to [-1, 1].

    Raises:
        OptionError: If it has another shape or is not finite.
    """
    action = np.asarray(action, np.float32)
    if action.shape != (dim,):
        raise OptionError(f"an action has shape ({dim},), but {action.shape} was given")
    if not np.isfinite(action).all():
        raise OptionError(f"an action must be finite, but {action.tolist()} was given")
    return np.clip(action, -1.0, 1.0)
