"""A dataset that LeRobot wrote, against the numbers and frames that LeRobot itself read in it."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from plait.data.dataset import Demonstrations

GOLDEN = Path(__file__).parent / "fixtures" / "lerobot_three_episodes"
BLOCK_PX = 8


@pytest.fixture(scope="module")
def readings(tmp_path_factory):
    """What LeRobot reported of every step, and Plait's batch of every step."""
    root = tmp_path_factory.mktemp("golden") / "set"
    shutil.copytree(GOLDEN, root)
    report = json.loads(GOLDEN.with_suffix(".json").read_text(encoding="utf-8"))
    data = Demonstrations.open(root, observation_window=2, action_horizon=4)
    return report, data, data.gather(np.arange(data.num_steps))


def test_episodes_and_instructions(readings):
    report, data, batch = readings
    assert (data.num_episodes, data.num_steps, data.fps) == (3, 32, report["fps"])
    assert np.diff(data.episode_bounds, axis=1)[:, 0].tolist() == [9, 11, 12]
    steps = np.concatenate([np.arange(length) for length in (9, 11, 12)])
    assert report["frame_index"] == steps.tolist()
    assert report["episode_index"] == np.repeat([0, 1, 2], [9, 11, 12]).tolist()
    # The second episode changes its task after six steps.
    assert list(batch.observation.instruction) == report["task"]
    assert report["task"][14:16] == ["open the drawer", "close the drawer"]


def test_windows_and_chunks(readings):
    report, _, batch = readings
    found = batch.observation.proprio.numpy()
    assert np.array_equal(found, np.array(report["observation.state"], np.float32))
    chunk = batch.action_chunk
    assert np.array_equal(chunk.mask.numpy(), ~np.array(report["action_is_pad"]))
    assert np.array_equal(chunk.actions.numpy(), np.array(report["action"], np.float32))
    assert (~chunk.mask).sum() == 3 * (1 + 2 + 3)


def test_embedded_frames_are_the_same_bytes(readings):
    report, data, _ = readings
    digests = [hashlib.sha256(frame.tobytes()).hexdigest() for frame in data.frames("base")]
    assert digests == report["base_sha256"]
    assert len(set(digests)) == data.num_steps


def test_video_frames_are_the_same_pictures(readings):
    report, data, _ = readings
    frames = data.frames("wrist")
    steps, _, height, width_px = frames.shape
    shape = (steps, 3, height // BLOCK_PX, BLOCK_PX, width_px // BLOCK_PX, BLOCK_PX)
    found = frames.reshape(shape).mean(axis=(3, 5))
    expected = np.array(report["wrist_block_means"])
    # Decoders may differ in the last bit; `make interop` compares the same one's to the bit.
    assert np.abs(found - expected).max() < 1
    # Red rises by 6 a step: no frame could be taken for its neighbour.
    assert np.abs(np.diff(expected, axis=0)).max(axis=(1, 2, 3)).min() > 3
