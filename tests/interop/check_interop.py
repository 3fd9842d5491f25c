"""Plait and LeRobot read each other's datasets: run by `make interop`, not by the normal suite.

LeRobot runs in an environment of its own (`.venv-lerobot`, or what `PLAIT_LEROBOT_PYTHON` names);
its sides are `lerobot_side.py` and `policy_side.py`.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from plait.compare.demonstrations import record_demonstrations
from plait.data.dataset import Demonstrations
from plait.data.episode import EpisodeData
from plait.data.lerobot.format import IMAGE_PREFIX
from plait.data.lerobot.writer import LeRobotWriter

HERE = Path(__file__).parent
LEROBOT_PYTHON = os.environ.get(
    "PLAIT_LEROBOT_PYTHON", str(HERE.parents[1] / ".venv-lerobot" / "bin" / "python")
)
INSTRUCTIONS = ("pick up the red cube", "open the drawer")
BY_PLAIT = ("image", "video", "small_files", "recorded", "recorded_video")
BY_LEROBOT = ("image", "video", "mixed", "resumed")


def lerobot(*arguments, script="lerobot_side.py"):
    """Run LeRobot's side."""
    command = [LEROBOT_PYTHON, str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


def make_episode(seed):
    """An episode whose pictures say which it is: slow gradients survive a video."""
    rng = np.random.default_rng(seed)
    length = 7 + 3 * seed
    steps, rows, columns = np.ogrid[:length, :32, :48]
    images = {}
    for index, camera in enumerate(("base", "wrist")):
        red = 30 + 2 * rows + 5 * steps + 0 * columns
        green = 40 + 2 * columns + 20 * seed + 0 * red
        blue = np.full_like(red, 60 + 90 * index)
        images[camera] = np.stack([red, green, blue], axis=-1).clip(0, 255).astype(np.uint8)
    extras = {
        "next.reward": np.linspace(0, 1, length, dtype=np.float32),
        "next.success": np.arange(length) == length - 1,
        "observation.force": rng.normal(size=(length, 2)),
    }
    proprio = rng.normal(size=(length, 5)).astype(np.float32)
    action = rng.uniform(-1, 1, (length, 3)).astype(np.float32)
    return EpisodeData(images, proprio, action, INSTRUCTIONS[seed % 2], extras)


def write(root, **options):
    with LeRobotWriter(root, fps=10, **options) as writer:
        for seed in range(4):
            writer.add(make_episode(seed))


@pytest.fixture(scope="session")
def by_plait(tmp_path_factory):
    """Datasets written by Plait, and what LeRobot reads in each."""
    root = tmp_path_factory.mktemp("by_plait")
    write(root / "image", storage="image")
    write(root / "video", storage="video")
    write(root / "small_files", storage="video", file_mb=0)
    for name, storage in (("recorded", "image"), ("recorded_video", "video")):
        record_demonstrations(
            "tabletop/pick", root / name, num_episodes=3, storage=storage, num_workers=1
        )
    lerobot("read", root / "read", *(root / name for name in BY_PLAIT))
    return root


@pytest.fixture(scope="session")
def by_lerobot(tmp_path_factory):
    """Datasets written by LeRobot, and what it reads in each itself."""
    root = tmp_path_factory.mktemp("by_lerobot")
    lerobot("write", root)
    lerobot("read", root / "read", *(root / name for name in BY_LEROBOT))
    return root


def both_readings(root, name):
    """What LeRobot gives for every step, and the batch of all steps that Plait gathers."""
    with np.load(root / "read" / f"{name}.npz") as archive:
        theirs = {key: archive[key] for key in archive.files}
    data = Demonstrations.open(
        root / name,
        observation_window=theirs["observation.state"].shape[1],
        action_horizon=theirs["action"].shape[1],
    )
    return theirs, data, data.gather(np.arange(data.num_steps))


def check_readings_agree(root, name):
    theirs, data, batch = both_readings(root, name)
    observation, chunk = batch.observation, batch.action_chunk
    assert set(theirs["cameras"]) == {IMAGE_PREFIX + camera for camera in data.cameras}
    distinct = 0
    for camera in data.cameras:
        images = observation.images[camera].numpy()
        assert np.array_equal(images, theirs[IMAGE_PREFIX + camera]), camera
        distinct = max(distinct, len(np.unique(images.reshape(len(images), -1), axis=0)))
    # Pictures that differ from each other, so that equality says something.
    assert distinct > data.num_steps // 2
    assert np.array_equal(observation.proprio.numpy(), theirs["observation.state"])
    assert list(observation.instruction) == theirs["task"].tolist()
    assert np.array_equal(chunk.mask.numpy(), ~theirs["action_is_pad"])
    assert not chunk.mask.all()
    # Also past the end, where both repeat the last action.
    assert np.array_equal(chunk.actions.numpy(), theirs["action"])
    assert data.fps == theirs["fps"]
    lengths = np.diff(data.episode_bounds, axis=1)[:, 0]
    steps = np.concatenate([np.arange(length) for length in lengths])
    assert np.array_equal(theirs["frame_index"], steps)
    assert np.array_equal(theirs["episode_index"], np.repeat(np.arange(len(lengths)), lengths))
    np.testing.assert_allclose(theirs["timestamp"], steps / data.fps, atol=1e-6)


@pytest.mark.parametrize("name", BY_PLAIT)
def test_lerobot_reads_what_plait_wrote(by_plait, name):
    check_readings_agree(by_plait, name)


@pytest.mark.parametrize("name", BY_LEROBOT)
def test_plait_reads_what_lerobot_wrote(by_lerobot, name):
    check_readings_agree(by_lerobot, name)


@pytest.mark.parametrize("name", ["image", "video", "small_files"])
def test_lerobot_gives_back_what_was_handed_to_plait(by_plait, name):
    theirs, _, _ = both_readings(by_plait, name)
    episodes = [make_episode(seed) for seed in range(4)]
    for camera in ("base", "wrist"):
        images = np.concatenate([episode.images[camera] for episode in episodes])
        found = theirs[IMAGE_PREFIX + camera][:, -1].transpose(0, 2, 3, 1).astype(int)
        # Neighbouring steps differ by 5 in red.
        worst = np.abs((found - images).mean(axis=(1, 2))).max()
        assert worst == 0 if name == "image" else worst < 2.5
    for key in ("next.reward", "next.success", "observation.force"):
        written = np.concatenate([episode.extras[key] for episode in episodes])
        # LeRobot hands double precision out as single.
        written = written.astype(np.float32) if written.dtype.kind == "f" else written
        assert np.array_equal(theirs[key].reshape(written.shape), written)
    tasks = [episode.instruction for episode in episodes for _ in episode.action]
    assert theirs["task"].tolist() == tasks


def test_lerobot_reads_plaits_statistics(by_plait):
    theirs, data, _ = both_readings(by_plait, "image")
    actions = np.concatenate([make_episode(seed).action for seed in range(4)])
    np.testing.assert_allclose(
        theirs["stats/action/q99"], np.quantile(actions, 0.99, axis=0), rtol=1e-6
    )
    assert theirs[f"stats/{IMAGE_PREFIX}base/mean"].shape == (3, 1, 1)
    assert set(json.loads((data.root / "meta/stats.json").read_text())) == {
        key.split("/")[1] for key in theirs if key.startswith("stats/")
    }


@pytest.mark.parametrize("name", BY_LEROBOT)
def test_an_episode_may_change_its_task(by_lerobot, name):
    theirs, data, batch = both_readings(by_lerobot, name)
    first, end = data.episode_bounds[1]
    tasks = ["open the drawer"] * 6 + ["close the drawer"] * 5
    assert list(batch.observation.instruction[first:end]) == tasks
    assert theirs["task"][first:end].tolist() == tasks


def test_a_policy_acts_through_plait_as_it_does_by_itself(by_lerobot):
    lerobot(by_lerobot / "policies.npz", by_lerobot / "video", script="policy_side.py")
    with np.load(by_lerobot / "policies.npz") as archive:
        actions = {key: archive[key] for key in archive.files}
    for kind in ("act", "diffusion"):
        own, plait = actions[f"{kind}/own"], actions[f"{kind}/plait"]
        assert own.shape == (3, 8, 3)
        np.testing.assert_allclose(plait, own, atol=1e-6)
        assert own.std(axis=(0, 1)).min() > 1e-3
