"""The cameras: one ray a pixel through `mujoco.mj_multiRay`, shaded without OpenGL.

A ray that meets a geom takes its colour; the surface normal follows in closed form from the
primitive (box, sphere, cylinder), not from depth differences, so silhouettes and the image border
are exact. Every other ray is met with the table's plane here: wood, darkened by a soft blob below
each thing that moves with the light's slant, so that height can be seen; past the edge of the
table lies the background.

Reference: MuJoCo's `mj_multiRay`. Its signature gained an output of normals in 3.5; both are served.
"""

from functools import lru_cache

import mujoco
import numpy as np
from jaxtyping import Float, Float32, UInt8

from plait.envs.tabletop.model import HIDDEN_GROUP
from plait.envs.tabletop.scene import TABLE_X, TABLE_Y

Image = UInt8[np.ndarray, "height width_px 3"]

# Fixed camera: over the robot's shoulder.
BASE_POSITION = (-0.43, 0.0, 0.62)
BASE_TARGET = (-0.012, 0.0, 0.02)
FIELD_OF_VIEW_RAD = {"base": 0.62, "wrist": 1.30}

_LIGHT = np.array([-0.30, 0.42, 1.0]) / np.linalg.norm([-0.30, 0.42, 1.0])
_AMBIENT, _DIFFUSE = 0.52, 0.54
_GROUPS = np.array([group != HIDDEN_GROUP for group in range(6)], np.uint8)
_HAS_NORMAL = "normal:" in (mujoco.mj_multiRay.__doc__ or "")
_BOX, _SPHERE, _CYLINDER = (
    int(mujoco.mjtGeom.mjGEOM_BOX),
    int(mujoco.mjtGeom.mjGEOM_SPHERE),
    int(mujoco.mjtGeom.mjGEOM_CYLINDER),
)
_TEXEL_M = 0.004
_SHADOW = 0.42


@lru_cache(maxsize=32)
def _local_rays(size: int, field_of_view_rad: float) -> Float[np.ndarray, "pixels 3"]:
    """Return unit rays in the camera's frame (x right, y up, looking along -z), row by row."""
    half = np.tan(field_of_view_rad / 2)
    centre = (np.arange(size) + 0.5) / size * 2 - 1
    x, y = np.meshgrid(centre * half, -centre * half)
    rays = np.stack([x, y, -np.ones_like(x)], axis=-1).reshape(-1, 3)
    rays /= np.sqrt((rays * rays).sum(axis=1, keepdims=True))
    rays.setflags(write=False)
    return rays


@lru_cache(maxsize=1)
def _wood() -> Float32[np.ndarray, "rows columns 3"]:
    """Paint the table: planks along x, each of its own tone, with a fine grain."""
    rows, columns = round(2 * TABLE_X / _TEXEL_M), round(2 * TABLE_Y / _TEXEL_M)
    rng = np.random.default_rng(7)
    plank = np.arange(columns) // 22
    tone = 1 + 0.035 * rng.uniform(-1, 1, plank[-1] + 1)[plank]
    tone[np.flatnonzero(np.diff(plank))] *= 0.90
    grain = np.repeat(rng.uniform(-1, 1, (rows // 10 + 1, columns)), 10, axis=0)[:rows]
    shade = tone[None, :] * (1 + 0.018 * grain)
    return (shade[..., None] * np.array([0.80, 0.755, 0.69])).astype(np.float32)


def base_pose() -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3 3"]]:
    """Return the fixed camera's position [m] and rotation."""
    position = np.array(BASE_POSITION)
    back = position - np.array(BASE_TARGET)
    back /= np.linalg.norm(back)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    return position, np.stack([right, np.cross(back, right), back], axis=1)


class Backdrop:
    """What a bundle of rays sees where nothing stands: the table's colour and where it is met.

    Args:
        origin: Where all rays start [m].
        rays: Unit rays in the world's frame.
    """

    def __init__(self, origin: Float[np.ndarray, "3"], rays: Float[np.ndarray, "pixels 3"]) -> None:
        down = np.minimum(rays[:, 2], -1e-9)
        reach = -origin[2] / down
        self.x = (origin[0] + reach * rays[:, 0]).astype(np.float32)
        self.y = (origin[1] + reach * rays[:, 1]).astype(np.float32)
        wood = _wood()
        row = ((self.x + np.float32(TABLE_X)) * np.float32(1 / _TEXEL_M)).astype(np.int32)
        column = ((self.y + np.float32(TABLE_Y)) * np.float32(1 / _TEXEL_M)).astype(np.int32)
        on_table = (np.abs(self.x) < TABLE_X) & (np.abs(self.y) < TABLE_Y) & (rays[:, 2] < -1e-3)
        np.clip(row, 0, wood.shape[0] - 1, out=row)
        np.clip(column, 0, wood.shape[1] - 1, out=column)
        self.colour = wood[row, column]
        off = ~on_table
        height = np.clip(rays[off, 2:3] + 1.0, 0, 1).astype(np.float32)
        self.colour[off] = np.array([0.22, 0.25, 0.31], np.float32) + 0.12 * height
        self.x[off] = 1e3  # far from every shadow


class Raycaster:
    """Renders the cameras of one model.

    Args:
        model: The compiled scene.
        data: Its state, read at every picture.
    """

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        self._model, self._data = model, data
        self._wrist = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, "wrist")
        self._colours = model.geom_rgba[:, :3].astype(np.float32)
        self._types = model.geom_type.copy()
        self._sizes = model.geom_size.copy()
        moving = (model.body_weldid[model.geom_bodyid] != 0) & (model.geom_group != HIDDEN_GROUP)
        self._casters = np.flatnonzero(moving)
        size = self._sizes[self._casters]
        flat = np.where((self._types[self._casters] == _BOX)[:, None], size[:, :2], size[:, :1])
        self._caster_radii = (1.15 * np.sqrt(flat.prod(axis=1)) + 0.006).astype(np.float32)

    def render(self, camera: str, size: int, *, supersample: int = 1) -> Image:
        """Take a square picture.

        Args:
            camera: `base` or `wrist`.
            size: Its height and width in pixels.
            supersample: Rays a pixel along each side.
        """
        rays_per_side = size * supersample
        local = _local_rays(rays_per_side, FIELD_OF_VIEW_RAD[camera])
        if camera == "base":
            origin, rays, backdrop = _base_view(rays_per_side)
        else:
            origin = self._data.cam_xpos[self._wrist]
            rays = local @ self._data.cam_xmat[self._wrist].reshape(3, 3).T
            backdrop = Backdrop(origin, rays)
        colour = self._shade(origin, rays, backdrop)
        if supersample > 1:
            blocks = colour.reshape(size, supersample, size, supersample, 3)
            colour = blocks.mean(axis=(1, 3)).reshape(-1, 3)
        return (np.minimum(colour, 1.0) * 255 + 0.5).astype(np.uint8).reshape(size, size, 3)

    def _shade(
        self, origin: np.ndarray, rays: np.ndarray, backdrop: Backdrop
    ) -> Float32[np.ndarray, "pixels 3"]:
        """Return the linear colour of every ray."""
        geoms, reach = self.cast(origin, rays)
        hit = np.flatnonzero(geoms >= 0)
        colour = backdrop.colour * self._table_light(backdrop)[:, None]
        which = geoms[hit]
        points = origin + reach[hit, None] * rays[hit]
        normals = self._normals(which, points)
        light = _AMBIENT + _DIFFUSE * np.maximum(normals @ _LIGHT, 0.0)
        colour[hit] = self._colours[which] * light[:, None].astype(np.float32)
        return colour

    def cast(
        self, origin: Float[np.ndarray, "3"], rays: Float[np.ndarray, "pixels 3"]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the geom each ray meets first (-1: none) and how far away it is [m]."""
        count = len(rays)
        geoms, reach = np.empty(count, np.int32), np.empty(count)
        outputs = (geoms, reach, None) if _HAS_NORMAL else (geoms, reach)
        mujoco.mj_multiRay(
            self._model, self._data, origin, rays.ravel(), _GROUPS, 1, -1, *outputs, count, 1e9
        )
        return geoms, reach

    def _normals(self, geoms: np.ndarray, points: np.ndarray) -> Float[np.ndarray, "hits 3"]:
        """Return the outward normal at points on geoms, in closed form for each primitive."""
        rotation = self._data.geom_xmat.reshape(-1, 3, 3)[geoms]
        offset = points - self._data.geom_xpos[geoms]
        local = np.einsum("hij,hi->hj", rotation, offset)
        types, sizes = self._types[geoms], self._sizes[geoms]
        normal = np.zeros_like(local)
        box = np.flatnonzero(types == _BOX)
        side = np.argmax(np.abs(local[box]) / sizes[box], axis=1)
        normal[box, side] = np.sign(local[box, side])
        round_ = np.flatnonzero(types == _CYLINDER)
        cap = np.abs(local[round_, 2]) >= sizes[round_, 1] * (1 - 1e-6)
        normal[round_[cap], 2] = np.sign(local[round_[cap], 2])
        wall = round_[~cap]
        normal[wall, :2] = local[wall, :2] / sizes[wall, :1]
        ball = np.flatnonzero(types == _SPHERE)
        normal[ball] = local[ball] / sizes[ball, :1]
        return np.einsum("hij,hj->hi", rotation, normal)

    def _table_light(self, backdrop: Backdrop) -> Float32[np.ndarray, " pixels"]:
        """Return how bright the table is where each ray meets it: 1 but for the blobs of shadow."""
        centres = self._data.geom_xpos[self._casters]
        height = np.maximum(centres[:, 2], 0.0)
        x = (centres[:, 0] - height * (_LIGHT[0] / _LIGHT[2])).astype(np.float32)
        y = (centres[:, 1] - height * (_LIGHT[1] / _LIGHT[2])).astype(np.float32)
        radius = self._caster_radii + (0.12 * height).astype(np.float32)
        depth = (_SHADOW * (self._caster_radii / radius) ** 1.5).astype(np.float32)
        light = np.ones(len(backdrop.x), np.float32)
        scale = 1 / radius
        for k in range(len(radius)):
            dx, dy = (backdrop.x - x[k]) * scale[k], (backdrop.y - y[k]) * scale[k]
            fall = np.maximum(1 - dx * dx - dy * dy, 0)
            light *= 1 - depth[k] * np.minimum(fall * 1.6, 1)
        return light


@lru_cache(maxsize=8)
def _base_view(size: int) -> tuple[np.ndarray, np.ndarray, Backdrop]:
    """Return the fixed camera's origin, rays and backdrop, which never change."""
    origin, rotation = base_pose()
    rays = _local_rays(size, FIELD_OF_VIEW_RAD["base"]) @ rotation.T
    return origin, rays, Backdrop(origin, rays)
