"""A scene in motion: the model, its state, the gripper's commands, and what touches what."""

import mujoco
import numpy as np
from jaxtyping import Float

from plait.envs.tabletop.model import FINGER_OPEN, HIGH, LOW, TIMESTEP_S, build_model
from plait.envs.tabletop.scene import Scene

CONTROL_S = 0.1
STEP_M = 0.03  # how far an action of 1 moves the hand in a control step
STEP_RAD = 0.15  # ... and how far it turns it
LAG_M, LAG_RAD = 0.04, 0.3  # how far the set-point may run ahead of a hand that is blocked
CHECKS = 4  # contacts are looked at this often in a control step

Vector = Float[np.ndarray, "3"]

_NOBODY, _PALM, _LEFT, _RIGHT, _TABLE = -1, -2, -3, -4, -5
_CONTAINER = 100  # owner code of container k is _CONTAINER + k; of object k it is k
_SCALE = np.array([STEP_M] * 3 + [STEP_RAD] * 3)
_LAG = np.array([LAG_M] * 3 + [LAG_RAD] * 3)
_LOW, _HIGH = np.array(LOW), np.array(HIGH)
# Actions turn about x, y, z (roll, pitch, yaw); the chain's hinges are in the other order.
_ORDER = [0, 1, 2, 5, 4, 3]


class World:
    """The physics of one scene.

    Args:
        scene: What lies where at the start.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.model = build_model(scene)
        self.data = mujoco.MjData(self.model)
        self.num_objects = len(scene.objects)
        self.hand = _body(self.model, "hand")
        self._objects = [_body(self.model, f"object{k}") for k in range(self.num_objects)]
        names = [f"container{k}" for k in range(len(scene.containers))]
        self._containers = [_body(self.model, name) for name in names]
        self._owner = self._owners()
        start = self.model.body_dofadr[self.hand]
        self._dofs = slice(start, start + 6)
        qpos = self.model.jnt_qposadr[self.model.body_jntadr[self.hand]]
        self._qpos = slice(qpos, qpos + 6)
        self._fingers = slice(qpos + 6, qpos + 8)
        self.data.qpos[self._qpos] = (*scene.hand, 0.0, 0.0, 0.0)
        self.data.qpos[self._fingers] = FINGER_OPEN
        self.data.act[:] = self.data.qpos[self._qpos]
        self.data.ctrl[6:] = FINGER_OPEN
        mujoco.mj_forward(self.model, self.data)
        self.start_positions = np.array([self.position(k) for k in range(self.num_objects)])
        self.first_touched: int | None = None

    def _owners(self) -> np.ndarray:
        """Map each geom to what it belongs to."""
        of_body = np.full(self.model.nbody, _NOBODY)
        of_body[0] = _TABLE
        for name, code in (("hand", _PALM), ("left", _LEFT), ("right", _RIGHT)):
            of_body[_body(self.model, name)] = code
        of_body[self._objects] = np.arange(self.num_objects)
        of_body[self._containers] = _CONTAINER + np.arange(len(self._containers))
        return of_body[self.model.geom_bodyid]

    def step(self, action: Float[np.ndarray, "7"]) -> None:
        """Take one control step of `CONTROL_S` seconds.

        Args:
            action: Δ x, y, z, Δ roll, pitch, yaw and the gripper, each in [-1, 1].
        """
        data = self.data
        joints = data.qpos[self._qpos]
        data.act[:] = np.clip(data.act, joints - _LAG, joints + _LAG)
        goal = np.clip(data.act + action[_ORDER] * _SCALE, _LOW, _HIGH)
        data.ctrl[:6] = (goal - data.act) / CONTROL_S
        data.ctrl[6:] = FINGER_OPEN * 0.5 * (1.0 - action[6])
        substeps = round(CONTROL_S / TIMESTEP_S / CHECKS)
        for _ in range(CHECKS):
            mujoco.mj_step(self.model, data, substeps)
            if self.first_touched is None:
                touched = self.touched()
                self.first_touched = touched[0] if touched else None
        mujoco.mj_kinematics(self.model, data)
        mujoco.mj_camlight(self.model, data)

    def tcp(self) -> Vector:
        """Return the point between the fingertips [m]."""
        return self.data.xpos[self.hand]

    def rotation(self) -> Float[np.ndarray, "3 3"]:
        """Return the hand's rotation; the identity is fingers down, closing along y."""
        return self.data.xmat[self.hand].reshape(3, 3)

    def fingers(self) -> Float[np.ndarray, "2"]:
        """Return how far the left and the right finger are from the middle [m]."""
        return self.data.qpos[self._fingers]

    def position(self, index: int) -> Vector:
        """Return the centre of an object [m]."""
        return self.data.xpos[self._objects[index]]

    def container_position(self, index: int) -> Vector:
        """Return the centre of a container's foot [m]."""
        return self.data.xpos[self._containers[index]]

    def speed(self, index: int) -> float:
        """Return how fast an object's centre moves [m/s]."""
        start = self.model.body_dofadr[self._objects[index]]
        vx, vy, vz = self.data.qvel[start : start + 3].tolist()
        return float((vx * vx + vy * vy + vz * vz) ** 0.5)

    def _pairs(self) -> np.ndarray:
        """Return who touches whom, as owner codes `[contacts, 2]`, in both orders."""
        pairs = self._owner[self.data.contact.geom]
        return np.concatenate([pairs, pairs[:, ::-1]])

    def touched(self) -> list[int]:
        """Return the objects that the hand touches."""
        pairs = self._owner[self.data.contact.geom]
        low, high = pairs.min(axis=1), pairs.max(axis=1)
        touching = (low <= _PALM) & (low >= _RIGHT) & (high >= 0) & (high < _CONTAINER)
        return sorted({int(code) for code in high[touching]})

    def held(self) -> list[int]:
        """Return the objects between both fingers."""
        pairs = self._pairs()
        left = set(pairs[pairs[:, 0] == _LEFT, 1].tolist())
        right = set(pairs[pairs[:, 0] == _RIGHT, 1].tolist())
        return sorted(code for code in left & right if 0 <= code < _CONTAINER)

    def supports(self, index: int) -> tuple[list[int], list[int]]:
        """Return the objects and the containers that an object touches."""
        pairs = self._pairs()
        others = {int(code) for code in pairs[pairs[:, 0] == index, 1]}
        objects = sorted(code for code in others if 0 <= code < _CONTAINER)
        return objects, sorted(code - _CONTAINER for code in others if code >= _CONTAINER)


def _body(model: mujoco.MjModel, name: str) -> int:
    """Look a body up."""
    return int(mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, name))
