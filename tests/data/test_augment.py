"""Random shifts against the slow obvious version: pad by the edge, then crop."""

import numpy as np
import torch

from plait.data.augment import random_shift


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def slow_shift(images, max_shift, shifts):
    moved = []
    for image, (down, right) in zip(images.numpy(), shifts.T.tolist(), strict=True):
        pad = ((0, 0), (0, 0), (max_shift,) * 2, (max_shift,) * 2)
        padded = np.pad(image, pad, mode="edge")
        top, left = max_shift + down, max_shift + right
        height, width = image.shape[2:]
        moved.append(padded[:, :, top : top + height, left : left + width])
    return torch.from_numpy(np.stack(moved))


def test_shift_is_pad_and_crop():
    images = torch.randint(0, 256, (17, 2, 3, 7, 11), dtype=torch.uint8)
    actual = random_shift(images, 3, generator(5))
    shifts = torch.randint(-3, 4, (2, 17), generator=generator(5))
    assert torch.equal(actual, slow_shift(images, 3, shifts))
    assert actual.dtype == torch.uint8
    assert actual.is_contiguous()
    # Both ends of the range occur, so that an off-by-one would show.
    assert {-3, 3} <= set(shifts[0].tolist())
    assert {-3, 3} <= set(shifts[1].tolist())


def test_no_shift_changes_nothing():
    images = torch.randint(0, 256, (5, 1, 3, 4, 4), dtype=torch.uint8)
    assert torch.equal(random_shift(images, 0, generator()), images)


def test_the_generator_decides():
    images = torch.randint(0, 256, (13, 1, 3, 8, 8), dtype=torch.uint8)
    first = random_shift(images, 2, generator(1))
    assert torch.equal(first, random_shift(images, 2, generator(1)))
    assert not torch.equal(first, random_shift(images, 2, generator(2)))


def test_images_that_are_a_view_are_read_rightly():
    images = torch.randint(0, 256, (5, 3, 6, 7, 2), dtype=torch.uint8).movedim(-1, 1)
    assert not images.is_contiguous()
    expected = random_shift(images.contiguous(), 2, generator(4))
    assert torch.equal(random_shift(images, 2, generator(4)), expected)
