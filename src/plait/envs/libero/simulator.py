"""One LIBERO scene: physics, pictures and the privileged state that the expert reads.

What the benchmark leaves to trip over is dealt with here: it draws from NumPy's global generator,
a reset builds the whole model anew, and one that does not puts what is in a drawer elsewhere.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float32, Float64, UInt8

from plait.envs.garage import Garage
from plait.envs.libero.requirements import import_libero
from plait.envs.libero.tasks import Task
from plait.envs.opengl import RenderProfile
from plait.envs.renderers import Renderers
from plait.errors import OptionError, UnknownNameError

# Cameras with their names in the model. Data of others call them otherwise: the HDF5 files that
# LIBERO published, LeRobot's environment, and what was converted from either.
CAMERAS: Mapping[str, str] = {"image": "agentview", "wrist": "robot0_eye_in_hand"}
ALIASES: Mapping[str, str] = {
    "agentview_rgb": "image",
    "eye_in_hand_rgb": "wrist",
    "image2": "wrist",
    "wrist_image": "wrist",
}
VIEWS: Mapping[str, str] = {**CAMERAS, **{name: CAMERAS[of] for name, of in ALIASES.items()}}
PROPRIO_DIM, ACTION_DIM = 8, 7
CONTROL_HZ = 20
SETTLE_STEPS = 10
# No motion, gripper open.
NO_OPERATION = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0])
# Geoms of this group collide and are not meant to be seen.
COLLISION_GROUP = 0
# Standard deviation of the arm's first joint angles [rad], as where the benchmark's own initial
# states and demonstrations come from.
JOINT_NOISE = 0.02
MAX_PLACEMENTS = 100


class Simulator:
    """A task's scene.

    Args:
        task: The task.
    """

    def __init__(self, task: Task) -> None:
        control = import_libero("libero.libero.envs.env_wrapper").ControlEnv
        self.task = task
        with _numpy_seeded(0):
            self._benchmark = control(
                bddl_file_name=str(task.problem),
                use_camera_obs=False,
                has_offscreen_renderer=False,
                hard_reset=False,
                ignore_done=True,
                initialization_noise="default",
                control_freq=CONTROL_HZ,
            )
        self._env = self._benchmark.env
        # Nobody reads robosuite's observations, and to make them takes a tenth of the time.
        self._env._observables.clear()
        self._states = task.initial_states()
        self._unplaced = self._unplaced_fixtures()
        self._renderers = Renderers(hidden_groups=(COLLISION_GROUP,))

    @property
    def model(self) -> mujoco.MjModel:
        """The MuJoCo model."""
        return self._env.sim.model._model

    @property
    def data(self) -> mujoco.MjData:
        """Its state."""
        return self._env.sim.data._data

    @property
    def problem(self) -> Any:
        """The benchmark's own environment; for experts alone."""
        return self._env

    @property
    def num_states(self) -> int:
        """How many fixed initial states there are."""
        return len(self._states)

    @property
    def state(self) -> Float64[np.ndarray, " state_dim"]:
        """Everything that moves, as the benchmark writes initial states."""
        return np.asarray(self._benchmark.get_sim_state())

    @property
    def proprio(self) -> Float32[np.ndarray, "8"]:
        """Position [m] and axis-angle of the hand, and positions of both fingers [m]."""
        robot = self._env.robots[0]
        position = self.data.site_xpos[robot.eef_site_id]
        rotation = axis_angle(self.data.body(robot.robot_model.eef_name).xquat)
        fingers = self.data.qpos[robot._ref_gripper_joint_pos_indexes]
        return np.concatenate([position, rotation, fingers]).astype(np.float32)

    def reset_to(self, number: int) -> None:
        """Start an episode from a fixed initial state, and let it settle.

        Fixtures are no part of a state; as in the benchmark, they stand where a reset puts them.
        """
        self._place(seed=number, joint_noise=0.0)
        self._benchmark.set_init_state(self._states[number])
        self._settle()

    def reset_sampled(self, seed: int) -> None:
        """Start an episode whose objects lie where the benchmark's placement puts them."""
        self._place(seed=seed, joint_noise=JOINT_NOISE)
        self._settle()

    def step(self, action: Float32[np.ndarray, "7"]) -> bool:
        """Take a control step of 1/20 s; return whether the goal is reached."""
        _, _, is_success, _ = self._env.step(action)
        return bool(is_success)

    def render(
        self, camera: str, size: int, profile: RenderProfile
    ) -> UInt8[np.ndarray, "size size 3"]:
        """Take a picture, the right way up and mirrored, as everyone's LIBERO pictures are.

        Raises:
            UnknownNameError: If there is no such camera.
        """
        if camera not in VIEWS:
            raise UnknownNameError("camera of LIBERO", camera, VIEWS)
        picture = self._renderers.render(self.model, self.data, VIEWS[camera], size, profile)
        # The benchmark's pictures are upside down. Turned by half a turn, as is the custom, they
        # are upright, with left and right exchanged.
        return np.ascontiguousarray(picture[:, ::-1])

    def close(self) -> None:
        """Give the memory back."""
        self._renderers.close()
        self._benchmark.close()

    def _place(self, seed: int, joint_noise: float) -> None:
        """Reset everything, with what chance decides following from the seed alone."""
        self._env.robots[0].initialization_noise["magnitude"] = joint_noise
        with _numpy_seeded(seed):
            self._reset()
        self._forget()
        # A burner that is on glows from here on, and one that is off does not.
        self._env._check_success()
        self._env._post_process()

    def _unplaced_fixtures(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Return positions and rotations of fixtures as a model has them that was just built."""
        model = mujoco.MjSpec.from_string(self._env.model.get_xml())
        bodies = [fixture.root_body for fixture in self._env.fixtures_dict.values()]
        return {
            name: (np.array(model.body(name).pos), np.array(model.body(name).quat))
            for name in bodies
        }

    def _reset(self) -> None:
        # What lies in or on a fixture is placed by where that is now, plus where it is put.
        for name, (position, rotation) in self._unplaced.items():
            body = self.model.body(name)
            body.pos[:], body.quat[:] = position, rotation
        from robosuite.utils.errors import RandomizationError

        for _ in range(MAX_PLACEMENTS):
            try:
                self._env.reset()
            except RandomizationError:
                # Objects overlapped; the next draw differs.
                continue
            return
        raise OptionError(
            f"the things of {self.task.suite}/{self.task.number} found no place in "
            f"{MAX_PLACEMENTS} tries; choose another seed"
        )

    def _forget(self) -> None:
        """Drop what a used simulator has over a new one: the last commands, the solver's guess."""
        gripper = self._env.robots[0].gripper
        gripper.current_action = np.zeros(gripper.dof)
        self.data.ctrl[:] = 0.0
        self.data.qacc_warmstart[:] = 0.0

    def _settle(self) -> None:
        """Let what was put down come to rest, as the protocol has it."""
        for _ in range(SETTLE_STEPS):
            self._env.step(NO_OPERATION)


def axis_angle(quaternion: Float64[np.ndarray, "4"]) -> Float64[np.ndarray, "3"]:
    """Return the rotation vector of a unit quaternion (w x y z), of a length from 0 to 2π."""
    cosine = np.clip(quaternion[0], -1.0, 1.0)
    sine = np.sqrt(1.0 - cosine * cosine)
    if sine < 1e-8:
        return np.zeros(3)
    return quaternion[1:] * (2.0 * np.arccos(cosine) / sine)


@contextmanager
def _numpy_seeded(seed: int) -> Iterator[None]:
    """Seed NumPy's global generator for a moment, and leave it as it was."""
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(np.random.SeedSequence(seed).generate_state(8))  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


# One takes seconds to build and a gigabyte to keep.
GARAGE = Garage(Simulator, fewest=0, most=12, most_per_task=12)
