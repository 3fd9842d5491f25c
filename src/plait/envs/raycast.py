"""Pictures of any MuJoCo model without OpenGL: one ray a pixel, flat colours, shaded by angle.

Simple shapes, sites included, are met in closed form; MuJoCo casts the rays at meshes, whose
normals follow from three rays a pixel, side by side. A textured surface has its mean colour, and
nothing casts a shadow: a picture of its own kind, which must not be mixed with OpenGL's.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from typing import NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from plait.envs.opengl import RenderProfile, average
from plait.envs.primitives import (
    Meet,
    camera_rays,
    meet_box,
    meet_capsule,
    meet_cylinder,
    meet_plane,
    meet_sphere,
)

_MEET: dict[int, Meet] = {
    int(mujoco.mjtGeom.mjGEOM_PLANE): meet_plane,
    int(mujoco.mjtGeom.mjGEOM_SPHERE): meet_sphere,
    int(mujoco.mjtGeom.mjGEOM_CAPSULE): meet_capsule,
    int(mujoco.mjtGeom.mjGEOM_CYLINDER): meet_cylinder,
    int(mujoco.mjtGeom.mjGEOM_BOX): meet_box,
}
# As a viewer of MuJoCo shows them unless it is told otherwise.
_SHOWN_GROUPS = (0, 1, 2)
_CAST_GROUP, _IDLE_GROUP = 0, 1
_LIGHT = np.array([-0.30, 0.42, 1.0]) / np.linalg.norm([-0.30, 0.42, 1.0])
# Every face gets some light, and no two faces of a box the same.
_DARKEST, _BRIGHTEST = 0.45, 1.05
_NO_SKY = np.array([0.55, 0.63, 0.72], np.float32)
# MuJoCo's colour of a geom that was given none; its material's then counts.
_NO_COLOUR = np.array([0.5, 0.5, 0.5, 1.0], np.float32)
_MIN_OPACITY = 0.5
# Slope between a pixel's ray and the two beside it: of the same triangle nearly always.
_NUDGE = 1e-5
# Half of a bounding box that holds every camera [m].
_WIDE = 1e6
_CORNERS = np.array(list(product((-1.0, 1.0), repeat=3)))
# From 3.5 on MuJoCo says normals too. They are not read: a picture is the same in every version.
_HAS_NORMALS = "normal" in (mujoco.mj_multiRay.__doc__ or "")


class Shape(NamedTuple):
    """A geom or a site of a simple shape."""

    is_site: bool
    number: int
    meet: Meet
    size: Float[np.ndarray, "3"]
    extent: Float[np.ndarray, "3"]  # half of its bounding box; inf for a plane
    colour: Float32[np.ndarray, "3"]


class View(NamedTuple):
    """A camera in its pose; `rotation` turns its frame into the world's."""

    origin: Float[np.ndarray, "3"]
    rotation: Float[np.ndarray, "3 3"]
    half: float  # slope of the picture's edge
    rays: Float[np.ndarray, "3 pixels"]  # in the world's frame, 1 long along the camera's axis


class Canvas:
    """What each pixel has met so far.

    Args:
        num_pixels: Of the picture.
        sky: What a ray that meets nothing sees.
    """

    def __init__(self, num_pixels: int, sky: Float32[np.ndarray, "3"]) -> None:
        self.reach = np.full(num_pixels, np.inf)
        self.facing = np.ones(num_pixels)
        self.colour = np.broadcast_to(sky, (num_pixels, 3)).copy()

    def add(
        self,
        pixels: Int[np.ndarray, " some"],
        reach: Float[np.ndarray, " some"],
        facing: Float[np.ndarray, " some"],
        colour: Float32[np.ndarray, "*some 3"],
    ) -> None:
        """Paint a surface where it is nearer than what is there."""
        nearer = reach < self.reach[pixels]
        pixels = pixels[nearer]
        self.reach[pixels], self.facing[pixels] = reach[nearer], facing[nearer]
        self.colour[pixels] = colour if colour.ndim == 1 else colour[nearer]

    def lit(self) -> UInt8[np.ndarray, "pixels 3"]:
        """Return the picture; a surface that turns away from the light is darker."""
        light = _DARKEST + (_BRIGHTEST - _DARKEST) * (self.facing + 1) / 2
        light[np.isinf(self.reach)] = 1.0
        lit = np.minimum(self.colour * light[:, None], 1.0)
        return (lit * 255 + 0.5).astype(np.uint8)


class RaycastRenderer:
    """Takes square pictures of one model.

    Args:
        model: The model.
        size: Height and width in pixels.
        profile: How; of it, only the samples a pixel count here.
        hidden_groups: Groups of geoms that are not shown, beside those that MuJoCo never shows.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        size: int,
        profile: RenderProfile,
        hidden_groups: Sequence[int] = (),
    ) -> None:
        self._size, self._supersample = size, profile.supersample
        self._shapes = [*_geoms(model, hidden_groups), *_sites(model)]
        shown = [number for number in range(model.ngeom) if _is_shown(model, number, hidden_groups)]
        self._meshes = [number for number in shown if int(model.geom_type[number]) not in _MEET]
        self._sky = _sky(model)
        self._colours = np.stack([_geom_rgba(model, each)[:3] for each in range(model.ngeom)])

    def render(
        self, model: mujoco.MjModel, data: mujoco.MjData, camera: int
    ) -> UInt8[np.ndarray, "size size 3"]:
        """Take a picture.

        Args:
            model: The model, or another one with the same geoms.
            data: Its state.
            camera: Number of the camera.
        """
        side = self._size * self._supersample
        canvas = self.cast(model, data, view_of(model, data, camera, side), side)
        return average(canvas.lit().reshape(side, side, 3), self._supersample)

    def close(self) -> None:
        """Nothing is held."""

    def cast(self, model: mujoco.MjModel, data: mujoco.MjData, view: View, side: int) -> Canvas:
        """Return what the ray of each pixel meets first."""
        canvas = Canvas(side * side, self._sky)
        for shape in self._shapes:
            _paint(canvas, shape, data, view, side)
        for number in self._meshes:
            _paint_mesh(canvas, number, self._colours[number], model, data, view, side)
        return canvas


def view_of(model: mujoco.MjModel, data: mujoco.MjData, camera: int, side: int) -> View:
    """Return a camera as it stands now, with a ray for each pixel."""
    half = float(np.tan(np.deg2rad(model.cam_fovy[camera]) / 2))
    rotation = data.cam_xmat[camera].reshape(3, 3).copy()
    return View(data.cam_xpos[camera].copy(), rotation, half, rotation @ camera_rays(side, half))


def _paint(canvas: Canvas, shape: Shape, data: mujoco.MjData, view: View, side: int) -> None:
    """Cast rays at a simple shape, where it may be."""
    places, turns = (
        (data.site_xpos, data.site_xmat) if shape.is_site else (data.geom_xpos, data.geom_xmat)
    )
    place, turn = places[shape.number], turns[shape.number].reshape(3, 3)
    pixels = _window(place, turn, shape.extent, view, side)
    if not len(pixels):
        return
    rays = turn.T @ view.rays[:, pixels]
    origin, light = turn.T @ (view.origin - place), turn.T @ _LIGHT
    alike = [np.broadcast_to(each[:, None], rays.shape) for each in (origin, shape.size, light)]
    reach, facing = shape.meet(alike[0], rays, alike[1], alike[2])
    canvas.add(pixels, reach, facing, shape.colour)


def _paint_mesh(
    canvas: Canvas,
    number: int,
    colour: Float32[np.ndarray, "3"],
    model: mujoco.MjModel,
    data: mujoco.MjData,
    view: View,
    side: int,
) -> None:
    """Let MuJoCo cast rays at a mesh, where it may be.

    A camera may hang within a part of the robot. OpenGL shows neither what is nearer than its near
    plane nor surfaces from behind, and so nothing of such a part.
    """
    centre, extent = np.split(model.geom_aabb[number], 2)
    turn = data.geom_xmat[number].reshape(3, 3)
    pixels = _window(data.geom_xpos[number] + turn @ centre, turn, extent, view, side)
    rays = view.rays[:, pixels]
    reach = _cast(model, data, number, view.origin, rays)
    is_seen = reach < canvas.reach[pixels]
    if not is_seen.any() or reach.min() < model.vis.map.znear * model.stat.extent:
        return
    pixels, rays, reach = pixels[is_seen], rays[:, is_seen], reach[is_seen]
    right, up, _ = view.rotation.T[:, :, None]
    beside = np.concatenate([rays + _NUDGE * right, rays + _NUDGE * up], axis=1)
    reach_beside = _cast(model, data, number, view.origin, beside)
    first, second, third = reach * rays, *np.split(reach_beside * beside, 2, axis=1)
    canvas.add(pixels, reach, _LIGHT @ _normals(first, second, third), colour)


def _window(
    place: Float[np.ndarray, "3"],
    turn: Float[np.ndarray, "3 3"],
    extent: Float[np.ndarray, "3"],
    view: View,
    side: int,
) -> Int[np.ndarray, " some"]:
    """Return the pixels that may see a box: the rectangle of its corners, if all are in front."""
    grid = np.arange(side * side).reshape(side, side)
    if not np.isfinite(extent).all():
        return grid.ravel()
    corners = ((_CORNERS * extent) @ turn.T + (place - view.origin)) @ view.rotation
    depth = -corners[:, 2]
    if depth.max() <= 0:
        return grid[:0].ravel()
    if depth.min() < 1e-3:
        return grid.ravel()
    scale = 0.5 * side / (view.half * depth)
    rows, columns = 0.5 * side - scale * corners[:, 1], 0.5 * side + scale * corners[:, 0]
    top, left = (int(np.clip(each.min() - 1, 0, side)) for each in (rows, columns))
    bottom, right = (int(np.clip(each.max() + 2, 0, side)) for each in (rows, columns))
    return grid[top:bottom, left:right].ravel()


def _cast(
    model: mujoco.MjModel,
    data: mujoco.MjData,
    number: int,
    origin: Float[np.ndarray, "3"],
    rays: Float[np.ndarray, "3 some"],
) -> Float[np.ndarray, " some"]:
    """Return the multiple of each ray at which it meets a mesh; inf where it misses."""
    count = rays.shape[1]
    geoms, distance = np.full(count, -1, np.int32), np.empty(count)
    length = np.linalg.norm(rays, axis=0)
    groups = np.zeros(mujoco.mjNGROUP, np.uint8)
    groups[_CAST_GROUP] = 1
    directions = np.ascontiguousarray((rays / length).T).ravel()
    outputs = (geoms, distance, *([np.empty(3 * count)] if _HAS_NORMALS else []))
    far = mujoco.mjMAXVAL
    with _only(model, number):
        mujoco.mj_multiRay(model, data, origin, directions, groups, 1, -1, *outputs, count, far)
    return np.where(geoms >= 0, distance / length, np.inf)


@contextmanager
def _only(model: mujoco.MjModel, number: int) -> Iterator[None]:
    """Let rays meet one geom alone, and all that it has of surface.

    MuJoCo passes over a geom, or a body, whose bounding box's corners, as directions, do not
    enclose a ray, which loses surface where the box is near (its faces bulge beyond their corners).
    Of a box that holds the camera nothing is passed over.
    """
    body = model.geom_bodyid[number]
    start = model.body_bvhadr[body]
    nodes = slice(start, start + model.body_bvhnum[body]) if start >= 0 else slice(0)
    kept = [(each, each.copy()) for each in (model.geom_group, model.geom_aabb[number])]
    kept.append((model.bvh_aabb[nodes], model.bvh_aabb[nodes].copy()))
    model.geom_group[:] = _IDLE_GROUP
    model.geom_group[number] = _CAST_GROUP
    model.geom_aabb[number, 3:] = _WIDE
    # A plane's box is wider still, and its middle far away.
    model.bvh_aabb[nodes, 3:] = np.maximum(model.bvh_aabb[nodes, 3:], _WIDE)
    try:
        yield
    finally:
        for values, before in kept:
            values[:] = before


def _normals(
    first: Float[np.ndarray, "3 some"],
    second: Float[np.ndarray, "3 some"],
    third: Float[np.ndarray, "3 some"],
) -> Float[np.ndarray, "3 some"]:
    """Return the direction that a surface faces from where three rays side by side meet it.

    Where a neighbour misses it, it is taken to face the camera, which the points are relative to.
    """
    back = -first / np.linalg.norm(first, axis=0)
    is_known = np.isfinite(second).all(axis=0) & np.isfinite(third).all(axis=0)
    sides = [np.where(is_known, each - first, 0.0) for each in (second, third)]
    normals = np.cross(sides[0], sides[1], axis=0)
    length = np.linalg.norm(normals, axis=0)
    normals = np.where(length > 0, normals / np.where(length > 0, length, 1.0), back)
    # What is seen is never the back of a surface.
    return np.where((normals * back).sum(axis=0) < 0, -normals, normals)


def _is_shown(model: mujoco.MjModel, geom: int, hidden_groups: Sequence[int]) -> bool:
    group = int(model.geom_group[geom])
    is_opaque = bool(_geom_rgba(model, geom)[3] >= _MIN_OPACITY)
    return group in _SHOWN_GROUPS and group not in hidden_groups and is_opaque


def _geoms(model: mujoco.MjModel, hidden_groups: Sequence[int]) -> Iterator[Shape]:
    for number in range(model.ngeom):
        kind = int(model.geom_type[number])
        if kind in _MEET and _is_shown(model, number, hidden_groups):
            colour = _geom_rgba(model, number)[:3]
            yield _shape(kind, number, model.geom_size[number], colour, is_site=False)


def _sites(model: mujoco.MjModel) -> Iterator[Shape]:
    for number in range(model.nsite):
        rgba = _rgba(model, int(model.site_matid[number]), model.site_rgba[number])
        is_shown = model.site_group[number] in _SHOWN_GROUPS and rgba[3] >= _MIN_OPACITY
        kind = int(model.site_type[number])
        if kind in _MEET and is_shown:
            yield _shape(kind, number, model.site_size[number], rgba[:3], is_site=True)


def _shape(
    kind: int,
    number: int,
    size: Float[np.ndarray, "3"],
    colour: Float32[np.ndarray, "3"],
    *,
    is_site: bool,
) -> Shape:
    size = size.astype(np.float64)
    radius, half, _ = size
    extents: dict[Meet, Float[np.ndarray, 3]] = {
        meet_plane: np.full(3, np.inf),
        meet_sphere: np.full(3, radius),
        meet_capsule: np.array([radius, radius, radius + half]),
        meet_cylinder: np.array([radius, radius, half]),
        meet_box: size,
    }
    meet = _MEET[kind]
    return Shape(is_site, number, meet, size, extents[meet], colour)


def _geom_rgba(model: mujoco.MjModel, geom: int) -> Float32[np.ndarray, "4"]:
    return _rgba(model, int(model.geom_matid[geom]), model.geom_rgba[geom])


def _rgba(
    model: mujoco.MjModel, material: int, own: Float32[np.ndarray, "4"]
) -> Float32[np.ndarray, "4"]:
    """Return the colour and opacity of a surface: its own, or else its material's."""
    if material < 0 or not np.array_equal(own, _NO_COLOUR):
        rgba: Float32[np.ndarray, 4] = own.copy()
    else:
        rgba = model.mat_rgba[material].copy()
    if material >= 0:
        texture = int(model.mat_texid[material][mujoco.mjtTextureRole.mjTEXROLE_RGB])
        if texture >= 0:
            rgba[:3] *= _mean_colour(model, texture)
    return rgba


def _sky(model: mujoco.MjModel) -> Float32[np.ndarray, "3"]:
    """Return the mean colour of the model's sky."""
    skies = np.flatnonzero(model.tex_type == int(mujoco.mjtTexture.mjTEXTURE_SKYBOX))
    return _mean_colour(model, int(skies[0])) if len(skies) else _NO_SKY


def _mean_colour(model: mujoco.MjModel, texture: int) -> Float32[np.ndarray, "3"]:
    """Return the mean colour of a texture."""
    channels, start = int(model.tex_nchannel[texture]), int(model.tex_adr[texture])
    count = int(model.tex_height[texture]) * int(model.tex_width[texture])
    pixels = model.tex_data[start : start + count * channels].reshape(count, channels)
    mean: Float32[np.ndarray, 3] = (pixels[:, :3].mean(axis=0) / 255).astype(np.float32)
    return mean
