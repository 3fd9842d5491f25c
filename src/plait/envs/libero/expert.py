"""A scripted expert that picks a thing up and puts it where the goal says, by privileged state.

LIBERO ships no expert and its package no demonstrations; these are Plait's own. What to do follows
from where things are now, with no plan to lose: whoever is pushed aside goes on from there.
"""

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from jaxtyping import Float32, Float64
from scipy.spatial.transform import Rotation

from plait.envs.libero.env import LiberoEnv
from plait.envs.libero.geometry import UP, Box, Shapes, Vector
from plait.envs.libero.simulator import ACTION_DIM
from plait.envs.libero.tasks import Task
from plait.errors import OptionError

# What an action of 1 asks for: metres, radians.
METRES, RADIANS = 0.05, 0.5
# How much of the way is asked for in one step; the arm follows with a lag.
GAIN = 2.0
OPEN, CLOSED = -1.0, 1.0
# The fingers open 8 cm wide, and are this long above the point that grasps.
WIDEST_GRASP, FINGER_LENGTH = 0.07, 0.032
# From the grasping point to the fingertips and a little more.
FINGERTIP = 0.013
# How deep a wall is taken between the fingers, and how thick it may be.
RIM_DEPTH, RIM_THICKNESS = 0.02, 0.006
# Along and across a drawer, of the unit vector to where a finger fits between wall and bowl.
TO_CORNER = (0.82, 0.57)
# Closer than this the hand is where it should be, and farther than that it stays high.
NEAR, FAR = 0.012, 0.05
NEAR_HEIGHT, NEAR_ANGLE = 0.006, 0.2
# A thing that is held may slip this far.
SLIP = 0.025
# A finger is this far from the middle [m] when the hand is wide open, and closer than that when it
# holds nothing. Slower than this [m/s] it has closed as far as it can.
WIDE_OPEN, EMPTY, STILL = 0.038, 0.003, 0.03
# A thing is put down from this height above where it will stand; into a basket from so high.
DROP, DROP_INTO = 0.01, 0.04
# How far above its place a thing is carried there, and the empty hand comes above a thing.
CLEARANCE = 0.04
# Where a thing may be let go, beside the middle of its place.
ON_TARGET = 0.02
PLACING = ("in", "on")


@dataclass(frozen=True)
class Grasp:
    """Where to hold something.

    Attributes:
        point: Between the fingertips [m].
        closing: Level direction in which the fingers close.
        is_thin: Whether fingers that hold it are as close as those that hold nothing.
    """

    point: Vector
    closing: Vector
    is_thin: bool = False


class LiberoExpert:
    """Acts on the privileged state.

    Args:
        env: A LIBERO environment, wrapped or not, after its reset.

    Raises:
        OptionError: If the environment is another, or its task needs more than picking and placing.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        own = env.unwrapped
        if not isinstance(own, LiberoEnv):
            raise OptionError(f"the expert acts in LIBERO, but {own} was given")
        self._simulator = own.simulator
        self._shapes = Shapes(self._simulator)
        goal = self._simulator.problem.parsed_problem["goal_state"]
        if len(goal) != 1 or goal[0][0] not in PLACING:
            raise _no_expert(own.task, "it picks up one thing and puts it down")
        self._is_into, self._thing, self._place = goal[0][0] == "in", goal[0][1], goal[0][2]
        if self._is_closed(self._place):
            raise _no_expert(own.task, f"it opens nothing, and {self._place} is closed")
        if self._is_too_flat(self._shapes.box(self._thing)):
            raise _no_expert(
                own.task, f"{self._thing} is too wide for its hand and too flat to take by the rim"
            )
        self._drawer = next(
            (
                state[2]
                for state in self._simulator.problem.parsed_problem["initial_state"]
                if state[0] == "in" and state[1] == self._thing
            ),
            None,
        )
        self._travel_height = float(self._hand[UP])

    @property
    def _hand(self) -> Vector:
        """Point between the fingertips."""
        robot = self._simulator.problem.robots[0]
        return self._simulator.data.site_xpos[robot.eef_site_id].copy()

    @property
    def _fingers(self) -> Float64[np.ndarray, "2"]:
        """How far each finger is from the middle [m]."""
        numbers = self._simulator.problem.robots[0]._ref_gripper_joint_pos_indexes
        return np.abs(self._simulator.data.qpos[numbers])

    @property
    def _pose(self) -> Float64[np.ndarray, "3 3"]:
        """Directions of the hand's axes, one a column: the fingers close along x, point along z."""
        robot = self._simulator.problem.robots[0]
        return self._simulator.data.site_xmat[robot.eef_site_id].reshape(3, 3)

    def _is_closed(self, place: str) -> bool:
        """Whether a place is the inside of a drawer or an oven that is not open."""
        problem = self._simulator.problem
        region = problem.object_sites_dict.get(place)
        can_open = region is not None and bool(region.joints)
        return can_open and not problem.object_states_dict[place].is_open()

    @staticmethod
    def _is_too_flat(thing: Box) -> bool:
        """Whether fingers would meet the table before they hold a wide thing by its rim."""
        is_wide = not _fitting(thing)
        return is_wide and 2 * thing.half_height < RIM_DEPTH + FINGERTIP

    def act(self) -> Float32[np.ndarray, "7"]:
        """Return the action for the state the environment is in now."""
        thing, place = self._shapes.box(self._thing), self._shapes.box(self._place)
        grasp = self.grasp(thing)
        if self._is_over(thing, place) and thing.bottom < self._release_height(thing, place):
            return self._command(self._hand, grasp.closing, OPEN)
        if self._is_held(grasp):
            return self._carry(thing, place) if self._has_closed() else self._close(grasp)
        return self._approach(grasp, thing.top + CLEARANCE)

    def _close(self, grasp: Grasp) -> Float32[np.ndarray, "7"]:
        """Close the hand where it is."""
        return self._command(self._hand, grasp.closing, CLOSED)

    def _approach(self, grasp: Grasp, high: float) -> Float32[np.ndarray, "7"]:
        """Come from above, no lower than `high` while aside, and close the hand where it should."""
        error = grasp.point - self._hand
        aside = float(np.linalg.norm(error[:UP]))
        turn = np.linalg.norm(self._turn(grasp.closing))
        if aside < NEAR and abs(error[UP]) < NEAR_HEIGHT and turn < NEAR_ANGLE:
            return self._close(grasp)
        aside = max(aside, FAR if turn > 2 * NEAR_ANGLE else 0.0)
        return self._command(self._funnel(grasp.point, aside, high), grasp.closing, OPEN)

    def _carry(self, thing: Box, place: Box) -> Float32[np.ndarray, "7"]:
        """Bring what is held over its place, and down."""
        hand = self._hand
        target = hand + place.centre - thing.centre
        target[UP] = hand[UP] + self._release_height(thing, place) - DROP - thing.bottom
        aside = float(np.linalg.norm(target[:UP] - hand[:UP]))
        walls = place.top if self._drawer is None else self._shapes.box(self._drawer).top
        high = hand[UP] + max(place.top, walls) + CLEARANCE - thing.bottom
        return self._command(self._funnel(target, aside, high), None, CLOSED)

    def _release_height(self, thing: Box, place: Box) -> float:
        """Where the thing's lowest point may be when it is let go."""
        if not self._is_into:
            return place.bottom + 2 * DROP
        # As deep as it goes without the hand hitting the rim.
        hand_above_thing = float(self._hand[UP]) - thing.bottom
        return max(place.bottom + DROP_INTO, place.top - hand_above_thing)

    def _is_over(self, thing: Box, place: Box) -> bool:
        return bool(np.linalg.norm((place.centre - thing.centre)[:UP]) < ON_TARGET)

    def _is_held(self, grasp: Grasp) -> bool:
        """Whether the fingers are around the thing, and neither wide open nor empty."""
        opening = float(self._fingers.mean())
        slipped = np.linalg.norm(grasp.point - self._hand)
        is_around = slipped < SLIP or self._is_touched()
        is_empty = opening < EMPTY and not grasp.is_thin
        return bool(is_around and not is_empty and opening < WIDE_OPEN)

    def _has_closed(self) -> bool:
        """Whether the fingers have come to rest."""
        numbers = self._simulator.problem.robots[0]._ref_gripper_joint_vel_indexes
        return bool(np.abs(self._simulator.data.qvel[numbers]).max() < STILL)

    def _is_touched(self) -> bool:
        """Whether both fingers touch the thing."""
        problem = self._simulator.problem
        thing = problem.get_object(self._thing)
        return bool(problem._check_grasp(gripper=problem.robots[0].gripper, object_geoms=thing))

    def _funnel(self, target: Vector, aside: float, high: float = 0.0) -> Vector:
        """Return where to go: high while the target is aside, straight up where the hand is low."""
        high = max(high, self._travel_height, float(target[UP]))
        share = np.clip((aside - NEAR) / (FAR - NEAR), 0.0, 1.0)
        height = target[UP] + share * (high - target[UP])
        wanted = np.array([target[0], target[1], height])
        too_low = height - self._hand[UP]
        if too_low > FAR / 2:
            wanted[:UP] = self._hand[:UP]
        return wanted

    def grasp(self, thing: Box) -> Grasp:
        """Return where to hold a thing: across its middle, or by its rim where it is too wide."""
        fitting = _fitting(thing)
        if not fitting:
            return self._rim_grasp(thing)
        directions = {axis: _level(thing.axes[:, axis]) for axis in fitting}
        across = min(fitting, key=lambda axis: float(np.linalg.norm(self._turn(directions[axis]))))
        height = max(thing.centre[UP], thing.top - FINGER_LENGTH, thing.bottom + FINGERTIP)
        point = np.array([*thing.centre[:UP], height])
        return Grasp(point, directions[across])

    def _rim_grasp(self, thing: Box) -> Grasp:
        """Return a grasp of the wall of a bowl."""
        radius = float(np.mean([thing.half[axis] for axis in thing.level])) - RIM_THICKNESS
        outward = self._roomiest(thing)
        point = thing.centre + radius * outward
        point[UP] = thing.top - RIM_DEPTH
        return Grasp(point, outward, is_thin=True)

    def _roomiest(self, thing: Box) -> Vector:
        """Return the side of a bowl with room for a finger; in a drawer, towards a corner."""
        if self._drawer is None:
            return np.array([0.0, 1.0, 0.0])
        drawer = self._shapes.box(self._drawer)
        far, near = sorted(drawer.level, key=lambda axis: -drawer.half[axis])
        along, across = _level(drawer.axes[:, far]), _level(drawer.axes[:, near])
        # Towards the robot's side of the table, away from what the drawer comes out of.
        across = across if across @ (self._place_centre - thing.centre) > 0 else -across
        corners = [TO_CORNER[0] * side * along + TO_CORNER[1] * across for side in (-1.0, 1.0)]
        return min(corners, key=lambda outward: float(np.linalg.norm(self._turn(outward))))

    @property
    def _place_centre(self) -> Vector:
        return self._shapes.box(self._place).centre

    def _turn(self, closing: Vector) -> Vector:
        """Return the rotation that makes the fingers point down and close in a direction."""
        if self._pose[:, 0] @ closing < 0:
            closing = -closing
        down = np.array([0.0, 0.0, -1.0])
        wanted = np.stack([closing, np.cross(down, closing), down], axis=1)
        return Rotation.from_matrix(wanted @ self._pose.T).as_rotvec()

    def _command(
        self, target: Vector, closing: Vector | None, gripper: float
    ) -> Float32[np.ndarray, "7"]:
        """Return the action that brings the hand to a point, turned to close in a direction."""
        action = np.zeros(ACTION_DIM)
        action[:3] = GAIN * (target - self._hand) / METRES
        if closing is not None:
            action[3:6] = GAIN * self._turn(closing) / RADIANS
        action[6] = gripper
        return np.clip(action, -1.0, 1.0).astype(np.float32)


def _no_expert(task: Task, why: str) -> OptionError:
    """Return the refusal of a task."""
    return OptionError(
        f"there is no expert for {task.suite}/{task.number} ({task.instruction!r}): {why}. Choose "
        "other tasks, or convert LIBERO's own demonstrations (`plait convert`)"
    )


def _fitting(thing: Box) -> list[int]:
    """Return the level axes across which the open hand can take a thing."""
    return [axis for axis in thing.level if 2 * thing.half[axis] <= WIDEST_GRASP]


def _level(direction: Vector) -> Vector:
    """Return a direction without its slope."""
    level = np.array([direction[0], direction[1], 0.0])
    return level / np.linalg.norm(level)
