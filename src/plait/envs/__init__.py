"""Environments, by name: `make_env("tabletop/pick")`, `make_env("metaworld/MT10")` and so on."""

from collections.abc import Mapping
from typing import Any

import gymnasium

import plait.envs.opengl_library  # noqa: F401  the first import of MuJoCo, with clear errors
from plait.envs.family import Family
from plait.envs.libero.family import LiberoFamily
from plait.envs.metaworld.family import MetaWorldFamily
from plait.envs.tabletop.family import TabletopFamily
from plait.errors import OptionError, UnknownNameError

FAMILIES: tuple[Family, ...] = (TabletopFamily(), MetaWorldFamily(), LiberoFamily())

__all__ = ["FAMILIES", "available_suites", "family_of", "groups_of", "make_env"]


def available_suites() -> tuple[str, ...]:
    """Return every name that `make_env` knows, whether or not its package is installed."""
    return tuple(f"{family.name}/{suite}" for family in FAMILIES for suite in family.suites())


def family_of(name: str) -> Family:
    """Return the family of an environment's name.

    Raises:
        UnknownNameError: If nothing has that name.
    """
    start, _, suite = name.partition("/")
    for family in FAMILIES:
        if family.name == start and family.has(suite):
            return family
    raise UnknownNameError("environment", name, available_suites())


def groups_of(name: str) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Return the tasks of an environment that are summed up together: by kind of group, by name.

    Raises:
        UnknownNameError: If nothing has that name.
    """
    return family_of(name).groups(name.partition("/")[2])


def make_env(name: str, **options: Any) -> gymnasium.Env[Any, Any]:
    """Make the environment of a name such as `tabletop/pick`, `metaworld/MT10`.

    Args:
        name: One of `available_suites()`.
        options: The environment's own, such as `image_size=128` or `cameras=("base",)`.

    Raises:
        UnknownNameError: If nothing has that name.
        OptionError: If the environment has no such option.
        MissingBenchmarkError: If its package is not installed.
    """
    settings = {"render_mode": "rgb_array", **options}
    try:
        return family_of(name).make(name.partition("/")[2], settings)
    except TypeError as error:
        raise OptionError(f"{name} cannot be made with {sorted(options)}: {error}") from error
