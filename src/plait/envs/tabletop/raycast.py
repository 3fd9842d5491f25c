"""The cameras: one ray a pixel, met with every geom in closed form, without OpenGL.

A ray that meets a geom takes its colour, lit by the normal that follows exactly from the primitive;
silhouettes and the image border need no special case. Every other ray sees the table, darkened by
a soft blob below each thing that moves with the light's slant, so that height can be seen.

MuJoCo's `mj_multiRay` is not used: it bounds a geom by the angles of its corners, and so loses
pixels where a broad face is near (4 % of all up to 3.3.7, 0.04 % in 4.0.0). Against `mj_ray`, which
is exact but takes one ray a call, the tests find no difference. Arithmetic is in float64, rounded
once, so that a picture depends neither on the machine nor on MuJoCo's version.
"""

from functools import lru_cache
from itertools import product
from typing import NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from plait.envs.primitives import Meet, camera_rays, meet_box, meet_cylinder, meet_sphere
from plait.envs.tabletop.backdrop import Backdrop
from plait.envs.tabletop.model import HIDDEN_GROUP

Image = UInt8[np.ndarray, "height width_px 3"]

# `base` is fixed, over the robot's shoulder. `wrist` is wide-angle: from where the hand starts it
# sees 99 % of all objects (63 % with 75° and a tilt of 30°), so a policy that looks at one moment
# can do without `base`.
BASE_POSITION = (-0.43, 0.0, 0.62)
BASE_TARGET = (0.012, 0.0, 0.02)
FIELD_OF_VIEW_RAD = {"base": 0.62, "wrist": 1.90}

_LIGHT = np.array([-0.30, 0.42, 1.0]) / np.linalg.norm([-0.30, 0.42, 1.0])
_AMBIENT, _DIFFUSE = 0.52, 0.54
_SHADOW = 0.42
_CORNERS = np.array(list(product((-1.0, 1.0), repeat=3)))
_SPHERE, _CYLINDER, _BOX = (
    int(mujoco.mjtGeom.mjGEOM_SPHERE),
    int(mujoco.mjtGeom.mjGEOM_CYLINDER),
    int(mujoco.mjtGeom.mjGEOM_BOX),
)
_MEET: dict[int, Meet] = {_SPHERE: meet_sphere, _CYLINDER: meet_cylinder, _BOX: meet_box}
# Which of a geom's sizes are half its extent along x, y and z.
_EXTENT_COLUMNS = {_SPHERE: (0, 0, 0), _CYLINDER: (0, 0, 1), _BOX: (0, 1, 2)}


class View(NamedTuple):
    """A camera in its pose: rays that leave `origin` [m] for each pixel, row by row.

    `rotation` turns the camera's frame (x right, y up, looking along -z) into the world's.
    """

    origin: Float[np.ndarray, "3"]
    rotation: Float[np.ndarray, "3 3"]
    half: float  # slope of the picture's edge
    rays: Float[np.ndarray, "3 pixels"]  # in the camera's frame, with z = -1


class Hits(NamedTuple):
    """What the rays of some pixels meet first."""

    pixels: Int[np.ndarray, " hits"]
    geoms: Int[np.ndarray, " hits"]
    reach: Float[np.ndarray, " hits"]  # multiple of the pixel's ray
    facing: Float[np.ndarray, " hits"]  # the normal's component towards the light


@lru_cache(maxsize=8)
def _base_view(size: int) -> tuple[View, Backdrop]:
    """Return the fixed camera, which always sees the same of the table."""
    origin = np.array(BASE_POSITION)
    back = origin - np.array(BASE_TARGET)
    back /= np.linalg.norm(back)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(back, right), back], axis=1)
    half = float(np.tan(FIELD_OF_VIEW_RAD["base"] / 2))
    view = View(origin, rotation, half, camera_rays(size, half))
    return view, Backdrop(origin, rotation @ view.rays)


class Raycaster:
    """Renders the cameras of one model.

    Args:
        model: The compiled scene.
        data: Its state, read at every picture.
    """

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        self._data = data
        self._wrist = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, "wrist")
        seen = np.flatnonzero(model.geom_group != HIDDEN_GROUP)
        # Geoms of one type lie side by side, in the order of `_MEET`.
        self._seen = np.concatenate([seen[model.geom_type[seen] == code] for code in _MEET])
        types = model.geom_type[self._seen]
        self._type_ends = np.cumsum([(types == code).sum() for code in _MEET])
        self._sizes = model.geom_size[self._seen].T.copy()
        self._colours = model.geom_rgba[self._seen, :3].astype(np.float32)
        self._corners = _CORNERS * _half_extents(types, self._sizes.T)[:, None]
        # The widest geom of each body that moves casts its shadow.
        width = np.sqrt(self._corners[:, -1, :2].prod(axis=1))
        bodies = model.geom_bodyid[self._seen]
        widest = np.argsort(-width, kind="stable")
        widest = widest[model.body_weldid[bodies[widest]] != 0]
        casters = widest[np.unique(bodies[widest], return_index=True)[1]]
        self._casters = self._seen[casters]
        self._caster_radii = 1.15 * width[casters] + 0.006

    def view(self, camera: str, size: int) -> tuple[View, Backdrop]:
        """Return a camera as it stands now, and what it would see of an empty table."""
        if camera == "base":
            return _base_view(size)
        half = float(np.tan(FIELD_OF_VIEW_RAD[camera] / 2))
        origin = self._data.cam_xpos[self._wrist].copy()
        rotation = self._data.cam_xmat[self._wrist].reshape(3, 3).copy()
        view = View(origin, rotation, half, camera_rays(size, half))
        return view, Backdrop(origin, rotation @ view.rays)

    def render(self, camera: str, size: int, *, supersample: int = 1) -> Image:
        """Take a square picture.

        Args:
            camera: `base` or `wrist`.
            size: Its height and width in pixels.
            supersample: Rays a pixel along each side.
        """
        view, backdrop = self.view(camera, size * supersample)
        colour = backdrop.colour * self._table_light(backdrop)[:, None]
        hits = self.cast(view)
        light = (_AMBIENT + _DIFFUSE * np.maximum(hits.facing, 0.0)).astype(np.float32)
        colour[hits.pixels] = self._colours[hits.geoms] * light[:, None]
        if supersample > 1:
            blocks = colour.reshape(size, supersample, size, supersample, 3)
            colour = blocks.mean(axis=(1, 3)).reshape(-1, 3)
        np.minimum(colour, 1.0, out=colour)
        return (colour * 255 + 0.5).astype(np.uint8).reshape(size, size, 3)

    def cast(self, view: View) -> Hits:
        """Return what each pixel's ray meets first, for the pixels that see a geom at all."""
        axes = self._data.geom_xmat[self._seen].reshape(-1, 3, 3)
        offset = self._data.geom_xpos[self._seen] - view.origin
        pixels, counts = self._pairs(view, axes, offset)
        facts = np.concatenate(
            [
                np.matmul(view.rotation.T, axes).transpose(1, 2, 0).reshape(9, -1),
                -np.matmul(offset[:, None], axes)[:, 0].T,
                self._sizes,
                np.matmul(_LIGHT, axes).T,
            ]
        )
        facts = np.repeat(facts, counts, axis=1)
        x, y = view.rays[0, pixels], view.rays[1, pixels]
        rays = facts[:3] * x + facts[3:6] * y - facts[6:9]
        reach, facing = np.empty(len(pixels)), np.empty(len(pixels))
        ends = np.cumsum([0, *counts])[self._type_ends].tolist()
        for meet, start, end in zip(_MEET.values(), [0, *ends], ends, strict=False):
            span, of = slice(start, end), facts[:, start:end]
            reach[span], facing[span] = meet(of[9:12], rays[:, span], of[12:15], of[15:])
        nearest = np.full(view.rays.shape[1], np.inf)
        np.minimum.at(nearest, pixels, reach)
        first = np.flatnonzero((reach == nearest[pixels]) & (reach < np.inf))
        geoms = np.repeat(np.arange(len(counts)), counts)[first]
        return Hits(pixels[first], geoms, reach[first], facing[first])

    def _pairs(
        self, view: View, axes: np.ndarray, offset: np.ndarray
    ) -> tuple[Int[np.ndarray, " pairs"], list[int]]:
        """Return the pixels that might see each geom, and how many these are: a rectangle each.

        A geom lies within the hull of its bounding box's eight corners. It cannot be seen if they
        all lie outside one side of the view; it is seen within their rectangle if they all lie in
        front of the camera; and anywhere otherwise.
        """
        corners = np.matmul(self._corners, axes.transpose(0, 2, 1)) + offset[:, None]
        corners = corners @ view.rotation
        x, y, depth = corners[..., 0], corners[..., 1], -corners[..., 2]
        edge = view.half * depth
        beyond = np.stack([x - edge, -x - edge, y - edge, -y - edge])
        hidden = (beyond.min(axis=2) > 0).any(axis=0)
        behind = depth.min(axis=1) < 1e-3
        side = round(view.rays.shape[1] ** 0.5)
        scale = 0.5 * side / (view.half * np.maximum(depth, 1e-3))
        places = 0.5 * side + np.stack([-scale * y, scale * x])
        low, high = places.min(axis=2), places.max(axis=2) + 1
        low[:, behind], high[:, behind] = 0, side
        high[:, hidden] = low[:, hidden]
        bounds = np.clip(np.concatenate([low, high]), 0, side).astype(int).T.tolist()
        grid = _grid(side)
        parts = [grid[top:bottom, left:right].ravel() for top, left, bottom, right in bounds]
        return np.concatenate(parts), [len(part) for part in parts]

    def _table_light(self, backdrop: Backdrop) -> Float32[np.ndarray, " pixels"]:
        """Return how bright the table is where each ray meets it: 1 but for the blobs of shadow.

        A caster's blob at (a, b) of radius r darkens by the lesser of its depth and
        1.6 depth (1 - ((x - a)² + (y - b)²) / r²), which is linear in (x² + y², x, y, 1).
        """
        centres = self._data.geom_xpos[self._casters]
        height = np.maximum(centres[:, 2], 0.0)
        x = centres[:, 0] - height * (_LIGHT[0] / _LIGHT[2])
        y = centres[:, 1] - height * (_LIGHT[1] / _LIGHT[2])
        radius = self._caster_radii + 0.12 * height
        depth = _SHADOW * (self._caster_radii / radius) ** 1.5
        scale = 1 / (radius * radius)
        weights = np.stack([-scale, 2 * x * scale, 2 * y * scale, 1 - (x * x + y * y) * scale])
        dark = (1.6 * depth * weights).T @ backdrop.places
        np.minimum(dark, depth[:, None], out=dark)
        return (1.0 - np.maximum(dark.max(axis=0), 0.0)).astype(np.float32)


def _half_extents(types: np.ndarray, sizes: Float[np.ndarray, "geoms 3"]) -> np.ndarray:
    """Return half the size of each geom along its own axes [m]."""
    columns = np.array([_EXTENT_COLUMNS[int(code)] for code in types])
    return np.take_along_axis(sizes, columns, axis=1) + 1e-9


@lru_cache(maxsize=16)
def _grid(side: int) -> Int[np.ndarray, "side side"]:
    """Number the pixels."""
    return np.arange(side * side).reshape(side, side)
