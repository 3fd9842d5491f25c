"""One Meta-World scene: physics, pictures and the privileged state that its expert reads.

What the benchmark leaves to trip over is dealt with here: a reset ignores its seed, hand-set flags
leave a stale observation space behind, and its own viewer takes 88 ms for what can take 8.
"""

import pickle
from collections.abc import Mapping
from dataclasses import replace

import mujoco
import numpy as np
from jaxtyping import Float32, Float64, UInt8

from plait.envs.garage import Garage
from plait.envs.metaworld.requirements import import_metaworld
from plait.envs.opengl import RenderProfile, average
from plait.envs.renderers import Renderers
from plait.errors import UnknownNameError

# Cameras by their names here, with those of the model. `corner2` is where LeRobot and the papers
# move it to, which is where the model has its `corner4`.
CAMERAS: Mapping[str, str] = {
    "corner2": "corner4",
    "corner": "corner",
    "corner3": "corner3",
    "topview": "topview",
    "behindGripper": "behindGripper",
    "gripperPOV": "gripperPOV",
}
# Those that the benchmark hung upside down.
TURNED = ("corner2", "corner", "corner3")
# What a fixed camera sees around the hand, cut out of a picture that is `ZOOM` times as fine: where
# the hand is in it follows from the state and from where the camera stands.
HAND_VIEWS: Mapping[str, str] = {
    f"{camera}_hand": camera for camera in ("corner2", "corner", "corner3", "topview")
}
VIEWS: Mapping[str, str] = {**CAMERAS, **{view: CAMERAS[of] for view, of in HAND_VIEWS.items()}}
ZOOM = 3
# Where the hand is in its view, from the top: above it there is only the arm.
HAND_HEIGHT = 0.4
PROPRIO_DIM, ACTION_DIM = 4, 4
CONTROL_HZ = 80
MAX_STEPS = 500


class Simulator:
    """A task's scene.

    Args:
        task: Name of the task.
    """

    def __init__(self, task: str) -> None:
        benchmark = import_metaworld()
        environment = benchmark.env_dict.ALL_V3_ENVIRONMENTS[task]
        self.task = task
        self._env = environment()
        # By the benchmark's own call, which also renews the observation space: otherwise the goal
        # would be cut to zero and the experts fail.
        setting = {"rand_vec": None, "env_cls": environment, "partially_observable": False}
        self._env.set_task(benchmark.Task(env_name=task, data=pickle.dumps(setting)))
        self._env._freeze_rand_vec = False
        self._env.seeded_rand_vec = True
        self._state = np.zeros(0)
        self._renderers = Renderers()
        # Fine pictures of this moment, which a camera and its view around the hand share.
        self._fine: dict[tuple[str, int, RenderProfile], UInt8[np.ndarray, "fine fine 3"]] = {}

    @property
    def model(self) -> mujoco.MjModel:
        """The MuJoCo model."""
        return self._env.model

    @property
    def data(self) -> mujoco.MjData:
        """Its state."""
        return self._env.data

    @property
    def state(self) -> Float64[np.ndarray, "39"]:
        """Everything the benchmark knows, the goal included; for experts alone."""
        return self._state

    @property
    def proprio(self) -> Float32[np.ndarray, "4"]:
        """The hand's position [m] and how far the gripper is open, 0 to 1."""
        return self._state[:PROPRIO_DIM].astype(np.float32)

    def reset(self, seed: int) -> None:
        """Start an episode whose objects and goal follow from the seed alone."""
        self._fine.clear()
        self._env.seed(seed)
        self._state, _ = self._env.reset()
        # Goals were moved after positions were computed; the first picture must show them.
        mujoco.mj_forward(self.model, self.data)

    def step(self, action: Float32[np.ndarray, "4"]) -> tuple[float, bool]:
        """Take a control step of 1/80 s; return the benchmark's reward and whether it succeeded."""
        self._fine.clear()
        self._state, reward, _, _, info = self._env.step(action)
        return float(reward), bool(info["success"])

    def render(
        self, camera: str, size: int, profile: RenderProfile
    ) -> UInt8[np.ndarray, "size size 3"]:
        """Take a picture, the right way up.

        Raises:
            UnknownNameError: If there is no such camera.
        """
        if camera in HAND_VIEWS:
            of = HAND_VIEWS[camera]
            fine = self._render_fine(of, size, profile)
            row, column = self._place_of_hand(of, size * ZOOM)
            return cut(fine, row - int(HAND_HEIGHT * size), column - size // 2, size)
        if camera not in CAMERAS:
            raise UnknownNameError("camera of Meta-World", camera, VIEWS)
        if profile.supersample == ZOOM:
            return average(self._render_fine(camera, size, profile), ZOOM)
        return self._take(camera, size, profile)

    def _render_fine(
        self, camera: str, size: int, profile: RenderProfile
    ) -> UInt8[np.ndarray, "fine fine 3"]:
        """Take a picture `ZOOM` times as fine, one sample a pixel, and once a moment."""
        key = (camera, size, replace(profile, supersample=1))
        if key not in self._fine:
            self._fine[key] = self._take(camera, size * ZOOM, key[2])
        return self._fine[key]

    def close(self) -> None:
        """Free what the renderers hold."""
        self._renderers.close()

    def _take(
        self, camera: str, size: int, profile: RenderProfile
    ) -> UInt8[np.ndarray, "size size 3"]:
        picture = self._renderers.render(self.model, self.data, CAMERAS[camera], size, profile)
        return np.ascontiguousarray(picture[::-1, ::-1]) if camera in TURNED else picture

    def _number(self, camera: str) -> int:
        return mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_CAMERA, CAMERAS[camera])

    def _place_of_hand(self, camera: str, size: int) -> tuple[int, int]:
        """Return the row and column in which a camera sees the hand, in the upright picture."""
        number = self._number(camera)
        axes = self.data.cam_xmat[number].reshape(3, 3)
        # MuJoCo's cameras look along their -z, with x to the right and y up.
        x, y, z = axes.T @ (self.state[:3] - self.data.cam_xpos[number])
        focal_px = 0.5 * size / np.tan(0.5 * np.deg2rad(self.model.cam_fovy[number]))
        row = 0.5 * size + focal_px * y / z
        column = 0.5 * size - focal_px * x / z
        if camera in TURNED:
            row, column = size - row, size - column
        return int(row), int(column)


def cut(
    picture: UInt8[np.ndarray, "height width_px 3"], top: int, left: int, size: int
) -> UInt8[np.ndarray, "size size 3"]:
    """Cut a square out of a picture; beyond the picture's edge, the edge is repeated."""
    rows = np.clip(np.arange(top, top + size), 0, picture.shape[0] - 1)
    columns = np.clip(np.arange(left, left + size), 0, picture.shape[1] - 1)
    return picture[rows[:, None], columns[None, :]]


# One with its meshes and textures takes about 75 MB, and as long to build as fifty steps.
GARAGE = Garage(Simulator, fewest=8, most=64, most_per_task=2)
