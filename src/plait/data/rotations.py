"""Rotations as the numbers a robot takes and the six numbers a network predicts.

| written as | numbers | meaning |
| --- | --- | --- |
| `rpy` | 3 | roll, pitch, yaw in rad about the fixed x, y, z axes: R = Rz(yaw) Ry(pitch) Rx(roll) |
| `axis_angle` | 3 | the axis, as long as the angle in rad |
| `rotation6d` | 6 | the first two columns of R, one after the other |

Three numbers jump somewhere on the way round; six need not, and any six become a rotation by
Gram-Schmidt (Zhou et al., 2019). Read back, roll and yaw lie in (-π, π], pitch in [-π/2, π/2], and
an angle about an axis in [0, π]; where several triples are one rotation, another may come back.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from plait.errors import UnknownNameError

# Shorter than this, a column that a network predicts has no direction.
SHORTEST = 1e-8


def to_matrix(values: Float[Tensor, "*axes numbers"], kind: str) -> Float[Tensor, "*axes 3 3"]:
    """Return the rotation matrices of what is written as `kind`.

    Raises:
        UnknownNameError: If there is no such way to write a rotation.
    """
    readers = {"rpy": _from_rpy, "axis_angle": _from_axis_angle, "rotation6d": from_columns}
    if kind not in readers:
        raise UnknownNameError("kind of rotation", kind, readers)
    return readers[kind](values)


def from_matrix(matrix: Float[Tensor, "*axes 3 3"], kind: str) -> Float[Tensor, "*axes numbers"]:
    """Write rotation matrices as `kind`.

    Raises:
        UnknownNameError: If there is no such way to write a rotation.
    """
    writers = {"rpy": _to_rpy, "axis_angle": _to_axis_angle, "rotation6d": to_columns}
    if kind not in writers:
        raise UnknownNameError("kind of rotation", kind, writers)
    return writers[kind](matrix)


def product(
    first: Float[Tensor, "*#axes 3 3"], second: Float[Tensor, "*#axes 3 3"]
) -> Float[Tensor, "*axes 3 3"]:
    """Multiply matrices in the precision of their numbers; `@` is rounded under autocast."""
    return (first.unsqueeze(-1) * second.unsqueeze(-3)).sum(dim=-2)


def to_columns(matrix: Float[Tensor, "*axes 3 3"]) -> Float[Tensor, "*axes 6"]:
    """Return the first two columns, one after the other."""
    return matrix[..., :2].transpose(-1, -2).flatten(-2)


def from_columns(columns: Float[Tensor, "*axes 6"]) -> Float[Tensor, "*axes 3 3"]:
    """Make the first column a unit vector and the second one orthogonal to it, by Gram-Schmidt.

    Whatever is given becomes a rotation: a column without a direction gets one.
    """
    first, second = columns[..., :3], columns[..., 3:]
    axes = torch.eye(3, dtype=columns.dtype, device=columns.device)
    first = _direction(first, axes[0].expand_as(first))
    # Of the axes, the one that is least along the first column.
    other = axes[first.abs().argmin(dim=-1)]
    second = _direction(_without(second, first), F.normalize(_without(other, first), dim=-1))
    return torch.stack([first, second, torch.linalg.cross(first, second)], dim=-1)


def _without(
    vector: Float[Tensor, "*axes 3"], unit: Float[Tensor, "*axes 3"]
) -> Float[Tensor, "*axes 3"]:
    return vector - (vector * unit).sum(dim=-1, keepdim=True) * unit


def _direction(
    vector: Float[Tensor, "*axes 3"], otherwise: Float[Tensor, "*axes 3"]
) -> Float[Tensor, "*axes 3"]:
    is_long = vector.norm(dim=-1, keepdim=True) > SHORTEST
    return torch.where(is_long, F.normalize(vector, dim=-1, eps=SHORTEST), otherwise)


def _from_rpy(angles: Float[Tensor, "*axes 3"]) -> Float[Tensor, "*axes 3 3"]:
    (sr, sp, sy), (cr, cp, cy) = angles.sin().unbind(-1), angles.cos().unbind(-1)
    rows = [
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def _to_rpy(matrix: Float[Tensor, "*axes 3 3"]) -> Float[Tensor, "*axes 3"]:
    roll = torch.atan2(matrix[..., 2, 1], matrix[..., 2, 2])
    sr, cr = roll.sin(), roll.cos()
    # From the rolled-back matrix, so that the three fit together where roll is hardly defined.
    sy = sr * matrix[..., 0, 2] - cr * matrix[..., 0, 1]
    cy = cr * matrix[..., 1, 1] - sr * matrix[..., 1, 2]
    length = torch.hypot(matrix[..., 0, 0], matrix[..., 1, 0])
    pitch = torch.atan2(-matrix[..., 2, 0], length)
    return torch.stack([roll, pitch, torch.atan2(sy, cy)], dim=-1)


def _from_axis_angle(vector: Float[Tensor, "*axes 3"]) -> Float[Tensor, "*axes 3 3"]:
    """Rodrigues' formula; sinc keeps it exact down to no rotation at all."""
    angle = vector.norm(dim=-1)[..., None, None]
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    rows = [[zero, -z, y], [z, zero, -x], [-y, x, zero]]
    cross = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
    first = torch.sinc(angle / torch.pi)
    second = torch.sinc(angle / (2 * torch.pi)).square() / 2
    unit = torch.eye(3, dtype=vector.dtype, device=vector.device)
    return unit + first * cross + second * product(cross, cross)


def _to_axis_angle(matrix: Float[Tensor, "*axes 3 3"]) -> Float[Tensor, "*axes 3"]:
    """Through the quaternion, which is exact for small angles and for half a turn."""
    quaternion = _to_quaternion(matrix)
    real, vector = quaternion[..., :1], quaternion[..., 1:]
    length = vector.norm(dim=-1, keepdim=True)
    angle = 2 * torch.atan2(length, real)
    # The angle over the length tends to 2 where there is no rotation.
    factor = torch.where(length > SHORTEST, angle / length.clamp(min=SHORTEST), 2.0)
    return factor * vector


def _to_quaternion(matrix: Float[Tensor, "*axes 3 3"]) -> Float[Tensor, "*axes 4"]:
    """Return unit quaternions, real part first and not negative; the largest part is the divisor.

    Reference: Shepperd, 1978.
    """
    m = matrix
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    wx, wy, wz = (m[..., i, j] - m[..., j, i] for i, j in ((2, 1), (0, 2), (1, 0)))
    xy, xz, yz = (m[..., i, j] + m[..., j, i] for i, j in ((1, 0), (0, 2), (2, 1)))
    candidates = [
        [1 + xx + yy + zz, wx, wy, wz],
        [wx, 1 + xx - yy - zz, xy, xz],
        [wy, xy, 1 - xx + yy - zz, yz],
        [wz, xz, yz, 1 - xx - yy + zz],
    ]
    rows = torch.stack([torch.stack(row, dim=-1) for row in candidates], dim=-2)
    largest = torch.diagonal(rows, dim1=-2, dim2=-1).argmax(dim=-1)[..., None, None]
    row = rows.gather(-2, largest.expand(*largest.shape[:-1], 4)).squeeze(-2)
    unit = F.normalize(row, dim=-1)
    return torch.where(unit[..., :1] < 0, -unit, unit)
