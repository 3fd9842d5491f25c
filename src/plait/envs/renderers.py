"""The renderers of a scene, of every kind, size and profile that it is ever looked at with."""

from collections.abc import Sequence

import mujoco
import numpy as np
from jaxtyping import UInt8

from plait.envs.opengl import RAYCAST, OffscreenRenderer, RenderProfile
from plait.envs.raycast import RaycastRenderer


class Renderers:
    """Makes a renderer when it is first needed, and keeps it: to make one takes a second.

    Args:
        hidden_groups: Groups of geoms that are not drawn, such as those that only collide.
    """

    def __init__(self, hidden_groups: Sequence[int] = ()) -> None:
        self._hidden_groups = tuple(hidden_groups)
        self._made: dict[tuple[int, RenderProfile], OffscreenRenderer | RaycastRenderer] = {}

    def render(
        self,
        model: mujoco.MjModel,
        data: mujoco.MjData,
        camera: str,
        size: int,
        profile: RenderProfile,
    ) -> UInt8[np.ndarray, "size size 3"]:
        """Take a picture.

        Args:
            model: The model; always the same one, or one with the same geoms.
            data: Its state.
            camera: Name of the camera in the model.
            size: Height and width in pixels.
            profile: How.
        """
        key = (size, profile)
        if key not in self._made:
            kind = RaycastRenderer if profile.renderer == RAYCAST else OffscreenRenderer
            self._made[key] = kind(model, size, profile, self._hidden_groups)
        number = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, camera)
        return self._made[key].render(model, data, number)

    def close(self) -> None:
        """Free what the renderers hold."""
        for renderer in self._made.values():
            renderer.close()
        self._made.clear()
