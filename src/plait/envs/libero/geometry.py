"""Where things are and how large, read off the scene; for experts alone."""

from dataclasses import dataclass
from itertools import product

import mujoco
import numpy as np
from jaxtyping import Float64

from plait.envs.libero.simulator import Simulator

Vector = Float64[np.ndarray, "3"]
UP = 2
CORNERS = np.array(list(product((-1.0, 1.0), repeat=3)))


@dataclass(frozen=True)
class Box:
    """A thing's bounding box along the axes of its body.

    Attributes:
        centre: In the world [m].
        axes: Directions of the body's axes, one a column.
        half: Half of the extents along them [m].
    """

    centre: Vector
    axes: Float64[np.ndarray, "3 3"]
    half: Vector

    @property
    def half_height(self) -> float:
        """Half of the extent upwards."""
        return float(np.abs(self.axes[UP]) @ self.half)

    @property
    def top(self) -> float:
        """Height of the highest point."""
        return float(self.centre[UP]) + self.half_height

    @property
    def bottom(self) -> float:
        """Height of the lowest point."""
        return float(self.centre[UP]) - self.half_height

    @property
    def level(self) -> tuple[int, ...]:
        """The two axes that lie flattest."""
        return tuple(np.argsort(np.abs(self.axes[UP]))[:2].tolist())


class Shapes:
    """Bounding boxes of movable things and of regions.

    Args:
        simulator: The scene.
    """

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        # Centre and half extents in the body's own frame, which never change.
        self._own: dict[str, tuple[Vector, Vector]] = {}

    def box(self, name: str) -> Box:
        """Return the box of a thing, or of a region such as the inside of a basket."""
        problem = self._simulator.problem
        if name in problem.object_sites_dict:
            return self._region(name)
        number = problem.obj_body_id[name]
        data = self._simulator.data
        axes = data.xmat[number].reshape(3, 3)
        if name not in self._own:
            self._own[name] = self._measure(name, data.xpos[number], axes)
        centre, half = self._own[name]
        return Box(data.xpos[number] + axes @ centre, axes.copy(), half)

    def _region(self, name: str) -> Box:
        model, data = self._simulator.model, self._simulator.data
        number = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SITE, name)
        axes = data.site_xmat[number].reshape(3, 3).copy()
        return Box(data.site_xpos[number].copy(), axes, model.site_size[number].copy())

    def _measure(
        self, name: str, position: Vector, axes: Float64[np.ndarray, "3 3"]
    ) -> tuple[Vector, Vector]:
        """Return the box around all geoms that a thing collides with, in its body's frame."""
        model, data = self._simulator.model, self._simulator.data
        problem = self._simulator.problem
        points = []
        for geom_name in problem.get_object(name).contact_geoms:
            geom = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_GEOM, geom_name)
            own = model.geom_aabb[geom, :3] + CORNERS * model.geom_aabb[geom, 3:]
            world = data.geom_xpos[geom] + own @ data.geom_xmat[geom].reshape(3, 3).T
            points.append((world - position) @ axes)
        low, high = np.concatenate(points).min(0), np.concatenate(points).max(0)
        return (low + high) / 2, (high - low) / 2
