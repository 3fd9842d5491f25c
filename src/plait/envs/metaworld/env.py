"""Meta-World as an environment of Plait: one camera, the hand, and a sentence.

| observation | shape | |
| --- | --- | --- |
| `images` | {camera: uint8 [size size 3]} | `corner2`, the view of the papers, the right way up |
| `proprio` | float32 [4] | position of the hand [m], how far the gripper is open (1 = wide) |
| `instruction` | str | the task's sentence |

An action is float32 [4] in [-1, 1]: Δ x, y, z of the hand's target (1 = 1 cm) and the gripper
(-1 open, 1 closed), at 80 Hz. Action, proprioception, limit (500 steps) and the end (at success)
are those of LeRobot's Meta-World environment, so that figures compare. Nothing privileged is seen.
"""

import string
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from jaxtyping import UInt8

from plait.envs.benchmark import checked_action, require_cameras, require_image_size
from plait.envs.metaworld.requirements import import_metaworld
from plait.envs.metaworld.simulator import (
    ACTION_DIM,
    CONTROL_HZ,
    GARAGE,
    MAX_STEPS,
    PROPRIO_DIM,
    VIEWS,
    Simulator,
)
from plait.envs.metaworld.tasks import Task, suite_tasks
from plait.envs.opengl import OPENGL, RenderProfile, require_opengl
from plait.envs.pictures import Pictures
from plait.errors import OptionError, UnknownNameError

DEFAULT_CAMERAS = ("corner2",)
RUNNING, SUCCESS, TIMEOUT = "running", "success", "timeout"
RENDER_SIZE = 256
WITHOUT_OPENGL = (
    "record demonstrations in the ray-cast view, another picture that needs none: "
    "plait record --render raycast"
)
CHARSET = string.ascii_letters + string.digits + " ,-"


class MetaWorldEnv(gymnasium.Env[dict[str, Any], np.ndarray]):
    """Tasks of Meta-World; a seed decides the task, and where its objects and its goal are.

    `seed % number of tasks` is the task, so that any run of seeds asks for all equally often.
    `reset(options={"task": "drawer-open-v3"})` asks for one of your choice.

    Args:
        suite: `MT10`, `MT50`, a difficulty (`easy`, `medium`, `hard`, `very_hard`), or one task.
        image_size: Height and width of the pictures in pixels.
        cameras: Which pictures to take. `corner2_hand` is what `corner2` sees around the hand,
            three times as fine; so for the other fixed cameras.
        profile: How.
        are_pictures_lazy: Take a picture only when it is looked at; the observation's `images` is
            then a mapping, and no dictionary, that must be looked at before the next step.
        render_mode: `rgb_array` or None.

    Raises:
        MissingBenchmarkError: If Meta-World or its MuJoCo is not installed.
        NoOpenGLError: If pictures are wanted of OpenGL, and there is none.
        UnknownNameError: If there is no such suite or camera.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": CONTROL_HZ}  # noqa: RUF012

    def __init__(
        self,
        suite: str = "MT10",
        *,
        image_size: int = 96,
        cameras: Sequence[str] = DEFAULT_CAMERAS,
        profile: RenderProfile | None = None,
        are_pictures_lazy: bool = False,
        render_mode: str | None = None,
    ) -> None:
        import_metaworld()
        self.tasks = suite_tasks(suite)
        require_cameras("Meta-World", cameras, VIEWS)
        require_image_size(image_size)
        self.profile = profile or RenderProfile()
        if self.profile.renderer == OPENGL:
            require_opengl(WITHOUT_OPENGL)
        self._cameras, self._size = tuple(cameras), image_size
        self._is_lazy = are_pictures_lazy
        self.render_mode = render_mode
        frame = spaces.Box(0, 255, (image_size, image_size, 3), np.uint8)
        self.observation_space = spaces.Dict(
            {
                "images": spaces.Dict(dict.fromkeys(self._cameras, frame)),
                "proprio": spaces.Box(-2.0, 2.0, (PROPRIO_DIM,), np.float32),
                "instruction": spaces.Text(128, charset=CHARSET),
            }
        )
        self.action_space = spaces.Box(-1.0, 1.0, (ACTION_DIM,), np.float32)
        self._simulator: Simulator | None = None
        self._task = self.tasks[0]
        self._num_steps, self._outcome = 0, RUNNING
        self.time = 0

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
            seed: Decides task, objects and goal; drawn where None.
            options: `task`: the name of one of the suite's tasks.

        Raises:
            UnknownNameError: If the suite has no such task, or there is no such option.
        """
        super().reset(seed=seed)
        if seed is None:
            seed = int(self.np_random.integers(2**31))
        self._task = self._asked_for(options or {}) or self.tasks[seed % len(self.tasks)]
        if self._simulator is None or self._simulator.task != self._task.name:
            self._put_away()
            self._simulator = GARAGE.take(self._task.name)
        self.simulator.reset(seed)
        self._num_steps, self._outcome = 0, RUNNING
        self.time += 1
        return self._observe(), self._info()

    def _asked_for(self, options: Mapping[str, Any]) -> Task | None:
        """Read the task that reset's options name, if any."""
        for name in options:
            if name != "task":
                raise UnknownNameError("reset option", name, ("task",))
        if "task" not in options:
            return None
        known = {task.name: task for task in self.tasks}
        if options["task"] not in known:
            raise UnknownNameError("task of this suite", str(options["task"]), known)
        return known[options["task"]]

    def step(self, action: np.ndarray) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Take a control step of 1/80 s.

        Args:
            action: float [4] in [-1, 1]; beyond, it is clipped.

        Returns:
            Observation, the benchmark's reward, terminated (at success), truncated and info.

        Raises:
            OptionError: If the action has another shape or is not finite.
        """
        reward, is_success = self.simulator.step(checked_action(action, ACTION_DIM))
        self._num_steps += 1
        self.time += 1
        is_late = not is_success and self._num_steps >= MAX_STEPS
        self._outcome = SUCCESS if is_success else TIMEOUT if is_late else RUNNING
        return self._observe(), reward, is_success, is_late, self._info()

    def take_picture(self, camera: str) -> UInt8[np.ndarray, "size size 3"]:
        """Take a picture as a policy sees it."""
        return self.render_at(self._size, camera)

    def render_at(self, size: int, camera: str = "corner2") -> UInt8[np.ndarray, "size size 3"]:
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
        images: Mapping[str, Any] = Pictures(self, self._cameras)
        return {
            "images": images if self._is_lazy else dict(images),
            "proprio": self.simulator.proprio,
            "instruction": self._task.instruction,
        }

    def _info(self) -> dict[str, Any]:
        """Return how the episode stands."""
        return {
            "success": self._outcome == SUCCESS,
            "outcome": self._outcome,
            "task": self._task.name,
            "instruction": self._task.instruction,
            "difficulty": self._task.difficulty,
        }
