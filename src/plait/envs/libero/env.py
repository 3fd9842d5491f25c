"""LIBERO as an environment of Plait: two cameras, the hand, and a sentence.

| observation | shape | |
| --- | --- | --- |
| `images` | {camera: uint8 [size size 3]} | `image` of the scene, `wrist`; upright, mirrored |
| `proprio` | float32 [8] | hand: position [m], axis-angle; positions of both fingers [m] |
| `instruction` | str | the task's sentence |

An action is float32 [7] in [-1, 1]: Δ x, y, z of the hand (1 = 5 cm), Δ rotation about x, y, z
(1 = 0.5 rad) and the gripper (-1 open, 1 closed), at 20 Hz. Names apart, observations, actions and
protocol are those of LeRobot's LIBERO environment, so that figures compare: ten steps of no
operation, then up to as many steps as the suite allows, the end at success.
"""

import string
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from jaxtyping import UInt8

from plait.envs.benchmark import checked_action, require_cameras, require_image_size
from plait.envs.libero.simulator import (
    ACTION_DIM,
    CAMERAS,
    CONTROL_HZ,
    GARAGE,
    PROPRIO_DIM,
    VIEWS,
    Simulator,
)
from plait.envs.libero.tasks import Task, suite_tasks
from plait.envs.moment import Moment
from plait.envs.opengl import OPENGL, RenderProfile
from plait.envs.opengl_library import require_opengl
from plait.envs.pictures import Pictures
from plait.errors import OptionError, UnknownNameError

RUNNING, SUCCESS, TIMEOUT = "running", "success", "timeout"
RENDER_SIZE = 256
LONGEST_INSTRUCTION = 256
RESET_OPTIONS = ("task",)


class LiberoEnv(gymnasium.Env[dict[str, Any], np.ndarray]):
    """Tasks of LIBERO; a seed decides the task and how it starts.

    `seed % number of tasks` is the task, and what is left, `seed // number of tasks`, counts the
    benchmark's fixed initial states, round and round: 50 times as many seeds in a row as there are
    tasks play every task from every state. `reset(options={"task": 3})` asks for a task by its
    number.

    Args:
        suite: `spatial`, `object`, `goal`, `10`, `90`, one that is changed, such as `object-lan`,
            or one task of these, such as `spatial/3`.
        image_size: Height and width of the pictures in pixels.
        cameras: Which pictures to take.
        profile: How.
        are_pictures_lazy: Take a picture only when it is looked at; the observation's `images` is
            then a mapping, and no dictionary, that must be looked at before the next reset.
        are_states_fixed: Whether episodes start from the benchmark's initial states, which are for
            evaluation alone. Otherwise the seed decides where the benchmark's own random placement
            puts the objects.
        render_mode: `rgb_array` or None.

    Raises:
        MissingBenchmarkError: If LIBERO or its MuJoCo is not installed.
        NoOpenGLError: If there is no OpenGL.
        UnknownNameError: If there is no such suite or camera.
        OptionError: If pictures of no camera or of an absurd size are wanted.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012
        "render_modes": ["rgb_array"],
        "render_fps": CONTROL_HZ,
    }

    def __init__(
        self,
        suite: str = "spatial",
        *,
        image_size: int = 128,
        cameras: Sequence[str] = tuple(CAMERAS),
        profile: RenderProfile | None = None,
        are_pictures_lazy: bool = False,
        are_states_fixed: bool = True,
        render_mode: str | None = None,
    ) -> None:
        self.tasks = suite_tasks(suite)
        require_cameras("LIBERO", cameras, VIEWS)
        require_image_size(image_size)
        self.profile = profile or RenderProfile()
        if self.profile.renderer != OPENGL:
            raise OptionError(
                f"LIBERO's pictures are taken by opengl alone, but {self.profile.renderer} was "
                "asked for: leave --render out"
            )
        require_opengl()
        self._cameras, self._size = tuple(cameras), image_size
        self._is_lazy, self._are_states_fixed = are_pictures_lazy, are_states_fixed
        self.render_mode = render_mode
        self.observation_space = _observation_space(self._cameras, image_size)
        self.action_space = spaces.Box(-1.0, 1.0, (ACTION_DIM,), np.float32)
        self._simulator: Simulator | None = None
        self._task = self.tasks[0]
        self._state: int | None = None
        self._num_steps, self._outcome = 0, RUNNING
        self.time, self._num_resets = 0, 0

    @property
    def simulator(self) -> Simulator:
        """The scene of the running episode, with all that a policy must not see."""
        if self._simulator is None:
            raise OptionError("the environment has no scene yet; call reset() first")
        return self._simulator

    @property
    def task(self) -> Task:
        """What the running episode asks for."""
        return self._task

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start an episode.

        Args:
            seed: Decides task and initial state; drawn where None.
            options: `task`: the number of one of the suite's tasks.

        Raises:
            UnknownNameError: If the suite has no such task, or there is no such option.
        """
        super().reset(seed=seed)
        if seed is None:
            seed = int(self.np_random.integers(2**31))
        self._task = self._asked_for(options or {}) or self.tasks[seed % len(self.tasks)]
        if self._simulator is None or self._simulator.task != self._task:
            self._put_away()
            self._simulator = GARAGE.take(self._task)
        if self._are_states_fixed:
            self._state = state_of(seed, len(self.tasks), self._simulator.num_states)
            self._simulator.reset_to(self._state)
        else:
            self._state = None
            self._simulator.reset_sampled(seed)
        self._num_steps, self._outcome = 0, RUNNING
        self._num_resets += 1
        self.time += 1
        return self._observe(), self._info()

    def _asked_for(self, options: Mapping[str, Any]) -> Task | None:
        """Read the task that reset's options name, if any."""
        for name in options:
            if name not in RESET_OPTIONS:
                raise UnknownNameError("reset option", name, RESET_OPTIONS)
        if "task" not in options:
            return None
        known = {str(task.number): task for task in self.tasks}
        if str(options["task"]) not in known:
            raise UnknownNameError("task of this suite", str(options["task"]), known)
        return known[str(options["task"])]

    def step(self, action: np.ndarray) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Take a control step of 1/20 s.

        Args:
            action: float [7] in [-1, 1]; beyond, it is clipped.

        Returns:
            Observation, reward (1 at success), terminated (at success), truncated and info.

        Raises:
            OptionError: If the action has another shape or is not finite.
        """
        is_success = self.simulator.step(checked_action(action, ACTION_DIM))
        self._num_steps += 1
        self.time += 1
        is_late = not is_success and self._num_steps >= self._task.max_steps
        self._outcome = SUCCESS if is_success else TIMEOUT if is_late else RUNNING
        return self._observe(), float(is_success), is_success, is_late, self._info()

    def take_picture(self, camera: str) -> UInt8[np.ndarray, "size size 3"]:
        """Take a picture as a policy sees it."""
        return self.render_at(self._size, camera)

    def moment(self) -> tuple[int, Moment]:
        """Keep how everything looks now: a step costs as much as a picture does."""
        return self._num_resets, Moment.of(self.simulator.model, self.simulator.data)

    def take_picture_of(
        self, moment: tuple[int, Moment], camera: str
    ) -> UInt8[np.ndarray, "size size 3"]:
        """Take a picture of an earlier moment of the running episode.

        Raises:
            OptionError: If another episode has begun.
        """
        reset, look = moment
        if reset != self._num_resets:
            raise OptionError(
                f"the picture of {camera} was not taken while its episode lasted; look at it "
                "before the next reset"
            )
        with look.recalled(self.simulator.model, self.simulator.data):
            return self.take_picture(camera)

    def render_at(self, size: int, camera: str = "image") -> UInt8[np.ndarray, "size size 3"]:
        """Take a picture of any size."""
        return self.simulator.render(camera, size, self.profile)

    def render(self) -> UInt8[np.ndarray, "size size 3"] | None:
        """Return a larger picture of the first camera, in render mode `rgb_array`."""
        if self.render_mode != "rgb_array":
            return None
        return self.render_at(RENDER_SIZE, self._cameras[0])

    def close(self) -> None:
        """Put the scene away, for the next environment that needs it."""
        self._put_away()

    def _put_away(self) -> None:
        if self._simulator is not None:
            GARAGE.give_back(self._simulator)
            self._simulator = None

    def _observe(self) -> dict[str, Any]:
        """Return what a policy may see."""
        images: Mapping[str, Any] = (
            Pictures(self, self._cameras)
            if self._is_lazy
            else {camera: self.take_picture(camera) for camera in self._cameras}
        )
        return {
            "images": images,
            "proprio": self.simulator.proprio,
            "instruction": self._task.instruction,
        }

    def _info(self) -> dict[str, Any]:
        """Return how the episode stands."""
        return {
            "success": self._outcome == SUCCESS,
            "outcome": self._outcome,
            "task": f"{self._task.suite}/{self._task.number}",
            "instruction": self._task.instruction,
            "initial_state": self._state,
        }


def state_of(seed: int, num_tasks: int, num_states: int) -> int:
    """Return the number of the initial state of a seed, whose task is `seed % num_tasks`."""
    return seed // num_tasks % num_states


def _observation_space(cameras: Sequence[str], size: int) -> spaces.Space[Any]:
    frame = spaces.Box(0, 255, (size, size, 3), np.uint8)
    letters = string.ascii_letters + string.digits + " ,.-'’"
    return spaces.Dict(
        {
            "images": spaces.Dict(dict.fromkeys(cameras, frame)),
            # Metres within reach, and an axis-angle of up to a full turn.
            "proprio": spaces.Box(-7.0, 7.0, (PROPRIO_DIM,), np.float32),
            "instruction": spaces.Text(LONGEST_INSTRUCTION, charset=letters),
        }
    )
