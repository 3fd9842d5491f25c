"""Corruptions of images against scipy, Pillow, colorsys and loops over pixels."""

import colorsys
import io
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from corrupt_fakes import observe, samples, smooth_pictures
from PIL import Image
from scipy import linalg, ndimage

from plait.data.corrupt import corruption
from plait.data.corrupt.base import generator
from plait.data.corrupt.images import BLUR_UNIT, _blur_matrix

SEEDS = torch.tensor([3, 1, 4, 1, 5])


def corrupted(name, severity, images, **options):
    """Images `[batch, channels, height, width]` of a batch, corrupted, as whole numbers."""
    observation = observe(images[:, None])
    return corruption(name, severity, **options)(observation, SEEDS).images["base"][:, 0].int()


def noisy_pictures(height=17, width=13):
    """Pixels of every value: uint8 `[5, 3, height, width]`."""
    shape = (5, 3, height, width)
    return torch.randint(
        0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(2)
    )


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_blur_is_diffusion_from_pixel_to_pixel(severity):
    images = noisy_pictures(height=31, width=37)
    sigma = (1, 2, 3, 4, 6)[severity - 1] * 31 / 224
    expected = images.double().numpy()
    for axis in (2, 3):
        # The heat equation over pixels, u' = (left - 2u + right) / 2, on a line with a long border.
        border = [(0, 0)] * 4
        border[axis] = (9, 9)
        padded = np.pad(expected, border, mode="edge")
        size = padded.shape[axis]
        flow = (np.eye(size, k=1) - 2 * np.eye(size) + np.eye(size, k=-1)) / 2
        spread = linalg.expm(sigma**2 * flow)[9:-9]
        expected = np.moveaxis(np.moveaxis(padded, axis, -1) @ spread.T, -1, axis)
    difference = corrupted("gaussian_blur", severity, images) - torch.from_numpy(expected)
    assert difference.abs().max() < 0.5 + 1e-2


def test_a_strong_blur_is_scipys():
    images = noisy_pictures(height=112, width=113)
    sigma = 6 * 112 / 224
    expected = ndimage.gaussian_filter(
        images.double().numpy(), (0, 0, sigma, sigma), mode="nearest"
    )
    difference = corrupted("gaussian_blur", 5, images) - torch.from_numpy(expected)
    assert difference.abs().max() < 1.5


@pytest.mark.parametrize("sigma", [0.1, 0.9, 6.0])
def test_weights_of_a_blur_are_whole_and_sum_to_one(sigma):
    matrix = _blur_matrix(23, sigma)
    assert torch.equal(matrix, matrix.round())
    assert (matrix.sum(dim=1) == BLUR_UNIT).all()


def test_a_flat_picture_stays_as_it_is():
    images = torch.full((5, 3, 9, 11), 201, dtype=torch.uint8)
    for name in ("gaussian_blur", "contrast", "camera_shift", "camera_rotation"):
        assert (corrupted(name, 5, images) == 201).all(), name


def test_gaussian_noise_is_a_loop_over_pixels():
    images = noisy_pictures()
    actual = corrupted("gaussian_noise", 2, images)
    for sample in range(5):
        rng = generator("gaussian_noise", "base", "step", int(SEEDS[sample]), 0)
        noise = rng.standard_normal((1, 3, 17, 13), dtype=np.float32)[0]
        for place in np.ndindex(3, 17, 13):
            value = float(images[sample][place]) + 255 * 0.12 * float(noise[place])
            assert abs(int(actual[sample][place]) - min(max(value, 0), 255)) < 0.501


def test_gaussian_noise_is_as_strong_as_it_says():
    images = torch.full((5, 3, 100, 100), 128, dtype=torch.uint8)
    noise = (corrupted("gaussian_noise", 1, images) - 128).double()
    # The standard error of a deviation is σ/√(2n), and n is 150,000.
    assert abs(float(noise.std()) - 0.08 * 255) < 5 * 0.08 * 255 / math.sqrt(3e5)
    assert abs(float(noise.mean())) < 5 * 0.08 * 255 / math.sqrt(1.5e5)


def test_shot_noise_counts_photons():
    images = torch.full((5, 3, 100, 100), 102, dtype=torch.uint8)
    counts = corrupted("shot_noise", 2, images).double() / 255 * 25
    # The mean and the variance of a Poisson variable are its rate, 102 / 255 · 25 = 10.
    assert abs(float(counts.mean()) - 10) < 5 * math.sqrt(10 / 1.5e5)
    assert abs(float(counts.var()) - 10) < 5 * 10 * math.sqrt(2.1 / 1.5e5)
    values = set((counts * 10.2).round().unique().tolist())
    assert values <= {round(10.2 * count) for count in range(26)}
    black = torch.zeros(5, 3, 4, 4, dtype=torch.uint8)
    assert (corrupted("shot_noise", 5, black) == 0).all()


def test_impulses_are_white_or_black_and_the_rest_stays():
    images = torch.full((5, 3, 100, 100), 128, dtype=torch.uint8)
    actual = corrupted("impulse_noise", 4, images)
    for value in (0, 255):
        share = float((actual == value).double().mean())
        assert abs(share - 0.085) < 5 * math.sqrt(0.085 / 1.5e5)
    assert set(actual.unique().tolist()) == {0, 128, 255}


def test_what_one_severity_hits_the_next_hits_too():
    images = torch.full((5, 3, 40, 40), 128, dtype=torch.uint8)
    for name in ("impulse_noise", "occlusion", "dropped_camera"):
        hit = [corrupted(name, severity, images) != 128 for severity in (1, 2, 3, 4, 5)]
        assert all(bool((less <= more).all()) for less, more in pairwise(hit)), name


def test_brightness_raises_the_value_of_hsv():
    images = noisy_pictures(height=6, width=5)
    images[0, :, 0, :3] = torch.tensor([[0, 0, 0], [255, 255, 255], [0, 7, 0]]).T
    actual = corrupted("brightness", 3, images)
    for sample, row, column in np.ndindex(5, 6, 5):
        hue, saturation, value = colorsys.rgb_to_hsv(
            *(images[sample, :, row, column] / 255).tolist()
        )
        expected = colorsys.hsv_to_rgb(hue, saturation, min(value + 0.3, 1))
        difference = actual[sample, :, row, column] - 255 * torch.tensor(expected)
        assert difference.abs().max() < 0.501


def test_contrast_shrinks_each_channel_of_each_image_to_its_mean():
    images = noisy_pictures()
    actual = corrupted("contrast", 2, images)
    for sample, channel in np.ndindex(5, 3):
        plane = images[sample, channel].double()
        expected = plane.mean() + 0.3 * (plane - plane.mean())
        assert (actual[sample, channel] - expected).abs().max() < 0.501


def test_occlusion_is_one_patch_of_one_colour():
    images = noisy_pictures(height=40, width=60)
    actual = corrupted("occlusion", 3, images)
    patches = set()
    for image, original in zip(actual.numpy(), images.int().numpy(), strict=True):
        rows, columns = np.nonzero((image != original).any(axis=0))
        top, left = rows.min(), columns.min()
        patch = image[:, top : rows.max() + 1, left : columns.max() + 1]
        # A fifth of the area: √0.2 of each side, 17.9 and 26.8 pixels.
        assert patch.shape == (3, 18, 27)
        assert (patch == patch[:, :1, :1]).all()
        patches.add((top, left, *patch[:, 0, 0].tolist()))
    # Two of the five have the same seed.
    assert len(patches) == 4


def test_jpeg_is_pillows():
    images = torch.cat([smooth_pictures(num=4, size=24)[:, 0], noisy_pictures(24, 24)[:1]])
    actual = corrupted("jpeg", 4, images)
    for image, original in zip(actual, images, strict=True):
        file = io.BytesIO()
        Image.fromarray(original.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=10)
        expected = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)
        assert torch.equal(image, expected.int())


def by_scipy(image, matrix, offset):
    """What an affine map shows, with `source = matrix @ place + offset` from the image's centre."""
    centre = (np.array(image.shape[1:]) - 1) / 2
    offset = centre + offset - matrix @ centre
    planes = image.double().numpy()
    return np.stack(
        [
            ndimage.affine_transform(plane, matrix, offset, order=1, mode="nearest")
            for plane in planes
        ]
    )


def test_a_shift_is_scipys():
    images = smooth_pictures(num=5, size=40)[:, 0, :, :, :33]
    actual = corrupted("camera_shift", 5, images)
    for sample in range(5):
        angle = 2 * math.pi * generator("camera_shift", "base", int(SEEDS[sample])).random()
        offset = 0.15 * 33 * np.array([math.sin(angle), math.cos(angle)])
        expected = by_scipy(images[sample], np.eye(2), offset)
        assert np.abs(actual[sample].numpy() - expected).max() < 0.51


def test_a_rotation_is_scipys():
    images = smooth_pictures(num=5, size=40)[:, 0, :, :, :33]
    actual = corrupted("camera_rotation", 4, images)
    sides = set()
    for image, original in zip(actual.numpy(), images, strict=True):
        errors = {}
        for side in (-1, 1):
            sine, cosine = side * math.sin(math.radians(12)), math.cos(math.radians(12))
            turn = np.array([[cosine, sine], [-sine, cosine]])
            errors[side] = np.abs(image - by_scipy(original, turn, 0)).max()
        side = min(errors, key=errors.get)
        assert errors[side] < 0.51
        sides.add(side)
    assert sides == {-1, 1}


def test_a_dropped_camera_is_masked_and_black():
    observation = samples()
    many = observation.select(slice(0, 1)).map_tensors(
        lambda tensor: tensor.repeat_interleave(99, 0)
    )
    many = type(many)(
        many.images, ("lift",) * 99, many.proprio, many.modality_mask, many.camera_mask
    )
    dropped = corruption("dropped_camera", 3)(many, torch.full((99,), 5), torch.arange(99))
    gone = {camera: ~mask for camera, mask in dropped.camera_mask.items()}
    # One camera alone, in about half of the steps.
    counts = sorted(int(mask.sum()) for mask in gone.values())
    assert counts[0] == 0
    assert 30 < counts[1] < 70
    for camera, images in dropped.images.items():
        assert (images[gone[camera]] == 0).all()
        assert torch.equal(images[~gone[camera]], many.images[camera][~gone[camera]])
    assert all(mask.all() for mask in dropped.modality_mask.values())


def test_each_episode_drops_a_camera_of_its_own_and_at_the_worst_for_good():
    observation = samples().select(slice(0, 1))
    lost = [
        [name for name, mask in gone.camera_mask.items() if not mask]
        for seed in range(20)
        for gone in [corruption("dropped_camera", 5)(observation, torch.tensor([seed]))]
    ]
    assert {tuple(names) for names in lost} == {("base",), ("wrist",)}


def test_a_camera_that_is_absent_stays_absent():
    observation = samples()
    masks = {**observation.camera_mask, "base": torch.zeros(3, dtype=torch.bool)}
    observation = type(observation)(
        observation.images,
        observation.instruction,
        observation.proprio,
        observation.modality_mask,
        masks,
    )
    dropped = corruption("dropped_camera", 1)(observation, torch.arange(3))
    assert not dropped.camera_mask["base"].any()
