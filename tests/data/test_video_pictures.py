"""Video frames scaled while they are decoded, against exact arithmetic on the decoded planes."""

import av
import numpy as np
import pytest

from plait.data.video import VideoWriter, read_video

HEIGHT, WIDTH = 96, 128
# ITU-R BT.601, studio range: red and blue from the colour differences, and green from both.
RED_V, GREEN_U, GREEN_V, BLUE_U = 1.402, -0.344136, -0.714136, 1.772


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """A file of pictures: slow colours, sharp grey stripes and a grey square that moves."""
    path = tmp_path_factory.mktemp("video") / "file.mp4"
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    stripes = 20 * (columns // 3 % 2) + 15 * (rows // 5 % 2)
    frames = []
    for step in range(4):
        square = np.where((abs(rows - 40) < 12) & (abs(columns - 30 - 9 * step) < 12), 90, 0)
        colours = [60 + rows // 2, 50 + columns // 2, 110 - rows // 2]
        frames.append(np.stack([c + stripes + square for c in colours], -1).astype(np.uint8))
    writer = VideoWriter(path, 10, HEIGHT, WIDTH)
    writer.write(frames)
    writer.close()
    return path


def exact_pictures(path):
    """Every frame in RGB, in floating point, from the planes as they were decoded."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            values = frame.to_ndarray(format="yuv420p").astype(np.float64).ravel()
            quarter = HEIGHT * WIDTH // 4
            luma = (values[: -2 * quarter].reshape(HEIGHT, WIDTH) - 16) * 255 / 219
            u, v = (
                (plane.reshape(HEIGHT // 2, WIDTH // 2).repeat(2, 0).repeat(2, 1) - 128) * 255 / 224
                for plane in (values[-2 * quarter : -quarter], values[-quarter:])
            )
            channels = [luma + RED_V * v, luma + GREEN_U * u + GREEN_V * v, luma + BLUE_U * u]
            yield np.clip(np.stack(channels, axis=-1), 0, 255)


@pytest.mark.parametrize("factor", [2, 4])
def test_a_smaller_picture_is_the_mean_over_areas(video, factor):
    size = HEIGHT // factor, WIDTH // factor
    found = np.stack(list(read_video(video, size))).astype(float)
    exact = np.stack(
        [
            picture.reshape(size[0], factor, size[1], factor, 3).mean(axis=(1, 3))
            for picture in exact_pictures(video)
        ]
    )
    assert found.shape == (4, *size, 3)
    error = found - exact
    # Rounding alone makes 0.25.
    assert np.abs(error).mean() < 0.5
    assert np.abs(error.mean(axis=(0, 1, 2))).max() < 0.2


def test_a_picture_of_the_recorded_size_is_the_plain_one(video):
    plain, same = list(read_video(video)), list(read_video(video, (HEIGHT, WIDTH)))
    with av.open(str(video)) as container:
        expected = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert np.array_equal(plain, expected)
    assert np.array_equal(same, expected)


def test_sides_that_divide_nothing_are_kept_apart(video):
    found = np.stack(list(read_video(video, (31, 57))))
    assert found.shape == (4, 31, 57, 3)
    # The square moves right by 9 of 128 columns a frame: 4 of 57.
    columns = [(picture[13, :, 2] > 150).nonzero()[0].mean() for picture in found]
    np.testing.assert_allclose(np.diff(columns), 9 * 57 / 128, atol=0.7)
