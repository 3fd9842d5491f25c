"""Names of a feature's numbers, in any of the forms that `info.json` has them in."""

from collections.abc import Mapping
from typing import Any


def feature_names(feature: Mapping[str, Any]) -> tuple[str, ...]:
    """Return one name a number; nothing where they are not all named, or not all differently.

    A list, a list of lists, lists by the part of the robot, and places by name all occur.

    Args:
        feature: Its description, with `shape` and `names`.
    """
    names = feature.get("names")
    if isinstance(names, Mapping) and all(isinstance(place, int) for place in names.values()):
        names = sorted(names, key=dict(names).__getitem__)
    found = tuple(_flatten(names))
    is_complete = [len(found)] == list(feature.get("shape", ()))
    return found if is_complete and len(set(found)) == len(found) else ()


def _flatten(names: Any) -> list[str]:
    if isinstance(names, str):
        return [names]
    parts = names.values() if isinstance(names, Mapping) else names
    return [name for part in parts or () for name in _flatten(part)]
