"""Pictures of MuJoCo models by OpenGL, without a screen, fast on a CPU.

MuJoCo's own renderer wants `MUJOCO_GL` to be set before `import mujoco`, and that import fails
where the library it names is missing. Here the library is looked for first, and a context of its
own is made when the first picture is taken: nothing needs to be set.
"""

import atexit
import importlib
import os
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Bool, UInt8

from plait.config import from_dict
from plait.envs.opengl_library import (
    HOW_TO_INSTALL,
    NoOpenGLError,
    find_platform,
    require_opengl,
)
from plait.errors import UnknownNameError

__all__ = [
    "OPENGL",
    "RAYCAST",
    "RENDERERS",
    "NoOpenGLError",
    "OffscreenRenderer",
    "RenderProfile",
    "are_in_sight",
    "average",
    "find_platform",
    "require_opengl",
]

OPENGL, RAYCAST = RENDERERS = ("opengl", "raycast")
# A group of geoms that MuJoCo does not draw unless asked to.
OUT_OF_SIGHT = 5


@dataclass(frozen=True, kw_only=True)
class RenderProfile:
    """How pictures are taken; policies should see what they were trained on.

    Shadows, reflections and multisampling make a picture of Meta-World more than ten times as
    dear on a CPU. Averaging over a few samples a pixel smooths edges for a fraction of that, since
    the time goes into the meshes rather than into the pixels.

    Attributes:
        renderer: `opengl`, or `raycast`, which needs no OpenGL and gives another picture.
        supersample: Samples a pixel along each side, averaged.
        has_shadows: Whether lights cast shadows.
        has_reflections: Whether surfaces reflect.
        multisamples: OpenGL's own samples a pixel; 0 for none.
    """

    renderer: str = OPENGL
    supersample: int = 3
    has_shadows: bool = False
    has_reflections: bool = False
    multisamples: int = 0

    @classmethod
    def from_options(cls, options: dict[str, Any]) -> "RenderProfile":
        """Take the option `render` out: a profile, its JSON, or the name of a renderer.

        Raises:
            UnknownNameError: If there is no such renderer, or a field is unknown.
        """
        render = options.pop("render", None)
        if isinstance(render, cls):
            return render
        if isinstance(render, Mapping):
            cls.of(str(render.get("renderer", "")))
            return from_dict(cls, render)
        return cls.of(render or OPENGL)

    @classmethod
    def of(cls, renderer: str) -> "RenderProfile":
        """Return the profile of a renderer's name.

        Raises:
            UnknownNameError: If there is no such renderer.
        """
        if renderer not in RENDERERS:
            raise UnknownNameError("renderer", renderer, RENDERERS)
        # A ray costs as much as the next; OpenGL's samples are nearly free.
        return cls(renderer=renderer, supersample=1 if renderer == RAYCAST else cls.supersample)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)


_RENDERERS: "weakref.WeakSet[OffscreenRenderer]" = weakref.WeakSet()


@cache
def _current_context(process: int) -> Any:
    """Make the OpenGL context of this process (a forked child needs its own); models share it."""
    require_opengl()
    platform = find_platform()
    assert platform is not None
    # One thread a process is fastest: whoever has more cores runs more processes.
    os.environ.setdefault("LP_NUM_THREADS", "1")
    try:
        context = importlib.import_module(f"mujoco.{platform}").GLContext(1, 1)
        context.make_current()
    except (ImportError, AttributeError, RuntimeError) as error:
        raise NoOpenGLError(
            f"OpenGL by {platform} cannot be used ({error}); {HOW_TO_INSTALL}"
        ) from error
    atexit.register(_close, process, context)
    return context


def _close(process: int, context: Any) -> None:
    """Free what OpenGL holds while Python still stands; at its very end that would be noise."""
    if process != os.getpid():
        return
    with suppress(Exception):
        context.make_current()
        for renderer in list(_RENDERERS):
            renderer.close()
        context.free()


class OffscreenRenderer:
    """Takes square pictures of one model.

    Args:
        model: The model; its limits for offscreen pictures are raised as needed.
        size: Height and width in pixels.
        profile: How.
        hidden_groups: Groups of geoms that are not drawn, such as those that only collide.

    Raises:
        NoOpenGLError: If there is no OpenGL.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        size: int,
        profile: RenderProfile,
        hidden_groups: Sequence[int] = (),
    ) -> None:
        # Others, such as a benchmark's own viewer, may have made theirs the current one.
        _current_context(os.getpid()).make_current()
        self._model, self._size, self._supersample = model, size, profile.supersample
        side = size * profile.supersample
        model.vis.global_.offwidth = max(model.vis.global_.offwidth, side)
        model.vis.global_.offheight = max(model.vis.global_.offheight, side)
        shadow_side = model.vis.quality.shadowsize
        model.vis.quality.offsamples = profile.multisamples
        if not profile.has_shadows:
            # A shadow map of 64 MB would be kept for every model, used or not.
            model.vis.quality.shadowsize = 0
        self._viewport = mujoco.MjrRect(0, 0, side, side)
        self._buffer = np.empty((side, side, 3), np.uint8)
        self._scene = mujoco.MjvScene(model, maxgeom=2000)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = profile.has_shadows
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = profile.has_reflections
        self._option = mujoco.MjvOption()
        for group in hidden_groups:
            self._option.geomgroup[group] = 0
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        model.vis.quality.shadowsize = shadow_side  # another profile may want shadows
        _RENDERERS.add(self)

    def close(self) -> None:
        """Free its buffers; no more pictures can be taken."""
        # In another's context the same numbers are other buffers.
        _current_context(os.getpid()).make_current()
        self._context.free()

    def render(
        self, model: mujoco.MjModel, data: mujoco.MjData, camera: int
    ) -> UInt8[np.ndarray, "size size 3"]:
        """Take a picture.

        Args:
            model: The model, or another one with the same meshes and textures.
            data: Its state.
            camera: Number of the camera.
        """
        _current_context(os.getpid()).make_current()
        self._camera.fixedcamid = camera
        with self._without_what_is_out_of_sight(model, data, camera):
            everything = mujoco.mjtCatBit.mjCAT_ALL
            mujoco.mjv_updateScene(
                model, data, self._option, None, self._camera, everything, self._scene
            )
        # Every time: whichever renderer was made last has left its own buffer bound.
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        mujoco.mjr_render(self._viewport, self._scene, self._context)
        mujoco.mjr_readPixels(self._buffer, None, self._viewport, self._context)
        # OpenGL's first row is the lowest.
        return average(self._buffer[::-1], self._supersample)

    @contextmanager
    def _without_what_is_out_of_sight(
        self, model: mujoco.MjModel, data: mujoco.MjData, camera: int
    ) -> Iterator[None]:
        """Leave out geoms that the camera cannot see: MuJoCo draws every one of them.

        What is out of sight may still cast a shadow, or be seen in a mirror.
        """
        flags, kinds = self._scene.flags, mujoco.mjtRndFlag
        if flags[kinds.mjRND_SHADOW] or flags[kinds.mjRND_REFLECTION]:
            yield
            return
        groups = model.geom_group.copy()
        model.geom_group[~are_in_sight(model, data, camera)] = OUT_OF_SIGHT
        try:
            yield
        finally:
            model.geom_group[:] = groups


def are_in_sight(
    model: mujoco.MjModel, data: mujoco.MjData, camera: int
) -> Bool[np.ndarray, " geoms"]:
    """Return which geoms may be seen in a square picture: those not wholly beside or behind it.

    Each is taken for the sphere around it; planes, which have none, are always in sight.
    """
    radius = model.geom_rbound
    if model.cam_sensorsize[camera].any() or _is_orthographic(model, camera):
        # What such a camera sees does not follow from its field of view alone.
        return np.ones_like(radius, bool)
    axes = data.cam_xmat[camera].reshape(3, 3)
    place = (data.geom_xpos - data.cam_xpos[camera]) @ axes
    depth, half_angle = -place[:, 2], np.deg2rad(model.cam_fovy[camera]) / 2
    # The sides of the view are planes through the camera.
    beyond = np.abs(place[:, :2]) * np.cos(half_angle) - depth[:, None] * np.sin(half_angle)
    return (radius == 0) | ((beyond <= radius[:, None]).all(1) & (depth > -radius))


def _is_orthographic(model: mujoco.MjModel, camera: int) -> bool:
    # Renamed in later versions of MuJoCo 3.
    kinds = model.cam_projection if hasattr(model, "cam_projection") else model.cam_orthographic
    return bool(kinds[camera])


def average(
    picture: UInt8[np.ndarray, "height width_px 3"], factor: int
) -> UInt8[np.ndarray, "small_height small_width 3"]:
    """Average blocks of `factor` by `factor` pixels, rounding to the nearest; always a copy."""
    if factor == 1:
        return picture.copy()
    height, width, _ = picture.shape
    # Sums of strided views: several times as fast as a mean over two axes.
    total = np.full((height // factor, width // factor, 3), factor * factor // 2, np.uint16)
    for row in range(factor):
        for column in range(factor):
            total += picture[row::factor, column::factor]
    return (total // (factor * factor)).astype(np.uint8)
