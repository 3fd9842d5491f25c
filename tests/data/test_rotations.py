"""Rotations against SciPy's, there and back, and whatever six numbers a network may predict."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from plait.data.rotations import from_columns, from_matrix, product, to_columns, to_matrix
from plait.errors import UnknownNameError

KINDS = ("rpy", "axis_angle", "rotation6d")
RANDOM = Rotation.random(500, random_state=0)
# No rotation, half turns, almost none, straight up and down, and almost straight up.
ANGLES = [
    [0, 0, 0],
    [np.pi, 0, 0],
    [0, 0, np.pi],
    [1e-6, 0, 2e-6],
    [0.3, np.pi / 2, 0.9],
    [0.3, -np.pi / 2, 0.9],
    [1.0, np.pi / 2 - 1e-5, 2.0],
]
HARD = Rotation.from_euler("xyz", ANGLES)


def matrices(rotations, dtype=torch.float64):
    return torch.from_numpy(rotations.as_matrix()).to(dtype)


def test_numbers_are_those_of_scipy():
    matrix = matrices(RANDOM)
    # Lower case is about fixed axes, as rpy is.
    written = {"rpy": RANDOM.as_euler("xyz"), "axis_angle": RANDOM.as_rotvec()}
    for kind, expected in written.items():
        found = from_matrix(matrix, kind)
        torch.testing.assert_close(found, torch.from_numpy(expected), atol=1e-12, rtol=0)
        torch.testing.assert_close(to_matrix(torch.from_numpy(expected), kind), matrix)
    columns = RANDOM.as_matrix()[:, :, :2].transpose(0, 2, 1).reshape(-1, 6)
    np.testing.assert_array_equal(from_matrix(matrix, "rotation6d").numpy(), columns)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rotations", [RANDOM, HARD], ids=["random", "hard"])
def test_every_rotation_returns(kind, dtype, rotations):
    matrix = matrices(rotations, dtype)
    tolerance = 2e-6 if dtype == torch.float32 else 1e-12
    again = to_matrix(from_matrix(matrix, kind), kind)
    torch.testing.assert_close(again, matrix, atol=tolerance, rtol=0)


def test_small_rotations_keep_their_digits():
    small = 1e-5 * torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    for kind in ("rpy", "axis_angle"):
        found = from_matrix(to_matrix(small, kind), kind)
        torch.testing.assert_close(found, small, atol=1e-10, rtol=1e-5)


def test_any_six_numbers_are_a_rotation():
    generator = torch.Generator().manual_seed(0)
    given = torch.randn(1000, 6, generator=generator, dtype=torch.float64)
    given[0], given[1], given[2, :3], given[3, 3:] = 0, 1, 0, 0
    given[4, 3:] = -2 * given[4, :3]
    matrix = from_columns(given)
    unit = torch.eye(3, dtype=torch.float64).expand_as(matrix)
    torch.testing.assert_close(matrix @ matrix.mT, unit, atol=1e-9, rtol=0)
    torch.testing.assert_close(torch.linalg.det(matrix), torch.ones(1000, dtype=torch.float64))
    # A rotation's own columns, of any length, are that rotation.
    own = to_columns(matrix)
    torch.testing.assert_close(from_columns(3 * own), matrix)


def test_product_is_a_matrix_product_also_under_autocast():
    first, second = matrices(RANDOM[:20], torch.float32), matrices(RANDOM[20:40], torch.float32)
    expected = first @ second
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(product(first, second), expected)


def test_an_unknown_kind_is_refused():
    with pytest.raises(UnknownNameError, match="unknown kind of rotation 'quaternion'"):
        to_matrix(torch.zeros(1, 4), "quaternion")
    with pytest.raises(UnknownNameError, match="unknown kind of rotation 'euler'"):
        from_matrix(torch.eye(3), "euler")
