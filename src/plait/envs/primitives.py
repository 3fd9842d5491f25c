"""Where rays meet simple shapes, and which way the surface faces there.

All functions work in the primitive's own frame on `[3, pairs]` arrays, one (ray, primitive) pair a
column. Each primitive is an intersection of slabs and round hulls: a ray is inside from the last
entry to the first exit, and the surface it enters through gives the normal in closed form.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from jaxtyping import Float

Vectors = Float[np.ndarray, "3 pairs"]
Scalars = Float[np.ndarray, " pairs"]

_TINY = 1e-12


@lru_cache(maxsize=16)
def camera_rays(size: int, half: float) -> Float[np.ndarray, "3 pixels"]:
    """Return a ray through the centre of each pixel, in the camera's frame.

    Args:
        size: Height and width of the picture in pixels.
        half: Slope of its edge, the tangent of half the field of view.
    """
    centre = ((np.arange(size) + 0.5) / size * 2 - 1) * half
    x, y = np.meshgrid(centre, -centre)
    rays = np.stack([x.ravel(), y.ravel(), np.full(size * size, -1.0)])
    rays.setflags(write=False)
    return rays


def meet_box(
    origin: Vectors, ray: Vectors, size: Vectors, light: Vectors
) -> tuple[Scalars, Scalars]:
    """Intersect rays with boxes.

    Args:
        origin: Where the rays start [m].
        ray: Their directions, of any length.
        size: Half the sides [m].
        light: Direction to the light.

    Returns:
        The multiple of `ray` to the surface (inf: missed) and the normal's component along `light`.
    """
    inverse = 1.0 / np.where(np.abs(ray) < _TINY, _TINY, ray)
    middle, half = -origin * inverse, size * np.abs(inverse)
    enter = middle - half
    first = np.maximum(np.maximum(enter[0], enter[1]), enter[2])
    leave = middle + half
    last = np.minimum(np.minimum(leave[0], leave[1]), leave[2])
    # Entered through the face on the side of the origin.
    facing = np.sign(origin) * light
    chosen = np.where(
        first == enter[0], facing[0], np.where(first == enter[1], facing[1], facing[2])
    )
    return np.where((first <= last) & (first > 0), first, np.inf), chosen


def meet_cylinder(
    origin: Vectors, ray: Vectors, size: Vectors, light: Vectors
) -> tuple[Scalars, Scalars]:
    """Intersect rays with upright cylinders; `size` is (radius, half height, unused)."""
    radius, half = size[0], size[1]
    inverse = 1.0 / np.where(np.abs(ray[2]) < _TINY, _TINY, ray[2])
    cap = -origin[2] * inverse - half * np.abs(inverse)
    cap_leave = -origin[2] * inverse + half * np.abs(inverse)
    wall, wall_leave = _meet_round(origin[:2], ray[:2], radius)
    first, leave = np.maximum(cap, wall), np.minimum(cap_leave, wall_leave)
    met = (first <= leave) & (first > 0)
    reach = np.where(met, first, 0.0)
    side = _dot(origin[:2] + reach * ray[:2], light[:2]) / radius
    chosen = np.where(cap >= wall, np.sign(origin[2]) * light[2], side)
    return np.where(met, first, np.inf), chosen


def meet_sphere(
    origin: Vectors, ray: Vectors, size: Vectors, light: Vectors
) -> tuple[Scalars, Scalars]:
    """Intersect rays with spheres; `size` is (radius, unused, unused)."""
    radius = size[0]
    first, leave = _meet_round(origin, ray, radius)
    met = (first <= leave) & (first > 0)
    reach = np.where(met, first, 0.0)
    facing = _dot(origin + reach * ray, light) / radius
    return np.where(met, first, np.inf), facing


def meet_capsule(
    origin: Vectors, ray: Vectors, size: Vectors, light: Vectors
) -> tuple[Scalars, Scalars]:
    """Intersect rays with upright capsules; `size` is (radius, half height, unused)."""
    reach, facing = meet_cylinder(origin, ray, size, light)
    for sign in (-1.0, 1.0):
        end = origin.copy()
        end[2] += sign * size[1]
        at_end, facing_end = meet_sphere(end, ray, size, light)
        facing = np.where(at_end < reach, facing_end, facing)
        reach = np.minimum(reach, at_end)
    return reach, facing


def meet_plane(
    origin: Vectors, ray: Vectors, size: Vectors, light: Vectors
) -> tuple[Scalars, Scalars]:
    """Intersect rays from above with the plane z = 0; half sides of `size`, where 0 is endless."""
    met = (ray[2] < -_TINY) & (origin[2] > 0)
    reach = np.where(met, -origin[2] / np.where(met, ray[2], -1.0), 0.0)
    for axis in (0, 1):
        place = origin[axis] + reach * ray[axis]
        met &= (size[axis] <= 0) | (np.abs(place) <= size[axis])
    return np.where(met, reach, np.inf), light[2].copy()


def _meet_round(
    origin: Float[np.ndarray, "dims pairs"], ray: Float[np.ndarray, "dims pairs"], radius: Scalars
) -> tuple[Scalars, Scalars]:
    """Return where rays enter and leave |x| = radius; the entry is inf where they miss it."""
    a = np.maximum(_dot(ray, ray), _TINY)
    b = _dot(origin, ray)
    c = _dot(origin, origin) - radius * radius
    root = b * b - a * c
    missed = root < 0
    root = np.sqrt(np.where(missed, 0.0, root))
    return np.where(missed, np.inf, (-b - root) / a), (-b + root) / a


def _dot(a: Float[np.ndarray, "dims pairs"], b: Float[np.ndarray, "dims pairs"]) -> Scalars:
    """Return the inner product of each pair's two or three components."""
    product = a * b
    total = product[0] + product[1]
    return total if len(product) == 2 else total + product[2]


Meet = Callable[[Vectors, Vectors, Vectors, Vectors], tuple[Scalars, Scalars]]
