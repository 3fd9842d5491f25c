"""An action spec as a person writes it: a JSON file, checked field by field."""

import json
from pathlib import Path

from plait.action_spec import ActionGroup, ActionSpec
from plait.config import JsonValue, from_dict
from plait.errors import DataError, OptionError, PlaitError

EXAMPLE = '{"mode": "relative", "groups": [{"dims": [6], "kind": "gripper_binary"}]}'


def read_action_spec(path: Path) -> ActionSpec:
    """Read an action spec.

    Raises:
        DataError: If there is no such file, or it is no JSON object.
        OptionError: If a field does not exist or has a value it cannot have; names file, group
            and field.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        found = f"cannot be read ({error.strerror or error})"
        raise DataError(path, found, "a JSON file such as " + EXAMPLE) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(path, f"not valid JSON ({error})", "something like " + EXAMPLE) from error
    if not isinstance(content, dict):
        raise DataError(path, f"a {type(content).__name__}", "an object such as " + EXAMPLE)
    groups = content.get("groups", [])
    if not isinstance(groups, list):
        raise OptionError(f"{path}: ActionSpec.groups must be a list, but is {groups!r}")
    try:
        whole = from_dict(ActionSpec, {**content, "groups": []})
    except PlaitError as error:
        raise OptionError(f"{path}: {error}") from error
    read = tuple(_group(path, number, group) for number, group in enumerate(groups, start=1))
    return ActionSpec(
        mode=whole.mode, normalization=whole.normalization, clip=whole.clip, groups=read
    )


def _group(path: Path, number: int, group: JsonValue) -> ActionGroup:
    try:
        return from_dict(ActionGroup, group)
    except PlaitError as error:
        raise OptionError(f"{path}, group {number}: {error}") from error
