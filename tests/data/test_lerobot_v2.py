"""LeRobot v2.0 and v2.1: the same numbers, images and texts as from v3.0, and its own mistakes."""

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from data_fakes import INFO, edit_info, make_episode, read_all, smooth_episode
from v2_fakes import read_lines, write_lines, write_v2

from plait.data.dataset import Demonstrations
from plait.data.lerobot.reader import LeRobotReader
from plait.data.lerobot.writer import LeRobotWriter
from plait.errors import DataError

REAL = Path(__file__).parent / "fixtures" / "g1_v21_heads"
LATER = Path(__file__).parent / "fixtures" / "g1_two_episodes"
EPISODES_V2, TASKS_V2 = "meta/episodes.jsonl", "meta/tasks.jsonl"
FIRST = "data/chunk-000/episode_000000.parquet"
VIDEO = "videos/chunk-{chunk:03d}/observation.images.base/episode_{episode:06d}.mp4"


# What is read


def test_real_numbers_equal_the_files():
    reader = LeRobotReader.open(REAL)
    tables = [
        pq.read_table(REAL / f"data/chunk-000/episode_00000{episode}.parquet")
        for episode in range(2)
    ]
    for key, values in (("action", reader.action), ("observation.state", reader.proprio)):
        expected = np.float32([row for table in tables for row in table[key].to_pylist()])
        assert np.array_equal(values, expected)
    assert reader.episode_bounds.tolist() == [[0, 20], [20, 40]]
    assert reader.tasks == ("Pick up the yellow bottle on the table.",)
    assert (reader.fps, reader.cameras) == (30, ("cam_high",))


def test_a_real_episode_is_that_of_the_later_recording():
    """In v3.0 every third of its steps was kept, the images a quarter as large."""
    old, new = LeRobotReader.open(REAL), LeRobotReader.open(LATER)
    assert np.array_equal(old.action[:20:3], new.action[:7])
    assert np.array_equal(old.proprio[:20:3], new.proprio[:7])
    frames, later = (
        np.stack(list(islice(reader.frames("cam_high", (120, 160)), 20))).astype(int)
        for reader in (old, new)
    )
    # The later ones were encoded anew.
    assert np.abs(frames[::3] - later[:7]).mean() < 6


@pytest.mark.parametrize("version", ["v2.0", "v2.1"])
@pytest.mark.parametrize("storage", ["image", "video"])
def test_both_layouts_give_the_same_batches(tmp_path, storage, version):
    make = make_episode if storage == "image" else smooth_episode
    episodes = [make(seed) for seed in range(5)]
    with LeRobotWriter(tmp_path / "new", fps=10, storage=storage) as writer:
        for episode in episodes:
            writer.add(episode)
    write_v2(tmp_path / "old", episodes, storage, version)
    old, new = (
        Demonstrations.open(tmp_path / name, observation_window=2) for name in ("old", "new")
    )
    assert old.fingerprint == new.fingerprint
    steps = np.random.default_rng(0).permutation(old.num_steps)
    here, there = old.gather(steps), new.gather(steps)
    assert here.observation.instruction == there.observation.instruction
    assert np.array_equal(here.action_chunk.actions, there.action_chunk.actions)
    for camera, images in there.observation.images.items():
        # Every episode's video begins anew, so that h264 rounds a few pixels otherwise; frames
        # lie 4 levels apart.
        difference = (here.observation.images[camera].int() - images.int()).abs().float()
        assert difference.mean(dim=(1, 2, 3, 4)).max() <= (0 if storage == "image" else 2)


def test_templates_of_other_names_are_read(tmp_path):
    reader = write_v2(
        tmp_path / "set",
        [make_episode(seed) for seed in range(4)],
        data_path="rows/{chunk_index}/e{episode_index:02d}.parquet",
    )
    assert reader.data_files[3] == tmp_path / "set/rows/1/e03.parquet"
    assert reader.episode_bounds.tolist() == [[0, 7], [7, 15], [15, 24], [24, 31]]


def test_lists_may_be_in_any_order(tmp_path):
    root = tmp_path / "set"
    expected = write_v2(root, [make_episode(seed) for seed in range(4)])
    for name in (EPISODES_V2, TASKS_V2):
        write_lines(root / name, reversed(read_lines(root / name)))
    (root / EPISODES_V2).write_text((root / EPISODES_V2).read_text() + "\n\n")
    found = LeRobotReader.open(root)
    assert found.tasks == expected.tasks
    assert np.array_equal(found.task_index, expected.task_index)
    assert np.array_equal(found.episode_bounds, expected.episode_bounds)


def test_a_line_separator_in_a_text_ends_no_line(tmp_path):
    root = tmp_path / "set"
    write_v2(root, [make_episode(0)])
    (root / TASKS_V2).write_text('{"task_index": 0, "task": "lift\u2028it"}\n', encoding="utf-8")
    assert LeRobotReader.open(root).tasks == ("lift\u2028it",)


# What is refused


def change_row(root, name, row, **changes):
    rows = read_lines(root / name)
    rows[row] |= changes
    write_lines(root / name, rows)


BROKEN = {
    "no list": (
        lambda root: (root / EPISODES_V2).unlink(),
        "episodes.jsonl: no such file; expected the list of the episodes",
    ),
    "no tasks": (lambda root: (root / TASKS_V2).unlink(), "tasks.jsonl: no such file"),
    "cut list": (
        lambda root: (root / EPISODES_V2).write_bytes((root / EPISODES_V2).read_bytes()[:-9]),
        r"episodes.jsonl, line 4: not valid JSON \(.*\); expected JSON. Copy or record",
    ),
    "a list in the list": (
        lambda root: (root / EPISODES_V2).write_text("[1, 2]\n"),
        "episodes.jsonl, line 1: a list; expected a JSON object",
    ),
    "no text": (
        lambda root: (root / EPISODES_V2).write_bytes(b"\xff\xfe"),
        "episodes.jsonl: not valid JSON",
    ),
    "half a character": (
        lambda root: (root / TASKS_V2).write_text('{"task_index": 0, "task": "\\ud800"}\n'),
        "tasks.jsonl, line 1: not valid JSON",
    ),
    "too few": (
        lambda root: write_lines(root / EPISODES_V2, read_lines(root / EPISODES_V2)[:3]),
        "episodes.jsonl: 3 episodes; expected 4, as meta/info.json says",
    ),
    "twice": (
        lambda root: change_row(root, EPISODES_V2, 2, episode_index=1),
        "episode 1 of 9 steps; expected episode 2 of at least one",
    ),
    "empty": (
        lambda root: change_row(root, EPISODES_V2, 2, length=0),
        "episode 2 of 0 steps; expected episode 2 of at least one",
    ),
    "no length": (
        lambda root: change_row(root, EPISODES_V2, 1, length=None),
        "length = None in .*; expected a whole number",
    ),
    "length of true": (
        lambda root: change_row(root, EPISODES_V2, 1, length=True),
        "length = True in .*; expected a whole number",
    ),
    "length beyond reason": (
        lambda root: change_row(root, EPISODES_V2, 1, length=10**30),
        "length = 1000000.* in .*; expected a whole number",
    ),
    "ten billion steps": (
        lambda root: change_row(root, EPISODES_V2, 1, length=10**10),
        "episodes of 10000000023 steps together; expected 31, as meta/info.json says",
    ),
    "ten billion steps, twice said": (
        lambda root: (
            change_row(root, EPISODES_V2, 1, length=10**10),
            edit_info(root, total_frames=10**10 + 23),
        ),
        "episode_000001.parquet: 8 steps; expected 10000000000 of episodes 1 to 1",
    ),
    "other length": (
        lambda root: (
            change_row(root, EPISODES_V2, 1, length=9),
            edit_info(root, total_frames=32),
        ),
        "episode_000001.parquet: 8 steps; expected 9 of episodes 1 to 1",
    ),
    "no rows": (
        lambda root: (root / FIRST).unlink(),
        "chunk-000/episode_000000.parquet: no such file; expected a parquet file",
    ),
    "rows of another": (
        lambda root: (root / "data/chunk-001/episode_000003.parquet").replace(root / FIRST),
        "episode_000000.parquet: episode_index 3 in row 0; expected 0",
    ),
    "no chunk size": (
        lambda root: edit_info(root, chunks_size=0),
        "info.json: chunks_size = 0; expected a number from 1",
    ),
    "half a chunk": (
        lambda root: edit_info(root, chunks_size=2.5),
        "info.json: chunks_size = 2.5; expected a whole number",
    ),
    "wrong template": (
        lambda root: edit_info(root, data_path="data/file-{file_index:03d}.parquet"),
        "path 'data/file-.*'; expected a template of episode_chunk, chunk_index, episode_index",
    ),
    "template that reaches inside": (
        lambda root: edit_info(root, data_path="{episode_index.__class__}"),
        "path '{episode_index.__class__}'; expected a template of",
    ),
    "template without end": (
        lambda root: edit_info(root, data_path="{episode_index:09999999999d}"),
        "path '{episode_index:.*'; expected a template of",
    ),
    "template that is cut": (
        lambda root: edit_info(root, data_path="data/{episode_index"),
        "path 'data/{episode_index'; expected a template of",
    ),
    "outside": (
        lambda root: edit_info(root, data_path="../data/{episode_index}.parquet"),
        "path '../data/0.parquet'; expected a path inside the dataset's folder",
    ),
    "elsewhere": (
        lambda root: edit_info(root, data_path="/etc/{episode_index}.parquet"),
        "path '/etc/0.parquet'; expected a path inside the dataset's folder",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_dataset_of_v2_is_explained(tmp_path, name):
    spoil, message = BROKEN[name]
    write_v2(tmp_path / "set", [make_episode(seed) for seed in range(4)])
    spoil(tmp_path / "set")
    with pytest.raises(DataError, match=message):
        read_all(tmp_path / "set")


def test_a_camera_that_leads_out_of_the_folder_is_refused(tmp_path):
    root = tmp_path / "set"
    write_v2(root, [smooth_episode(0)], "video")
    text = (root / INFO).read_text().replace("observation.images.base", "../../../outside")
    (root / INFO).write_text(text)
    with pytest.raises(
        DataError, match=r"'videos/chunk-000/\.\./\.\./\.\./outside/.*inside the dataset"
    ):
        LeRobotReader.open(root)


def test_a_video_of_another_size_is_refused(tmp_path):
    root = tmp_path / "set"
    write_v2(root, [smooth_episode(0)], "video")
    info = json.loads((root / INFO).read_text())
    info["features"]["observation.images.base"]["shape"] = [100_000, 48, 3]
    (root / INFO).write_text(json.dumps(info))
    with pytest.raises(DataError, match=r"shape .*; expected sides of 1 to 65535 pixels"):
        read_all(root)
    info["features"]["observation.images.base"]["shape"] = [64, 48, 3]
    (root / INFO).write_text(json.dumps(info))
    with pytest.raises(DataError, match=r"000000.mp4: frames of 32×48 pixels; expected 64×48, as"):
        read_all(root)


@pytest.mark.parametrize("files", ["too short", "missing"])
def test_a_video_that_lacks_is_an_error_where_it_was_counted(tmp_path, files):
    root = tmp_path / "set"
    write_v2(root, [smooth_episode(seed) for seed in range(2)], "video")
    path = root / VIDEO.format(chunk=0, episode=1)
    if files == "missing":
        path.unlink()
        message = "episode_000001.mp4: no such file; expected a video"
    else:
        episode = smooth_episode(1, length=7)
        write_v2(tmp_path / "short", [episode], "video")
        path.write_bytes((tmp_path / "short" / VIDEO.format(chunk=0, episode=0)).read_bytes())
        message = "episode_000001.mp4: 7 frames of episode 1; expected 10, one a step"
    with pytest.raises(DataError, match=message):
        read_all(root)
