"""Environments, by name: `make_env("tabletop/pick")`. Importing this registers them all."""

from typing import Any

import gymnasium

from plait.envs.tabletop import ENV_ID
from plait.envs.tabletop.suites import suite_names, suite_options
from plait.errors import OptionError, UnknownNameError

__all__ = ["available_suites", "make_env"]


def available_suites() -> tuple[str, ...]:
    """Return every name that `make_env` knows."""
    return tuple(f"tabletop/{name}" for name in suite_names())


def make_env(name: str, **options: Any) -> gymnasium.Env[Any, Any]:
    """Make the environment of a name such as `tabletop/pick` or `tabletop/pick-holdout`.

    Args:
        name: One of `available_suites()`.
        options: The environment's own, such as `image_size=128` or `cameras=("base",)`.

    Raises:
        UnknownNameError: If nothing has that name.
        OptionError: If the environment has no such option.
    """
    if name not in available_suites():
        raise UnknownNameError("environment", name, available_suites())
    settings = {"render_mode": "rgb_array", **suite_options(name.partition("/")[2]), **options}
    try:
        return gymnasium.make(ENV_ID, **settings)
    except TypeError as error:
        raise OptionError(f"{name} cannot be made with {sorted(options)}: {error}") from error
