"""What lies on the table: colours, shapes, containers, and how a scene is drawn from a seed.

World frame, metres: the origin is the centre of the table's top, x points forward (up in the `base`
picture, away from the robot), y to the left, z up.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.86, 0.10, 0.10),
    "green": (0.10, 0.62, 0.20),
    "blue": (0.10, 0.28, 0.88),
    "yellow": (0.98, 0.85, 0.08),
    "purple": (0.52, 0.14, 0.70),
    "orange": (0.98, 0.47, 0.04),
}
SHAPES = ("cube", "ball", "cylinder", "cross")
CONTAINERS = ("box", "plate")

CUBE_HALF = 0.024
BALL_RADIUS = 0.025
CYLINDER_RADIUS, CYLINDER_HALF = 0.022, 0.032
CROSS_ARM, CROSS_WIDTH, CROSS_HALF = 0.031, 0.0095, 0.018
BOX_HALF, BOX_WALL, BOX_HEIGHT = 0.054, 0.005, 0.030
PLATE_RADIUS, PLATE_HEIGHT = 0.056, 0.010
TABLE_X, TABLE_Y = 0.38, 0.36

# Half the extent of the region in which objects start: x (forward), y (left).
AREA_X, AREA_Y = 0.145, 0.175
# Two objects keep an elliptic distance: the open fingers need room along y.
SPACE_X, SPACE_Y = 0.080, 0.100
CONTAINER_SPACE = 0.118
START_HEIGHT = 0.17
# How often a new object is drawn among those that share a word with an earlier one; chance alone
# makes 2 of 5 of the others share one too.
RESEMBLANCE = 0.2
MAX_TRIES = 200

HALF_HEIGHT = {
    "cube": CUBE_HALF,
    "ball": BALL_RADIUS,
    "cylinder": CYLINDER_HALF,
    "cross": CROSS_HALF,
}
# From the centre to the side a finger meets, along y.
HALF_WIDTH = {
    "cube": CUBE_HALF,
    "ball": BALL_RADIUS,
    "cylinder": CYLINDER_RADIUS,
    "cross": CROSS_ARM,
}
# A ball rolls off what it is put on, and nothing rests on it.
STACKABLE = ("cube", "cylinder", "cross")


class Thing(NamedTuple):
    """What an instruction can name: a colour, and a shape (objects) or kind (containers)."""

    colour: str
    shape: str

    def __str__(self) -> str:
        return f"{self.colour} {self.shape}"


@dataclass(frozen=True)
class Placed:
    """A thing and where it starts: x, y of its centre [m] and its yaw [rad]."""

    thing: Thing
    x: float
    y: float
    yaw: float


@dataclass(frozen=True)
class Scene:
    """All that a seed decides, but for the task: objects, containers, and the hand's start [m]."""

    objects: tuple[Placed, ...]
    containers: tuple[Placed, ...]
    hand: tuple[float, float, float]


@dataclass(frozen=True)
class Layout:
    """Which scenes a suite draws.

    Args:
        min_objects: Fewest objects, at least one more than can be meant.
        max_objects: Most objects.
        num_containers: Containers in every scene.
        min_stackable: Objects in every scene that one can stack.
    """

    min_objects: int
    max_objects: int
    num_containers: int = 0
    min_stackable: int = 0


ALL_OBJECTS = tuple(Thing(colour, shape) for colour in COLOURS for shape in SHAPES)
ALL_CONTAINERS = tuple(Thing(colour, kind) for colour in COLOURS for kind in CONTAINERS)


def draw_scene(
    rng: np.random.Generator, layout: Layout, pool: Sequence[Thing], required: Sequence[Thing]
) -> Scene:
    """Draw a scene whose objects come from `pool`, at least one of them from `required`.

    Args:
        rng: Where chance comes from.
        layout: How many of what.
        pool: Objects that may appear.
        required: One of these appears (a held-out combination, say).

    Returns:
        The scene. No two objects are the same thing, and each shares its colour or its shape with
        another one more often than not, so that one word seldom suffices.
    """
    for _ in range(MAX_TRIES):
        count = int(rng.integers(layout.min_objects, layout.max_objects + 1))
        things = _draw_things(rng, count, pool, required)
        if sum(thing.shape in STACKABLE for thing in things) < layout.min_stackable:
            continue
        containers = _draw_containers(rng, layout.num_containers)
        spots = _draw_spots(rng, len(containers), count)
        if spots is None:
            continue
        # Anywhere over the area: were it near the centre, its place would give the direction of
        # travel away, and a policy could move on without reading the instruction again.
        hand = rng.uniform((-AREA_X, -AREA_Y, -0.02), (AREA_X, AREA_Y, 0.02))
        return Scene(
            objects=tuple(
                Placed(thing, x, y, _draw_yaw(rng, thing))
                for thing, (x, y) in zip(things, spots[len(containers) :], strict=True)
            ),
            containers=tuple(
                Placed(thing, x, y, 0.0)
                for thing, (x, y) in zip(containers, spots[: len(containers)], strict=True)
            ),
            hand=(float(hand[0]), float(hand[1]), START_HEIGHT + float(hand[2])),
        )
    raise RuntimeError(f"no scene with {layout} fits on the table")  # a mistake in the layout


def _draw_things(
    rng: np.random.Generator, count: int, pool: Sequence[Thing], required: Sequence[Thing]
) -> list[Thing]:
    """Draw distinct things, of which new ones tend to resemble earlier ones."""
    things = [required[int(rng.integers(len(required)))]]
    while len(things) < count:
        other = things[int(rng.integers(len(things)))]
        like = [t for t in pool if (t.colour == other.colour) != (t.shape == other.shape)]
        options = like if rng.random() < RESEMBLANCE else list(pool)
        options = [t for t in options if t not in things] or [t for t in pool if t not in things]
        things.append(options[int(rng.integers(len(options)))])
    rng.shuffle(things)
    return [Thing(*thing) for thing in things]


def _draw_containers(rng: np.random.Generator, count: int) -> list[Thing]:
    """Draw distinct containers."""
    picks = rng.choice(len(ALL_CONTAINERS), size=count, replace=False)
    return [ALL_CONTAINERS[int(pick)] for pick in picks]


def _draw_spots(
    rng: np.random.Generator, num_containers: int, num_objects: int
) -> list[tuple[float, float]] | None:
    """Draw centres with room between them, the containers' first; None if that did not work out."""
    spots: list[tuple[float, float]] = []
    for index in range(num_containers + num_objects):
        is_container = index < num_containers
        reach_x, reach_y = (AREA_X - 0.03, AREA_Y - 0.02) if is_container else (AREA_X, AREA_Y)
        for _ in range(60):
            x, y = float(rng.uniform(-reach_x, reach_x)), float(rng.uniform(-reach_y, reach_y))
            if all(
                _has_room(x - a, y - b, is_container=is_container or other < num_containers)
                for other, (a, b) in enumerate(spots)
            ):
                spots.append((x, y))
                break
        else:
            return None
    return spots


def _has_room(dx: float, dy: float, *, is_container: bool) -> bool:
    """Say whether two centres this far apart leave the hand room between the things."""
    if is_container:
        return math.hypot(dx, dy) >= CONTAINER_SPACE
    return math.hypot(dx / SPACE_X, dy / SPACE_Y) >= 1.0


def _draw_yaw(rng: np.random.Generator, thing: Thing) -> float:
    """Draw how a thing is turned [rad]; little enough for fingers that close along y."""
    reach = {"cube": 0.30, "cross": 0.20}.get(thing.shape, 0.0)
    return float(rng.uniform(-reach, reach)) if reach else 0.0
