"""Every way a dataset can be broken, and what the user is told."""

import json
import shutil
import struct
import zlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_fakes import (
    DATA,
    EPISODES,
    INFO,
    TASKS,
    edit_feature,
    edit_info,
    edit_table,
    read_all,
    set_column,
    smooth_episode,
    write_dataset,
)

from plait.data.lerobot import tables
from plait.data.lerobot.writer import LeRobotWriter
from plait.errors import DataError

VIDEO = "videos/observation.images.base/chunk-000/file-000.mp4"


def spoil_action(root, row, value):
    actions = pq.read_table(root / DATA)["action"].to_pylist()
    actions[row][2] = value
    set_column(root / DATA, "action", actions, pa.list_(pa.float32(), 3))


def truncate(path, share=0.5):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


# Broken datasets: a name, what is done to the dataset, and what the user is told


def drop_last_row(root):
    edit_table(root / DATA, lambda table: table.slice(0, table.num_rows - 1))


def break_image(root):
    column = pq.read_table(root / DATA)["observation.images.wrist"].to_pylist()
    column[5]["bytes"] = column[5]["bytes"][:60]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    set_column(root / DATA, "observation.images.wrist", column, kind)


def claim_pixels(root, side):
    """Let the header of a PNG of under 1 kB claim any size."""
    column = pq.read_table(root / DATA)["observation.images.wrist"].to_pylist()
    content = column[5]["bytes"]
    header = b"IHDR" + struct.pack(">II", side, side) + content[24:29]
    checksum = struct.pack(">I", zlib.crc32(header))
    column[5]["bytes"] = content[:12] + header + checksum + content[33:]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    set_column(root / DATA, "observation.images.wrist", column, kind)


def lose_image(root):
    column = pq.read_table(root / DATA)["observation.images.base"].to_pylist()
    column[9]["bytes"] = None
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    set_column(root / DATA, "observation.images.base", column, kind)


BROKEN = {
    "no folder": (shutil.rmtree, r"set: no such folder; expected a LeRobot dataset"),
    "no info": (
        lambda root: (root / INFO).unlink(),
        r"meta/info.json: no such file; expected a Le",
    ),
    "bad json": (lambda root: truncate(root / INFO), r"info.json: not valid JSON .*Copy or record"),
    "a list": (lambda root: (root / INFO).write_text("[]"), "a list; expected a JSON object"),
    "v1.6": (
        lambda root: edit_info(root, codebase_version="v1.6"),
        r"LeRobot version v1.6; expected v2.0, v2.1 or v3.0. Convert it with LeRobot's own scripts",
    ),
    "v4": (lambda root: edit_info(root, codebase_version="v4.0"), "LeRobot version v4.0; expected"),
    "a number for a version": (
        lambda root: edit_info(root, codebase_version=3.0),
        "LeRobot version 3.0; expected v2.0, v2.1 or v3.0",
    ),
    "another's layout": (
        lambda root: edit_info(root, codebase_version="v2.1"),
        "meta/episodes.jsonl: no such file; expected the list of the episodes",
    ),
    "no action": (
        lambda root: edit_info(
            root, features={"observation.state": {"dtype": "float32", "shape": [5]}}
        ),
        "no feature 'action' among observation.state; expected observation.state and action",
    ),
    "fps of 0": (lambda root: edit_info(root, fps=0), "info.json: fps = 0; expected a number from"),
    "fps in words": (
        lambda root: edit_info(root, fps="ten"),
        "info.json: fps = 'ten'; expected a number from 1",
    ),
    "fps of NaN": (
        lambda root: edit_info(root, fps=float("nan")),
        "info.json: fps = nan; expected a number from 1",
    ),
    "fps of true": (
        lambda root: edit_info(root, fps=True),
        "info.json: fps = True; expected a number from 1",
    ),
    "info is a folder": (
        lambda root: ((root / INFO).unlink(), (root / INFO).mkdir()),
        r"info.json: cannot be read \(Is a directory\); expected a LeRobot dataset",
    ),
    "features as a list": (
        lambda root: edit_info(root, features=["action"]),
        "features as a list; expected an object",
    ),
    "feature without dtype": (
        lambda root: edit_info(root, features={"action": {"shape": [3]}}),
        "action without a dtype; expected dtype and shape",
    ),
    "old template": (
        lambda root: edit_info(root, data_path="data/episode_{episode_index:06d}.parquet"),
        r"path 'data/episode_.*'; expected a template of chunk_index, file_index",
    ),
    "matrix action": (
        lambda root: edit_feature(root, "action", shape=[3, 2]),
        r"action of shape \[3, 2\]; expected a shape of one number",
    ),
    "wrong dim": (
        lambda root: edit_feature(root, "action", shape=[4]),
        r"file-000.parquet: action with 3 numbers in row 0; expected 4, as meta/info.json says",
    ),
    "ragged": (
        lambda root: set_column(
            root / DATA, "action", [[0.0] * (3 if i != 6 else 2) for i in range(31)]
        ),
        "action with 2 numbers in row 6; expected 3",
    ),
    "text": (
        lambda root: set_column(root / DATA, "action", [["a", "b", "c"]] * 31),
        "action of type list.*string.*; expected numbers",
    ),
    "null": (lambda root: spoil_action(root, 3, None), "action of type .* with 1 nulls"),
    "nan": (
        lambda root: spoil_action(root, 9, float("nan")),
        r"set: episode 1, step 2: action\[2\] is nan; expected a finite number. 1 numbers of act",
    ),
    "nan in a first step": (
        lambda root: spoil_action(root, 7, float("nan")),
        r"set: episode 1, step 0: action\[2\] is nan",
    ),
    "infinity": (
        lambda root: spoil_action(root, 0, float("inf")),
        r"episode 0, step 0: action\[2\] is inf",
    ),
    "truncated rows": (
        lambda root: truncate(root / DATA),
        r"data/chunk-000/file-000.parquet: damaged \(.*\); expected a whole parquet file. Copy or",
    ),
    "no rows": (
        lambda root: (root / DATA).unlink(),
        r"data/chunk-000/file-000.parquet: no such file; expected a parquet file",
    ),
    "too few rows": (
        drop_last_row,
        r"file-000.parquet: 30 steps; expected 31 of episodes 0 to 3, as .*meta/episodes.* says",
    ),
    "no column": (
        lambda root: edit_table(root / DATA, lambda table: table.drop_columns("task_index")),
        "no column 'task_index' among .*frame_index",
    ),
    "episodes swapped": (
        lambda root: set_column(
            root / DATA, "episode_index", [1] * 7 + [0] * 8 + [2] * 9 + [3] * 7
        ),
        "episode_index 1 in row 0; expected 0, as",
    ),
    "steps swapped": (
        lambda root: edit_table(root / DATA, lambda t: t.take([0, 1, 3, 2, *range(4, 31)])),
        "file-000.parquet: frame_index 3 in row 2; expected 2, as",
    ),
    "files interleaved": (
        lambda root: set_column(root / EPISODES, "data/file_index", [0, 1, 0, 1]),
        "episodes 0 and 2 in one data file, others elsewhere; expected episodes in the order of",
    ),
    "task in words": (
        lambda root: set_column(root / DATA, "task_index", ["lift"] * 31),
        "task_index of type string with 0 nulls; expected whole numbers",
    ),
    "a number for a task": (
        lambda root: set_column(root / TASKS, "task", [0, 1]),
        "meta/tasks.parquet: task 0 as a int; expected its text",
    ),
    "task twice": (
        lambda root: set_column(root / TASKS, "task_index", [1, 1]),
        "meta/tasks.parquet: task 1 twice; expected one text a task",
    ),
    "records for actions": (
        lambda root: set_column(root / DATA, "action", [{"x": 1.0}] * 31),
        "action with 1 numbers in row 0; expected 3",
    ),
    "beyond float32": (
        lambda root: set_column(root / DATA, "action", [[0.0, 1e300, 0.0]] * 31),
        r"episode 0, step 0: action\[1\] is inf; expected a finite number. 31 numbers",
    ),
    "null length": (
        lambda root: set_column(root / EPISODES, "length", [7, None, 9, 7]),
        "length of type int64 with 1 nulls; expected whole numbers",
    ),
    "place in words": (
        lambda root: set_column(root / EPISODES, "data/file_index", ["first"] * 4),
        "data/file_index of type string; expected numbers or null",
    ),
    "no episodes": (
        lambda root: (root / EPISODES).unlink(),
        "meta/episodes: no file; expected the table of the episodes",
    ),
    "truncated episodes": (lambda root: truncate(root / EPISODES), r"episodes/.*: damaged"),
    "too few episodes": (
        lambda root: edit_table(root / EPISODES, lambda table: table.slice(0, 3)),
        "3 episodes; expected 4, as meta/info.json says",
    ),
    "episode twice": (
        lambda root: set_column(root / EPISODES, "episode_index", [0, 1, 1, 3]),
        "episode 1 of 9 steps; expected episode 2 of at least one",
    ),
    "empty episode": (
        lambda root: set_column(root / EPISODES, "length", [7, 8, 0, 7]),
        "episode 2 of 0 steps; expected episode 2 of at least one",
    ),
    "no place": (
        lambda root: edit_table(root / EPISODES, lambda t: t.drop_columns("data/file_index")),
        "no column 'data/file_index'",
    ),
    "too few frames": (
        lambda root: edit_info(root, total_frames=30),
        "episodes of 31 steps together; expected 30, as meta/info.json says",
    ),
    "no task": (
        lambda root: edit_table(root / TASKS, lambda table: table.slice(0, 1)),
        "meta/tasks.parquet: no task 1; expected every task that the steps name",
    ),
    "tasks lost": (lambda root: (root / TASKS).unlink(), "tasks.parquet: no such file"),
    "tasks without text": (
        lambda root: edit_table(root / TASKS, lambda table: table.drop_columns("task")),
        "columns task_index; expected task and task_index",
    ),
    "broken image": (
        break_image,
        "the image observation.images.wrist in row 5 is missing or damaged; expected a whole",
    ),
    "image of ten gigabytes": (
        lambda root: claim_pixels(root, 60_000),
        "the image observation.images.wrist in row 5 is missing or damaged",
    ),
    "image of 200 megabytes": (
        lambda root: claim_pixels(root, 8000),
        "the image observation.images.wrist in row 5 is of 8000×8000 pixels; expected a whole",
    ),
    "lost image": (lose_image, "the image observation.images.base in row 9 is missing"),
    "no image column": (
        lambda root: edit_table(
            root / DATA, lambda table: table.drop_columns("observation.images.base")
        ),
        "no column 'observation.images.base'; expected the images",
    ),
    "images of another kind": (
        lambda root: set_column(root / DATA, "observation.images.base", ["a.png"] * 31),
        "file-000.parquet: observation.images.base of type string; expected images, in `bytes`",
    ),
} | {
    f"no {name}": (
        lambda root, name=name: (root / INFO).write_text(
            json.dumps(
                {k: v for k, v in json.loads((root / INFO).read_text()).items() if k != name}
            )
        ),
        f"info.json: no field '{name}'; expected it, as in every v3.0 dataset",
    )
    for name in ("features", "fps", "total_frames", "total_episodes", "data_path")
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_dataset_is_explained(tmp_path, name):
    spoil, message = BROKEN[name]
    write_dataset(tmp_path / "set")
    spoil(tmp_path / "set")
    with pytest.raises(DataError, match=message):
        read_all(tmp_path / "set")


BROKEN_VIDEO = {
    "no file": (lambda root: (root / VIDEO).unlink(), "file-000.mp4: no such file; expected a vid"),
    "truncated": (lambda root: truncate(root / VIDEO), "mp4: (cannot be decoded|.* frames of epi)"),
    "empty": (lambda root: truncate(root / VIDEO, 0), r"file-000.mp4: cannot be decoded \("),
    "too short": (
        lambda root: set_column(
            root / EPISODES, "videos/observation.images.base/from_timestamp", [0.0, 1.5]
        ),
        "file-000.mp4: 5 frames of episode 1; expected 10, one a step",
    ),
    "overlapping": (
        lambda root: set_column(
            root / EPISODES, "videos/observation.images.base/from_timestamp", [0.0, 0.9]
        ),
        "episode 1 from frame 9 of file-000.mp4; expected frame 10 or later",
    ),
    "no place": (
        lambda root: edit_table(
            root / EPISODES,
            lambda table: table.drop_columns("videos/observation.images.base/file_index"),
        ),
        "no column 'videos/observation.images.base/file_index' among",
    ),
    "no template": (
        lambda root: edit_info(root, video_path=None),
        "no video_path, though observation.images.base is a video",
    ),
}


@pytest.mark.parametrize("name", BROKEN_VIDEO)
def test_a_broken_video_is_explained(tmp_path, name):
    spoil, message = BROKEN_VIDEO[name]
    with LeRobotWriter(tmp_path / "set", fps=10, storage="video") as writer:
        writer.add(smooth_episode(0))
        writer.add(smooth_episode(1))
    spoil(tmp_path / "set")
    with pytest.raises(DataError, match=message):
        read_all(tmp_path / "set")


def test_a_small_file_that_claims_gigabytes_is_refused_before_it_is_read(tmp_path, monkeypatch):
    """Run-length encoding holds any number of equal values in a few bytes; here half a MiB."""
    root = tmp_path / "set"
    write_dataset(root)
    path = root / "meta/tasks.parquet"
    pq.write_table(pa.table({"task_index": [0] * 65_536, "task": ["lift"] * 65_536}), path)
    assert path.stat().st_size < 2000
    monkeypatch.setattr(tables, "UNSUSPICIOUS_BYTES", 2**18)
    monkeypatch.setattr(tables, "MAX_COMPRESSION", 100)
    message = r"tasks.parquet: \d+ bytes that claim to hold 0 MiB; expected a whole parquet file"
    with pytest.raises(DataError, match=message):
        read_all(root)
