"""The scripted expert: a proportional controller on the privileged state.

It keeps no memory. What it does follows from where hand and objects are now, so it recovers from
whatever disturbs it, and its action is a smooth function of what the pictures show: the height to
fly at grows with the horizontal distance still to go, instead of switching between way points.
"""

import math
from typing import Any

import gymnasium
import numpy as np
from jaxtyping import Float32

from plait.envs.tabletop.env import TabletopEnv
from plait.envs.tabletop.rules import Referee
from plait.envs.tabletop.scene import BOX_HEIGHT, CUBE_HALF, HALF_HEIGHT, HALF_WIDTH
from plait.envs.tabletop.tasks import DIRECTIONS, PUSH_GOAL_M
from plait.envs.tabletop.world import STEP_M, STEP_RAD, World
from plait.errors import OptionError

Action = Float32[np.ndarray, "7"]

OPEN, CLOSE = -1.0, 1.0
TRAVEL_M = 0.115  # the fingertips pass over everything on the table
CARRY_M = 0.125
GAIN = 0.75  # of the remaining error, per control step
NEAR_M, FAR_M = 0.010, 0.042  # the descent happens between these distances


RELEASE_M = 0.013  # an object this close to where it belongs is let go
_UP = np.array([0.0, 0.0, STEP_M])


class Expert:
    """Acts in a tabletop environment.

    Args:
        env: The environment, wrapped or not; it may be reset at any time.

    Raises:
        OptionError: If the environment is not a tabletop.

    Example:
        >>> import plait.envs
        >>> env = plait.envs.make_env("tabletop/touch")
        >>> _ = env.reset(seed=0)
        >>> Expert(env).act().shape
        (7,)
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        tabletop = env.unwrapped
        if not isinstance(tabletop, TabletopEnv):
            raise OptionError(f"the expert acts in a tabletop, but {tabletop} was given")
        self._env = tabletop

    def act(self) -> Action:
        """Return the action for the state the environment is in now."""
        world, referee = self._env.world, self._env.referee
        verb = referee.task.verb
        if verb == "touch":
            move, grip = self._touch(world, referee), CLOSE
        elif verb == "push":
            move, grip = self._push(world, referee), CLOSE
        else:
            move, grip = self._handle(world, referee)
        action = np.zeros(7, np.float32)
        action[:3] = move
        action[3:6] = _upright(world)
        action[6] = grip
        return action

    def _touch(self, world: World, referee: Referee) -> np.ndarray:
        """Come down on the object from above."""
        goal = world.position(referee.target).copy()
        shape = referee.task.thing.shape
        goal[2] += HALF_HEIGHT[shape] - 0.008
        return _fly(world.tcp(), goal, TRAVEL_M)

    def _push(self, world: World, referee: Referee) -> np.ndarray:
        """Come down behind the object, then move through it along the direction."""
        tcp, target = world.tcp(), referee.target
        position, shape = world.position(target), referee.task.thing.shape
        ahead = np.array([*DIRECTIONS[referee.task.direction or ""], 0.0])
        side = np.array([-ahead[1], ahead[0], 0.0])
        reach = HALF_WIDTH[shape] if shape != "cube" else 1.2 * CUBE_HALF
        offset = tcp - position
        along, across = float(offset @ ahead), float(offset @ side)
        low = min(HALF_HEIGHT[shape], 0.022)
        gap = reach + 0.026
        behind = position - gap * ahead
        behind[2] = low
        inside = -gap - 0.03 < along < 0.0 and abs(across) < 0.016
        if not (inside and tcp[2] < low + 0.018):
            return _fly(tcp, behind, TRAVEL_M)
        start = world.start_positions[target]
        left = PUSH_GOAL_M + 0.02 - float((position - start) @ ahead)
        speed = min(max(left, 0.012), 0.022)
        drift = float((position - start) @ side)
        move = speed * ahead + GAIN * (-across + 0.4 * drift) * side
        move[2] = GAIN * (low - tcp[2])
        return _scaled(move)

    def _handle(self, world: World, referee: Referee) -> tuple[np.ndarray, float]:
        """Pick, place and stack: grasp, then carry to where the object belongs and let go."""
        tcp, target = world.tcp(), referee.target
        position = world.position(target)
        shape = referee.task.thing.shape
        held = target in world.held()
        if referee.task.verb == "pick":
            return (_scaled(_UP), CLOSE) if held else self._grasp(tcp, position, shape)
        goal = self._goal(world, referee, shape)
        error = goal - position
        distance = math.hypot(error[0], error[1])
        if distance < RELEASE_M and position[2] - goal[2] < 0.006:
            return _scaled(_UP * (0.1 if held else 0.7)), OPEN
        if not held:
            return self._grasp(tcp, position, shape)
        hang = tcp[2] - position[2]
        rise = _smooth((distance - 0.008) / 0.035)
        height = goal[2] + rise * max(CARRY_M - hang - goal[2], 0.0)
        # Rise before moving sideways; near the goal only small corrections are left.
        free = max(_smooth((tcp[2] - 0.06) / 0.05), 1.0 - rise)
        move = np.array([*(GAIN * free * error[:2]), GAIN * (height - position[2])])
        return _scaled(move), CLOSE

    def _goal(self, world: World, referee: Referee, shape: str) -> np.ndarray:
        """Return where the object's centre is let go [m]."""
        index = referee.goal or 0
        if referee.task.verb == "place":
            goal = world.container_position(index).copy()
            kind = world.scene.containers[index].thing.shape
            low = HALF_HEIGHT[shape] + 0.014
            goal[2] = max(low, BOX_HEIGHT + 0.012) if kind == "box" else low
            return goal
        goal = world.position(index).copy()
        goal[2] += HALF_HEIGHT[world.scene.objects[index].thing.shape] + HALF_HEIGHT[shape] + 0.003
        return goal

    def _grasp(self, tcp: np.ndarray, position: np.ndarray, shape: str) -> tuple[np.ndarray, float]:
        """Come down around the object and close."""
        goal = position.copy()
        goal[2] = max(position[2] + (0.006 if shape == "cylinder" else 0.0), 0.014)
        move = _fly(tcp, goal, TRAVEL_M + (0.02 if shape == "cylinder" else 0.0))
        error = goal - tcp
        ready = math.hypot(error[0], error[1]) < 0.012 and abs(error[2]) < 0.010
        return move, CLOSE if ready else OPEN


def _fly(tcp: np.ndarray, goal: np.ndarray, travel_m: float) -> np.ndarray:
    """Move to a goal from above: the height follows from the horizontal distance."""
    error = goal - tcp
    distance = math.hypot(error[0], error[1])
    rise = _smooth((distance - NEAR_M) / (FAR_M - NEAR_M))
    height = goal[2] + rise * max(travel_m - goal[2], 0.0)
    # A hand that is too low for its distance rises before it moves on.
    free = 1.0 - 0.85 * _smooth((height - tcp[2] - 0.015) / 0.03)
    return _scaled(np.array([*(GAIN * free * error[:2]), GAIN * (height - tcp[2])]))


def _scaled(move_m: np.ndarray) -> np.ndarray:
    """Turn a displacement [m] into an action, keeping its direction on the table."""
    action = move_m / STEP_M
    action[:2] /= max(1.0, math.hypot(action[0], action[1]))
    action[2] = min(max(action[2], -1.0), 1.0)
    return action


def _upright(world: World) -> np.ndarray:
    """Turn the hand back to fingers down, closing along y."""
    rotation = world.rotation()
    error = 0.5 * np.array(
        [
            rotation[1, 2] - rotation[2, 1],
            rotation[2, 0] - rotation[0, 2],
            rotation[0, 1] - rotation[1, 0],
        ]
    )
    return np.clip(GAIN * error / STEP_RAD, -1.0, 1.0)


def _smooth(x: float) -> float:
    """Step smoothly from 0 (x ≤ 0) to 1 (x ≥ 1)."""
    x = min(max(x, 0.0), 1.0)
    return x * x * (3.0 - 2.0 * x)


def perturb(
    action: Action, rng: np.random.Generator, *, probability: float = 0.3, scale: float = 0.6
) -> Action:
    """Disturb the pose part of an action, as DART does, so that recoveries are demonstrated too.

    Args:
        action: The expert's, kept as the target of imitation.
        rng: Where chance comes from.
        probability: That this step is disturbed.
        scale: Standard deviation of the disturbance, in units of the action; a fifth of it for
            the rotation, whose recovery would otherwise be most of what there is to learn.

    Returns:
        What to execute; the gripper's command is never disturbed.
    """
    if rng.random() >= probability:
        return action
    noisy = action.copy()
    scales = np.repeat([scale, 0.2 * scale], 3)
    noisy[:6] += (scales * rng.standard_normal(6)).astype(np.float32)
    return np.clip(noisy, -1.0, 1.0)
