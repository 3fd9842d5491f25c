"""What can be asked for: tasks, what a scene allows, and which combinations training leaves out.

A task is (verb, object, container or second object, direction); `grammar.py` words it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from plait.envs.tabletop.scene import (
    ALL_CONTAINERS,
    ALL_OBJECTS,
    AREA_X,
    AREA_Y,
    COLOURS,
    CONTAINERS,
    SHAPES,
    STACKABLE,
    Placed,
    Scene,
    Thing,
)
from plait.errors import OptionError, UnknownNameError

VERBS = ("touch", "push", "pick", "place", "stack")
# Unit vectors on the table (x forward, y left).
DIRECTIONS: dict[str, tuple[float, float]] = {
    "left": (0.0, 1.0),
    "right": (0.0, -1.0),
    "forward": (1.0, 0.0),
    "backward": (-1.0, 0.0),
}
PUSH_GOAL_M = 0.06  # a push succeeds at this displacement
PUSH_ROOM_M = 0.115  # ... and is asked for where this much ahead is free


@dataclass(frozen=True)
class Task:
    """What success means.

    Args:
        verb: One of `VERBS`.
        thing: The object meant.
        to: Where it goes: a container (place) or another object (stack).
        direction: Where it is pushed, one of `DIRECTIONS`.
    """

    verb: str
    thing: Thing
    to: Thing | None = None
    direction: str | None = None

    def __post_init__(self) -> None:
        if self.verb not in VERBS:
            raise UnknownNameError("verb", self.verb, VERBS)
        _check(self.thing, SHAPES)
        if (self.to is not None) != (self.verb in ("place", "stack")):
            raise OptionError(f"a task needs `to` for place and stack alone, but is {self}")
        if self.to is not None:
            _check(self.to, CONTAINERS if self.verb == "place" else SHAPES)
        if (self.direction is not None) != (self.verb == "push"):
            raise OptionError(f"a task needs `direction` for push alone, but is {self}")
        if self.direction is not None and self.direction not in DIRECTIONS:
            raise UnknownNameError("direction", self.direction, DIRECTIONS)

    def to_dict(self) -> dict[str, Any]:
        """Return the task as plain values, for JSON; `from_dict` reads it back."""
        return {
            "verb": self.verb,
            "thing": list(self.thing),
            "to": None if self.to is None else list(self.to),
            "direction": self.direction,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Task":
        """Read a task as `to_dict` writes it; a thing may also be text such as `red cube`."""
        unknown = set(values) - {"verb", "thing", "to", "direction"}
        if unknown or not {"verb", "thing"} <= set(values):
            raise OptionError(
                f"a task has the keys verb, thing, to and direction, but {sorted(values)} was given"
            )
        to = values.get("to")
        return cls(
            str(values["verb"]),
            _thing(values["thing"]),
            None if to is None else _thing(to),
            values.get("direction"),
        )


def _thing(value: Any) -> Thing:
    """Read a thing from a pair or from text."""
    parts = value.split() if isinstance(value, str) else list(value)
    if len(parts) != 2:
        raise OptionError(f"a thing is a colour and a shape such as 'red cube', but is {value!r}")
    return Thing(str(parts[0]), str(parts[1]))


def _check(thing: Thing, shapes: tuple[str, ...]) -> None:
    """Refuse a colour or shape that does not exist."""
    if thing.colour not in COLOURS:
        raise UnknownNameError("colour", thing.colour, COLOURS)
    if thing.shape not in shapes:
        raise UnknownNameError("shape", thing.shape, shapes)


def all_tasks() -> Iterator[Task]:
    """Yield every task of the grammar, whether or not a scene could have it."""
    for thing in ALL_OBJECTS:
        yield Task("touch", thing)
        yield Task("pick", thing)
        for direction in DIRECTIONS:
            yield Task("push", thing, direction=direction)
        for container in ALL_CONTAINERS:
            yield Task("place", thing, container)
        for base in ALL_OBJECTS:
            if base != thing and base.shape in STACKABLE and thing.shape in STACKABLE:
                yield Task("stack", thing, base)


def is_held_out(verb: str, thing: Thing) -> bool:
    """Say whether training leaves a verb × colour × shape combination out.

    Of each shape, one colour in six is held out, another one for each shape and for each verb, so
    every verb, colour and shape is still seen in training.
    """
    colour, shape = list(COLOURS).index(thing.colour), SHAPES.index(thing.shape)
    return (colour + shape + 2 * VERBS.index(verb)) % len(COLOURS) == 0


def feasible(scene: Scene, verbs: tuple[str, ...]) -> tuple[Task, ...]:
    """Return every task that a scene allows, in a fixed order."""
    tasks: list[Task] = []
    for verb, placed in product(verbs, scene.objects):
        thing = placed.thing
        if verb == "push":
            free = [name for name in DIRECTIONS if _can_push(scene, placed, name)]
            tasks += [Task(verb, thing, direction=name) for name in free]
        elif verb == "place":
            tasks += [Task(verb, thing, to.thing) for to in scene.containers]
        elif verb == "stack":
            bases = [base.thing for base in scene.objects if base is not placed]
            tasks += [
                Task(verb, thing, base)
                for base in bases
                if thing.shape in STACKABLE and base.shape in STACKABLE
            ]
        else:
            tasks.append(Task(verb, thing))
    return tuple(tasks)


def _can_push(scene: Scene, placed: Placed, direction: str) -> bool:
    """Say whether nothing stands in the way of a push, nor where the hand starts it."""
    ahead_x, ahead_y = DIRECTIONS[direction]
    end_x, end_y = placed.x + 0.07 * ahead_x, placed.y + 0.07 * ahead_y
    if abs(end_x) > AREA_X + 0.02 or abs(end_y) > AREA_Y + 0.02:
        return False
    for other in (*scene.objects, *scene.containers):
        if other is placed:
            continue
        dx, dy = other.x - placed.x, other.y - placed.y
        along, across = dx * ahead_x + dy * ahead_y, abs(dx * ahead_y - dy * ahead_x)
        room = 0.09 if other.thing.shape in CONTAINERS else 0.062
        if -0.095 - (room - 0.062) < along < PUSH_ROOM_M + room - 0.05 and across < room:
            return False
    return True
