"""When an episode has succeeded or failed, and what was acted on."""

from typing import NamedTuple

import numpy as np

from plait.envs.tabletop.scene import HALF_HEIGHT, STACKABLE
from plait.envs.tabletop.tasks import DIRECTIONS, PUSH_GOAL_M, Task
from plait.envs.tabletop.world import World

RUNNING, SUCCESS, WRONG_OBJECT, WRONG_PLACE, TIMEOUT = OUTCOMES = (
    "running",
    "success",
    "wrong_object",
    "wrong_place",
    "timeout",
)
LIFTED_M = 0.05  # the named object is picked up at this height
WRONG_LIFT_M = 0.025  # another one is already the wrong one at this height
WRONG_PUSH_M = 0.025
SETTLED_M_S = 0.05
STACK_OFFSET_M = 0.026


class Verdict(NamedTuple):
    """How the episode stands: its outcome and the object that decided it (None: none yet)."""

    outcome: str
    object_index: int | None


class Referee:
    """Judges one episode; asked once after every control step.

    Args:
        world: The physics.
        task: What was asked for, feasible in the world's scene.
    """

    def __init__(self, world: World, task: Task) -> None:
        self.task = task
        self._world = world
        names = [placed.thing for placed in world.scene.objects]
        self.target = names.index(task.thing)
        self.goal: int | None = None
        if task.verb == "place":
            containers = [placed.thing for placed in world.scene.containers]
            self.goal = containers.index(task.to)  # type: ignore[arg-type]
        if task.verb == "stack":
            self.goal = names.index(task.to)  # type: ignore[arg-type]
        self._settled = 0

    def judge(self) -> Verdict:
        """Return how the episode stands now."""
        verb = self.task.verb
        if verb == "touch":
            return self._judge_touch()
        if verb == "push":
            return self._judge_push()
        return self._judge_lift()

    def _judge_touch(self) -> Verdict:
        """The first object that the hand meets decides."""
        first = self._world.first_touched
        if first is None:
            return Verdict(RUNNING, None)
        return Verdict(SUCCESS if first == self.target else WRONG_OBJECT, first)

    def _judge_push(self) -> Verdict:
        """The named object must have moved along the direction, and no other one at all."""
        world = self._world
        moved = np.array([world.position(k) for k in range(world.num_objects)])
        moved = (moved - world.start_positions)[:, :2]
        distance = np.hypot(moved[:, 0], moved[:, 1])
        distance[self.target] = 0
        other = int(np.argmax(distance))
        if distance[other] > WRONG_PUSH_M:
            return Verdict(WRONG_OBJECT, other)
        ahead_x, ahead_y = DIRECTIONS[self.task.direction or ""]
        dx, dy = moved[self.target].tolist()
        along, across = dx * ahead_x + dy * ahead_y, abs(dx * ahead_y - dy * ahead_x)
        if along >= PUSH_GOAL_M and across <= 0.6 * along:
            return Verdict(SUCCESS, self.target)
        if max(across, -along) > PUSH_GOAL_M:
            return Verdict(WRONG_PLACE, self.target)
        return Verdict(RUNNING, None)

    def lift(self, index: int) -> float:
        """Return how far an object is above where it started [m]."""
        return float(self._world.position(index)[2] - self._world.start_positions[index, 2])

    def _judge_lift(self) -> Verdict:
        """Pick, place and stack: lifting another object ends it."""
        held = self._world.held()
        for index in held:
            if index != self.target and self.lift(index) > WRONG_LIFT_M:
                return Verdict(WRONG_OBJECT, index)
        if self.task.verb == "pick":
            done = self.target in held and self.lift(self.target) >= LIFTED_M
            self._settled = self._settled + 1 if done else 0
            return Verdict(SUCCESS, self.target) if self._settled >= 2 else Verdict(RUNNING, None)
        return self._judge_release()

    def _judge_release(self) -> Verdict:
        """Place and stack: the named object lies still, let go, on something."""
        world, target = self._world, self.target
        if target in world.touched() or world.speed(target) > SETTLED_M_S:
            self._settled = 0
            return Verdict(RUNNING, None)
        support = self._support()
        self._settled = self._settled + 1 if support is not None else 0
        if support is None or self._settled < 2:
            return Verdict(RUNNING, None)
        return Verdict(SUCCESS if support == self.goal else WRONG_PLACE, target)

    def _support(self) -> int | None:
        """Return the container (place) or object (stack) that carries the named object."""
        world, target = self._world, self.target
        objects, containers = world.supports(target)
        x, y, z = world.position(target).tolist()
        if self.task.verb == "place":
            for index in containers:
                cx, cy, _ = world.container_position(index).tolist()
                if max(abs(x - cx), abs(y - cy)) < 0.05:
                    return index
            return None
        for index in objects:
            bx, by, bz = world.position(index).tolist()
            shape = world.scene.objects[index].thing.shape
            above = z - bz > 0.8 * HALF_HEIGHT[shape]
            if shape in STACKABLE and above and np.hypot(x - bx, y - by) < STACK_OFFSET_M:
                return index
        return None

    def phase(self) -> str:
        """Name what the episode is at: approach, push, grasp, lift or carry."""
        world, target = self._world, self.target
        touching = target in world.touched()
        if self.task.verb == "push":
            return "push" if touching else "approach"
        if not touching:
            return "approach"
        if target not in world.held() or self.lift(target) < 0.01:
            return "grasp"
        return "lift" if self.task.verb == "pick" else "carry"
