import io
import stat

import numpy as np
import pytest
from evaluation_fakes import LineEnv, ObeyingPolicy, make_episode
from PIL import Image

from plait.errors import OutputError, PlaitError
from plait.evaluation.files import write_bytes_atomically, write_png
from plait.evaluation.pictures import (
    choose_across_tasks,
    choose_scenes,
    encode_animation,
    record_pictures,
)


def open_animation(content):
    """Return the frames of an animation and how long each is shown."""
    frames, durations = [], []
    with Image.open(io.BytesIO(content)) as image:
        for index in range(image.n_frames):
            image.seek(index)
            image.load()
            durations.append(image.info["duration"])
            frames.append(np.asarray(image.convert("RGB")))
        loops = image.info.get("loop")
    return frames, durations, loops


def film(make_env, folder, seeds=(3, 6)):
    return record_pictures(ObeyingPolicy(), make_env, seeds, folder, execution_horizon=2)


def test_a_picture_shows_the_whole_rollout(tmp_path):
    def make():
        return LineEnv(render_mode="rgb_array")

    pictures = film(make, tmp_path)

    assert [(p.seed, p.task, p.instruction, p.success, p.outcome) for p in pictures] == [
        (3, "left", "Go left!", True, "success"),
        (6, "right", "Go right!", True, "success"),
    ]
    assert [p.file for p in pictures] == ["rollouts/scene_3.webp", "rollouts/scene_6.webp"]
    assert sorted(path.name for path in (tmp_path / "rollouts").iterdir()) == [
        "scene_3.webp",
        "scene_6.webp",
    ]
    content = (tmp_path / pictures[0].file).read_bytes()
    frames, durations, loops = open_animation(content)
    # Scene 3 goes from 0.3 to -1 in six steps: seven frames.
    assert durations == [100] * 6 + [1000]
    assert loops == 0
    positions = [0.3 - 0.25 * step for step in range(7)]
    for frame, position in zip(frames, positions, strict=True):
        assert frame.shape == (24, 32, 3)
        column = int((position + 1.5) / 3 * 28)
        redness = frame[9:15].astype(int)[..., 0].mean(axis=0)
        assert redness[column : column + 4].mean() > 150
        assert redness.mean() < 110


def test_a_large_rendering_is_made_smaller(tmp_path):
    class Large(LineEnv):
        def render(self):
            return np.full((300, 512, 3), 90, np.uint8)

    (picture,) = film(lambda: Large(render_mode="rgb_array"), tmp_path, seeds=(3,))
    frames, _, _ = open_animation((tmp_path / picture.file).read_bytes())

    assert frames[0].shape == (150, 256, 3)


def test_frames_are_kept_though_the_environment_draws_over_them(tmp_path):
    class Reusing(LineEnv):
        canvas = np.zeros((24, 32, 3), np.uint8)

        def render(self):
            self.canvas[:] = 10 * self.steps
            return self.canvas

    (picture,) = film(lambda: Reusing(render_mode="rgb_array"), tmp_path, seeds=(3,))
    frames, _, _ = open_animation((tmp_path / picture.file).read_bytes())

    assert [round(float(frame.mean()), -1) for frame in frames] == [0, 10, 20, 30, 40, 50, 60]


def test_an_environment_that_does_not_render_is_refused(tmp_path):
    with pytest.raises(PlaitError, match=r"render\(\) returned nothing, not an RGB image; make it"):
        film(LineEnv, tmp_path)


def test_a_rendering_that_is_no_image_is_refused(tmp_path):
    class Wrong(LineEnv):
        def render(self):
            return np.zeros((3, 8, 8), np.float32)

    with pytest.raises(PlaitError, match=r"an array of float32 with shape \(3, 8, 8\)"):
        film(Wrong, tmp_path)


def noise(count):
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (48, 48, 3), dtype=np.uint8) for _ in range(count)]


def test_a_large_animation_is_encoded_more_coarsely():
    frames = noise(24)
    full = encode_animation(frames, 100, max_bytes=10**9)
    small = encode_animation(frames, 100, max_bytes=len(full) // 4)

    assert len(small) <= len(full) // 4
    shown, durations, _ = open_animation(small)
    assert len(shown) < len(frames)
    # Fewer frames, each longer: the film is not sped up, and rests on the last frame.
    stride = durations[0] // 100
    assert stride > 1
    assert len(shown) == 24 // stride
    assert durations == [100 * stride] * (len(shown) - 1) + [1000]
    last = encode_animation(frames[-1:], 100)
    assert np.abs(shown[-1].astype(int) - open_animation(last)[0][0]).mean() < 60


def test_one_frame_is_enough():
    content = encode_animation(noise(1), 100)
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (48, 48)


def test_scenes_on_which_arms_disagree_are_chosen_first():
    episodes = {
        #         seed     1  2  3  4  5
        "film": [make_episode(s + 1, bool(v)) for s, v in enumerate([1, 1, 1, 0, 1])],
        "late": [make_episode(s + 1, bool(v)) for s, v in enumerate([1, 0, 0, 0, 1])],
        "early": [make_episode(s + 1, bool(v)) for s, v in enumerate([1, 0, 1, 0, 1])],
    }
    chosen = choose_scenes(episodes, num_successes=2, num_failures=1)

    # Scenes 2 (1 of 3) and 3 (2 of 3) split the arms; 1 and 5 all solve, 4 none.
    assert chosen == {"film": (2, 3, 4), "late": (1, 5, 2), "early": (3, 1, 2)}


def test_an_arm_without_failures_shows_none():
    episodes = {"a": [make_episode(seed, True) for seed in (4, 7)]}

    assert choose_scenes(episodes, num_successes=1, num_failures=3) == {"a": (4,)}


def test_files_are_written_whole(tmp_path):
    path = tmp_path / "new" / "a.bin"
    write_bytes_atomically(path, b"one")
    write_bytes_atomically(path, b"two")

    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"cannot write .*a\.bin: .*Choose another folder"):
        write_bytes_atomically(tmp_path / "file" / "a.bin", b"")


def test_png_keeps_every_pixel(tmp_path):
    image = noise(1)[0]
    write_png(tmp_path / "a.png", image)

    with Image.open(tmp_path / "a.png") as read:
        assert np.array_equal(np.asarray(read), image)


@pytest.mark.parametrize(("stride", "steps"), [(2, (0, 2, 4, 6)), (4, (0, 4, 6)), (9, (0, 6))])
def test_frames_are_left_out_but_never_the_last(tmp_path, stride, steps):
    # Scene 3 goes from 0.3 to -1 in six steps.
    (shown,) = record_pictures(
        ObeyingPolicy(),
        lambda: LineEnv(render_mode="rgb_array"),
        (3,),
        tmp_path,
        execution_horizon=2,
        frame_stride=stride,
    )
    frames, _, _ = open_animation((tmp_path / shown.file).read_bytes())
    for frame, step in zip(frames, steps, strict=True):
        column = int((0.3 - 0.25 * step + 1.5) / 3 * 28)
        assert frame[9:15, column : column + 4, 0].mean() > 150


def test_scenes_are_shown_of_different_tasks_the_worst_first():
    done = {"good": (1, 1, 0), "bad": (0, 0, 1), "never": (0, 0, 0), "always": (1, 1, 1)}
    episodes = [
        make_episode(10 * place + index, bool(success), task=task)
        for place, (task, successes) in enumerate(done.items())
        for index, success in enumerate(successes)
    ]
    assert choose_across_tasks(episodes, num_successes=2, num_failures=2) == (20, 10, 12, 0)
    # Once every task was shown, the second scenes follow.
    assert choose_across_tasks(episodes, num_successes=0, num_failures=5) == (20, 10, 2, 21, 11)
    assert choose_across_tasks(episodes, num_successes=9, num_failures=0)[:3] == (12, 0, 30)
