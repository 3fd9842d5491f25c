"""`plait/Tabletop-v0`: a table, coloured things, a gripper, and an instruction that picks the task.

| observation | shape | |
| --- | --- | --- |
| `images` | {camera: uint8 [size size 3]} | `base` (fixed), `wrist` (moves with the hand) |
| `proprio` | float32 [8] | position [m], axis-angle [rad], the two fingers [m] |
| `instruction` | str | English, lower case |

An action is float32 [7] in [-1, 1]: Δ x, y, z (1 = 3 cm), Δ roll, pitch, yaw (1 = 0.15 rad), and
the gripper (-1 open, 1 closed), at 10 Hz. Fingers that point down and close along y are the
identity of rotation.
"""

import string
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from jaxtyping import Float64, UInt8

from plait.envs.tabletop.grammar import instruct, parse
from plait.envs.tabletop.model import FINGER_OPEN
from plait.envs.tabletop.raycast import FIELD_OF_VIEW_RAD, Raycaster
from plait.envs.tabletop.rules import RUNNING, SUCCESS, TIMEOUT, Referee, Verdict
from plait.envs.tabletop.scene import ALL_OBJECTS, Scene, draw_scene
from plait.envs.tabletop.suites import MAX_STEPS, check_size, check_split, load_suite
from plait.envs.tabletop.tasks import Task, feasible, is_held_out
from plait.envs.tabletop.world import World
from plait.errors import OptionError, UnknownNameError

CAMERAS = tuple(FIELD_OF_VIEW_RAD)
ACTION_DIM, PROPRIO_DIM = 7, 8
RENDER_SIZE = 256
_METADATA: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 10}
_PROPRIO_BOUND = np.array([1, 1, 1, 4, 4, 4, 0.1, 0.1], np.float32)


class TabletopEnv(gymnasium.Env[dict[str, Any], np.ndarray]):
    """A tabletop whose scenes follow from seeds, and whose tasks follow from instructions.

    `reset(seed=, options={"task": Task | dict})` or `{"instruction": str}` asks for a task of your
    choice in the very scene of that seed; `feasible_tasks()` lists what can be asked there.

    Args:
        suite: Which tasks, in which scenes: a name of `plait.envs.tabletop.suites.SUITES`.
        split: `train` leaves the held-out combinations out, `holdout` asks for them alone, `any`.
        paraphrase: Word instructions in ways that training never shows.
        image_size: Height and width of the pictures in pixels.
        cameras: Which pictures to take; one left out costs nothing.
        render_mode: `rgb_array` or None.

    Example:
        >>> env = TabletopEnv("touch")
        >>> observation, info = env.reset(seed=3)
        >>> observation["images"]["base"].shape
        (64, 64, 3)
    """

    metadata = _METADATA

    def __init__(
        self,
        suite: str = "touch",
        *,
        split: str = "train",
        paraphrase: bool = False,
        image_size: int = 64,
        cameras: Sequence[str] = CAMERAS,
        render_mode: str | None = None,
    ) -> None:
        self._suite = load_suite(suite)
        self._split = check_split(split)
        self._paraphrase = paraphrase
        self._size = check_size(image_size)
        for camera in cameras:
            if camera not in CAMERAS:
                raise UnknownNameError("camera", camera, CAMERAS)
        if not cameras:
            raise OptionError("the environment needs at least one camera: base, wrist or both")
        self._cameras = tuple(cameras)
        self.render_mode = render_mode
        frame = spaces.Box(0, 255, (self._size, self._size, 3), np.uint8)
        self.observation_space = spaces.Dict(
            {
                "images": spaces.Dict(dict.fromkeys(self._cameras, frame)),
                "proprio": spaces.Box(-_PROPRIO_BOUND, _PROPRIO_BOUND, dtype=np.float32),
                "instruction": spaces.Text(128, charset=string.ascii_lowercase + " "),
            }
        )
        self.action_space = spaces.Box(-1.0, 1.0, (ACTION_DIM,), np.float32)
        self._playing: tuple[World, Referee, Raycaster] | None = None
        self._instruction = ""
        self._num_steps = 0
        self._num_candidates = 1
        self._verdict = Verdict(RUNNING, None)

    @property
    def world(self) -> World:
        """The physics of the running episode."""
        return self._now()[0]

    @property
    def referee(self) -> Referee:
        """The judge of the running episode."""
        return self._now()[1]

    @property
    def scene(self) -> Scene:
        """What lay where at the start of the running episode."""
        return self.world.scene

    @property
    def task(self) -> Task:
        """What the running episode asks for."""
        return self.referee.task

    @property
    def instruction(self) -> str:
        """The instruction of the running episode."""
        return self._instruction

    def _now(self) -> tuple[World, Referee, Raycaster]:
        """Return the running episode's parts."""
        if self._playing is None:
            raise OptionError("the environment has no scene yet; call reset() first")
        return self._playing

    def feasible_tasks(self) -> tuple[Task, ...]:
        """Return every task of the suite that can be asked for in this scene."""
        return feasible(self.scene, self._suite.verbs)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start an episode.

        Args:
            seed: Decides the scene, and the task unless the options name one.
            options: `task` (a Task or its dictionary) or `instruction` (a sentence of the grammar).

        Raises:
            OptionError: If the scene does not allow the task asked for.
        """
        super().reset(seed=seed)
        root = int(self.np_random.integers(2**63))
        scene, tasks = self._draw(np.random.default_rng([root, 0]))
        rng = np.random.default_rng([root, 1])
        own = tasks[int(rng.integers(len(tasks)))]
        everything = feasible(scene, self._suite.verbs)
        task, instruction = _asked_for(options or {}, everything)
        task = task or own
        self._instruction = instruction or instruct(task, rng, paraphrase=self._paraphrase)
        world = World(scene)
        self._playing = (world, Referee(world, task), Raycaster(world.model, world.data))
        self._num_steps, self._num_candidates = 0, len(everything)
        self._verdict = Verdict(RUNNING, None)
        return self._observe(), self._info()

    def _draw(self, rng: np.random.Generator) -> tuple[Scene, list[Task]]:
        """Draw a scene of the split and the tasks it may ask for."""
        verbs, split = self._suite.verbs, self._split
        alone = verbs[0] if len(verbs) == 1 else None
        held_out = [t for t in ALL_OBJECTS if any(is_held_out(verb, t) for verb in verbs)]
        pool, required = list(ALL_OBJECTS), list(ALL_OBJECTS)
        if split == "train" and alone:
            pool = required = [t for t in ALL_OBJECTS if t not in held_out]
        if split == "holdout":
            required = held_out
        while True:
            scene = draw_scene(rng, self._suite.layout, pool, required)
            tasks = [task for task in feasible(scene, verbs) if self._in_split(task)]
            if tasks:
                break
        # One verb is as likely as another, though a scene may allow more tasks of the one.
        present = sorted({task.verb for task in tasks})
        verb = present[int(rng.integers(len(present)))]
        return scene, [task for task in tasks if task.verb == verb]

    def _in_split(self, task: Task) -> bool:
        """Say whether the split may ask for a task."""
        if self._split == "any":
            return True
        return is_held_out(task.verb, task.thing) == (self._split == "holdout")

    def step(self, action: np.ndarray) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Take a control step of 0.1 s.

        Args:
            action: float [7] in [-1, 1]; beyond, it is clipped.

        Returns:
            Observation, reward (1 on success, else 0), terminated, truncated and info.

        Raises:
            OptionError: If the action has another shape or is not finite.
        """
        world, referee, _ = self._now()
        world.step(_checked(action))
        self._num_steps += 1
        self._verdict = referee.judge()
        ended = self._verdict.outcome != RUNNING
        late = not ended and self._num_steps >= MAX_STEPS[referee.task.verb]
        if late:
            self._verdict = Verdict(TIMEOUT, None)
        reward = float(self._verdict.outcome == SUCCESS)
        return self._observe(), reward, ended, late, self._info()

    def _observe(self) -> dict[str, Any]:
        """Return what a policy may see."""
        world, _, camera = self._now()
        proprio = np.empty(PROPRIO_DIM, np.float32)
        proprio[:3] = world.tcp()
        proprio[3:6] = _axis_angle(world.rotation())
        proprio[6:] = np.clip(world.fingers(), 0.0, FINGER_OPEN)
        return {
            "images": {name: camera.render(name, self._size) for name in self._cameras},
            "proprio": proprio,
            "instruction": self._instruction,
        }

    def _info(self) -> dict[str, Any]:
        """Return how the episode stands."""
        world, referee, _ = self._now()
        index = self._verdict.object_index
        return {
            "success": self._verdict.outcome == SUCCESS,
            "outcome": self._verdict.outcome,
            "object": "" if index is None else str(world.scene.objects[index].thing),
            "task": referee.task.verb,
            "target": str(referee.task.thing),
            "instruction": self._instruction,
            "phase": referee.phase(),
            "num_objects": world.num_objects,
            "num_candidates": self._num_candidates,
        }

    def render(self) -> UInt8[np.ndarray, "height width_px 3"] | None:
        """Return a larger picture of the `base` camera, in render mode `rgb_array`."""
        return self.render_at(RENDER_SIZE) if self.render_mode == "rgb_array" else None

    def render_at(
        self, size: int, camera: str = "base", *, supersample: int = 2
    ) -> UInt8[np.ndarray, "height width_px 3"]:
        """Take a picture of any size.

        Args:
            size: Height and width in pixels.
            camera: `base` or `wrist`.
            supersample: Rays a pixel along each side; 1 is what a policy sees.
        """
        if camera not in CAMERAS:
            raise UnknownNameError("camera", camera, CAMERAS)
        return self._now()[2].render(camera, check_size(size), supersample=supersample)


def _asked_for(
    options: Mapping[str, Any], everything: tuple[Task, ...]
) -> tuple[Task | None, str | None]:
    """Read the task that reset's options name, if any."""
    unknown = set(options) - {"task", "instruction"}
    if unknown:
        raise UnknownNameError("reset option", sorted(unknown)[0], ("task", "instruction"))
    instruction = options.get("instruction")
    task = options.get("task")
    if task is None and instruction is None:
        return None, None
    if task is None:
        task = parse(str(instruction))
    elif not isinstance(task, Task):
        task = Task.from_dict(task)
    if task not in everything:
        there = ", ".join(str(each.thing) for each in everything if each.verb == task.verb)
        raise OptionError(
            f"this scene does not allow {task}; it allows {task.verb} for: {there or 'nothing'}. "
            "feasible_tasks() lists what can be asked for"
        )
    return task, None if instruction is None else str(instruction)


def _checked(action: np.ndarray) -> Float64[np.ndarray, "7"]:
    """Return a usable action, or refuse it."""
    action = np.asarray(action, np.float64)
    if action.shape != (ACTION_DIM,):
        raise OptionError(f"an action has shape ({ACTION_DIM},), but {action.shape} was given")
    if not np.isfinite(action).all():
        raise OptionError(f"an action must be finite, but {action.tolist()} was given")
    return np.clip(action, -1.0, 1.0)


def _axis_angle(rotation: np.ndarray) -> np.ndarray:
    """Return axis times angle [rad] of a rotation of less than half a turn."""
    axis = np.array(
        [
            rotation[2, 1] - rotation[1, 2],
            rotation[0, 2] - rotation[2, 0],
            rotation[1, 0] - rotation[0, 1],
        ]
    )
    sine = 0.5 * float(np.sqrt((axis * axis).sum()))
    if sine < 1e-9:
        return np.zeros(3)
    angle = float(np.arctan2(sine, 0.5 * (np.trace(rotation) - 1.0)))
    return axis * (angle / (2.0 * sine))
