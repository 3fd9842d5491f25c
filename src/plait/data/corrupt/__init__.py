"""Corruptions: what goes wrong with a robot's senses, instructions and actions, on purpose.

    corruption("gaussian_blur", 3)                       # by name, with its options as keywords
    corruption("proprio_noise", 5, scale=std)
    all_corruptions()                                    # {"vision": ("brightness", ...), ...}

Each is a class in the file of its modality, and its name is the class's; `module:Class` is a
user's own. `base.py` says how they are applied, `docs/corruptions.md` lists them.
"""

import inspect
import sys
from typing import Any

from plait import discovery
from plait.config import Component
from plait.data.corrupt import actions, cameras, images, language, proprio
from plait.data.corrupt.base import (
    ACTION,
    SEVERITIES,
    Corruption,
    CorruptorChain,
    EpisodeCorruptor,
    SensorDelay,
    StatelessCorruption,
)
from plait.data.corrupt.raw import with_raw_masks
from plait.errors import UnknownNameError

__all__ = [
    "ACTION",
    "SEVERITIES",
    "Corruption",
    "CorruptorChain",
    "EpisodeCorruptor",
    "SensorDelay",
    "StatelessCorruption",
    "all_corruptions",
    "corruption",
    "corruption_class",
    "with_raw_masks",
]


def corruption(name: str, severity: int, **options: Any) -> Corruption:
    """Build a corruption.

    Args:
        name: One of `all_corruptions`, or `module:Class` for a class of the user's.
        severity: 1 to 5.
        options: Those of its class.

    Raises:
        UnknownNameError: If there is no such corruption, or it has no such option.
        OptionError: If the severity or an option has a value it cannot have.
    """
    kind = corruption_class(name)
    built: Corruption = discovery.build(kind, Component(name=name, options=options), severity)
    return built


def corruption_class(name: str) -> type[Corruption]:
    """Return the class of a corruption: its strengths, and what it keeps.

    Raises:
        UnknownNameError: If there is none of that name.
    """
    if ":" in name:
        return discovery.load(sys.modules[__name__], name, Corruption)  # type: ignore[type-abstract]
    known = {kind.name: kind for kind in _classes()}
    if name not in known:
        raise UnknownNameError("corruption", name, known)
    return known[name]


def all_corruptions() -> dict[str, tuple[str, ...]]:
    """List the names of all corruptions by modality."""
    names: dict[str, tuple[str, ...]] = {}
    for kind in _classes():
        names[kind.modality] = tuple(sorted((*names.get(kind.modality, ()), kind.name)))
    return names


def _classes() -> list[type[Corruption]]:
    """Collect what the files define, files in the order of the modalities."""
    return [
        member
        for module in (images, cameras, language, proprio, actions)
        for member in vars(module).values()
        if inspect.isclass(member)
        and issubclass(member, Corruption)
        and not inspect.isabstract(member)
        and member.__module__ == module.__name__
    ]
