"""The files of a written dataset, to the column; and what a failing disk leaves behind."""

import errno
import json
from dataclasses import replace

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_fakes import (
    ACTION_DIM,
    HEIGHT,
    PROPRIO_DIM,
    WIDTH,
    full_disk,
    make_episode,
    smooth_episode,
    tree,
    write_dataset,
)

from plait.data.episode import decode_image
from plait.data.lerobot import writer as lerobot_writer
from plait.data.lerobot.format import channel_histogram, column_stats, histogram_stats
from plait.data.lerobot.reader import LeRobotReader
from plait.data.lerobot.writer import MARKER, LeRobotWriter
from plait.errors import DataError, OptionError, OutputError

DATA = "data/chunk-000/file-000.parquet"


def test_what_is_written_is_read_back(tmp_path):
    episodes = write_dataset(tmp_path / "set")
    reader = LeRobotReader.open(tmp_path / "set")
    assert np.array_equal(reader.proprio, np.concatenate([e.proprio for e in episodes]))
    assert np.array_equal(reader.action, np.concatenate([e.action for e in episodes]))
    assert [reader.tasks[index] for index in reader.task_index] == [
        episode.instruction for episode in episodes for _ in episode.action
    ]
    assert reader.episode_bounds.tolist() == [[0, 7], [7, 15], [15, 24], [24, 31]]
    assert reader.cameras == ("base", "wrist")
    for camera in reader.cameras:
        frames = np.stack(list(reader.frames(camera)))
        assert np.array_equal(frames, np.concatenate([e.images[camera] for e in episodes]))


def test_files_are_where_lerobot_looks_for_them(tmp_path):
    write_dataset(tmp_path / "set")
    assert list(tree(tmp_path / "set")) == [
        DATA,
        "meta/episodes/chunk-000/file-000.parquet",
        "meta/info.json",
        "meta/stats.json",
        "meta/tasks.parquet",
    ]
    assert list(tmp_path.iterdir()) == [tmp_path / "set"]


def test_data_columns_have_lerobots_types(tmp_path):
    write_dataset(tmp_path / "set", num_episodes=3)
    file = pq.ParquetFile(tmp_path / "set" / DATA)
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    assert file.schema_arrow.remove_metadata() == pa.schema(
        {
            "observation.images.base": image,
            "observation.images.wrist": image,
            "observation.state": pa.list_(pa.float32(), PROPRIO_DIM),
            "action": pa.list_(pa.float32(), ACTION_DIM),
            "timestamp": pa.float32(),
            "frame_index": pa.int64(),
            "episode_index": pa.int64(),
            "index": pa.int64(),
            "task_index": pa.int64(),
        }
    )
    # One row group an episode, so that any episode can be read alone.
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [7, 8, 9]
    rows = file.read_row_group(1).to_pylist()
    assert [row["frame_index"] for row in rows] == list(range(8))
    assert [row["index"] for row in rows] == list(range(7, 15))
    assert {row["episode_index"] for row in rows} == {1}
    assert {row["task_index"] for row in rows} == {1}
    assert [row["timestamp"] for row in rows] == [float(np.float32(i / 10)) for i in range(8)]
    png = rows[3]["observation.images.wrist"]
    assert png["path"] == "wrist-000001-000003.png"
    assert png["bytes"].startswith(b"\x89PNG")
    assert np.array_equal(decode_image(png["bytes"]), make_episode(1).images["wrist"][3])


def test_info_describes_the_dataset(tmp_path):
    write_dataset(tmp_path / "set", num_episodes=3, robot_type="arm")
    info = json.loads((tmp_path / "set/meta/info.json").read_text())
    features = info.pop("features")
    assert info == {
        "codebase_version": "v3.0",
        "robot_type": "arm",
        "total_episodes": 3,
        "total_frames": 24,
        "total_tasks": 2,
        "chunks_size": 1000,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 100,
        "fps": 10,
        "splits": {"train": "0:3"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": None,
    }
    assert features["observation.images.base"] == {
        "dtype": "image",
        "shape": [HEIGHT, WIDTH, 3],
        "names": ["height", "width", "channels"],
    }
    assert features["action"] == {"dtype": "float32", "shape": [ACTION_DIM], "names": None}
    assert features["timestamp"] == {"dtype": "float32", "shape": [1], "names": None}
    assert features["task_index"] == {"dtype": "int64", "shape": [1], "names": None}


def test_tasks_are_indexed_by_their_text_as_pandas_does(tmp_path):
    write_dataset(tmp_path / "set", num_episodes=3)
    table = pq.read_table(tmp_path / "set/meta/tasks.parquet")
    assert table.to_pydict() == {"task_index": [0, 1], "task": ["do task 0", "do task 1"]}
    # LeRobot reads `tasks.iloc[i].name`: without this it would get row numbers for instructions.
    pandas = json.loads(table.schema.metadata[b"pandas"])
    assert pandas["index_columns"] == ["task"]
    assert [column["name"] for column in pandas["columns"]] == ["task_index", "task"]


def test_episodes_table_says_where_each_episode_is(tmp_path):
    write_dataset(tmp_path / "set", num_episodes=2)
    table = pq.read_table(tmp_path / "set/meta/episodes/chunk-000/file-000.parquet")
    assert table.to_pylist()[1] == {
        "episode_index": 1,
        "tasks": ["do task 1"],
        "length": 8,
        "dataset_from_index": 7,
        "dataset_to_index": 15,
        "data/chunk_index": 0,
        "data/file_index": 0,
        "meta/episodes/chunk_index": 0,
        "meta/episodes/file_index": 0,
    }


def test_stats_are_exact_over_all_steps(tmp_path):
    episodes = write_dataset(tmp_path / "set")
    stats = json.loads((tmp_path / "set/meta/stats.json").read_text())
    action = np.concatenate([episode.action for episode in episodes]).astype(np.float64)
    np.testing.assert_allclose(stats["action"]["q99"], np.quantile(action, 0.99, axis=0))
    np.testing.assert_allclose(stats["action"]["std"], action.std(axis=0))
    assert stats["action"]["count"] == [31]
    assert stats["frame_index"]["max"] == [8]
    assert stats["task_index"]["max"] == [1]
    assert np.shape(stats["observation.images.base"]["mean"]) == (3, 1, 1)
    assert set(stats["timestamp"]) == {
        *("min", "max", "mean", "std", "count", "q01", "q10", "q50", "q90", "q99")
    }


def test_stats_of_counted_pixels_equal_those_of_the_pixels():
    frames = np.random.default_rng(0).integers(20, 200, (5, 6, 7, 3), dtype=np.uint8)
    frames[..., 1] = 50
    found = histogram_stats(channel_histogram(frames), 6 * 7)
    expected = column_stats(frames.reshape(-1, 3) / 255)
    assert found["count"] == [5]
    for key in ("min", "max", "mean", "std"):
        np.testing.assert_allclose(np.ravel(found[key]), expected[key], atol=1e-6)
    for key in ("q01", "q10", "q50", "q90", "q99"):
        # A quantile between two values is the upper or lower of them.
        np.testing.assert_allclose(np.ravel(found[key]), expected[key], atol=2 / 255)


def test_extras_become_columns(tmp_path):
    episode = make_episode(0)
    extras = {
        "next.success": np.arange(7) == 6,
        "next.reward": np.linspace(0, 1, 7, dtype=np.float32),
        "observation.force": np.ones((7, 2), dtype=np.float64),
    }
    with LeRobotWriter(tmp_path / "set", fps=10) as writer:
        writer.add(replace(episode, extras=extras))
    table = pq.read_table(tmp_path / "set" / DATA)
    assert table["next.success"].to_pylist() == [False] * 6 + [True]
    assert table.schema.field("next.reward").type == pa.float32()
    assert table.schema.field("observation.force").type == pa.list_(pa.float64(), 2)
    info = json.loads((tmp_path / "set/meta/info.json").read_text())
    assert info["features"]["next.success"] == {"dtype": "bool", "shape": [1], "names": None}


def test_full_files_are_followed_by_the_next(tmp_path):
    # Every file is full at once.
    episodes = write_dataset(tmp_path / "set", num_episodes=3, file_mb=0)
    names = [f"data/chunk-000/file-{index:03d}.parquet" for index in range(3)]
    assert [name for name in tree(tmp_path / "set") if name.startswith("data")] == names
    reader = LeRobotReader.open(tmp_path / "set")
    assert np.array_equal(reader.action, np.concatenate([e.action for e in episodes]))
    frames = np.stack(list(reader.frames("wrist")))
    assert np.array_equal(frames, np.concatenate([e.images["wrist"] for e in episodes]))


@pytest.mark.parametrize("file_mb", [100, 0])
def test_video_is_close_and_in_order(tmp_path, file_mb):
    episodes = [smooth_episode(seed) for seed in range(3)]
    with LeRobotWriter(tmp_path / "set", fps=10, storage="video", file_mb=file_mb) as writer:
        for episode in episodes:
            writer.add(episode)
    reader = LeRobotReader.open(tmp_path / "set")
    assert len(reader.source_files("base")) == (1 if file_mb else 3)
    frames = np.stack(list(reader.frames("base"))).astype(int)
    expected = np.concatenate([e.images["base"] for e in episodes]).astype(int)
    assert frames.shape == expected.shape
    # Neighbouring frames differ by 4 in red and episodes by 10 in green, so none is misplaced.
    assert np.abs(frames - expected).mean() < 2
    assert np.abs((frames - expected).mean(axis=(1, 2))).max() < 2.5


def test_video_follows_lerobots_rules(tmp_path):
    with LeRobotWriter(tmp_path / "set", fps=10, storage="video") as writer:
        writer.add(smooth_episode(0))
        writer.add(smooth_episode(1, length=7))
    key = "observation.images.base"
    rows = pq.read_table(tmp_path / "set/meta/episodes/chunk-000/file-000.parquet").to_pylist()
    spans = [[row[f"videos/{key}/{end}_timestamp"] for end in ("from", "to")] for row in rows]
    assert spans == [[0.0, 1.0], [1.0, 1.7]]
    path = tmp_path / "set" / f"videos/{key}/chunk-000/file-000.mp4"
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.average_rate) == ("h264", 10)
        packets = [packet for packet in container.demux(stream) if packet.size]
        times = [float(packet.pts * packet.time_base) for packet in packets]
    # No B-frames: decoding order is time order; every second frame can be decoded alone.
    np.testing.assert_allclose(times, np.arange(17) / 10)
    assert [packet.is_keyframe for packet in packets] == [i % 2 == 0 for i in range(17)]
    info = json.loads((tmp_path / "set/meta/info.json").read_text())
    assert info["features"][key]["dtype"] == "video"
    assert info["features"][key]["info"]["video.codec"] == "h264"
    assert info["video_path"].startswith("videos/{video_key}/chunk-")
    assert key not in pq.read_schema(tmp_path / "set" / DATA).names


def test_odd_video_sizes_are_refused(tmp_path):
    with pytest.raises(OptionError, match=r"11×13 pixels.*even sides.*storage='image'"):
        write_dataset(tmp_path / "set", storage="video")
    assert not list(tmp_path.iterdir())


def test_existing_folders_are_never_touched(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set/thesis.txt").write_text("mine")
    # Before anything is recorded, not when it is time to save.
    with pytest.raises(OutputError, match="set already exists; choose another folder"):
        LeRobotWriter(tmp_path / "set", fps=10)
    assert tree(tmp_path) == {"set/thesis.txt": b"mine"}


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "set").write_text("mine")
    with pytest.raises(OutputError, match="already exists"):
        write_dataset(tmp_path / "set")


def test_an_empty_folder_may_be_filled(tmp_path):
    (tmp_path / "set").mkdir()
    write_dataset(tmp_path / "set")
    assert LeRobotReader.open(tmp_path / "set").fps == 10


def test_a_foreign_partial_folder_is_never_touched(tmp_path):
    (tmp_path / "set.partial").mkdir()
    (tmp_path / "set.partial/thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"set.partial is needed .* but holds other files"):
        write_dataset(tmp_path / "set")
    assert tree(tmp_path) == {"set.partial/thesis.txt": b"mine"}


def test_leftovers_of_an_interrupted_writer_are_replaced(tmp_path):
    (tmp_path / "set.partial/data").mkdir(parents=True)
    (tmp_path / "set.partial" / MARKER).touch()
    (tmp_path / "set.partial/data/old.parquet").touch()
    write_dataset(tmp_path / "set")
    assert not any("old" in name or MARKER in name for name in tree(tmp_path))


def test_two_writers_of_one_folder_do_not_mix(tmp_path):
    first = LeRobotWriter(tmp_path / "set", fps=10)
    with pytest.raises(OutputError, match=r"another process is writing .*set.partial"):
        LeRobotWriter(tmp_path / "set", fps=10)
    first.add(make_episode(0))
    first.close()
    assert len(LeRobotReader.open(tmp_path / "set").action) == 7


def test_an_error_leaves_nothing(tmp_path):
    def fall():
        with LeRobotWriter(tmp_path / "set", fps=10) as writer:
            writer.add(make_episode(0))
            raise RuntimeError("the robot fell")

    with pytest.raises(RuntimeError, match="the robot fell"):
        fall()
    assert not list(tmp_path.iterdir())


def test_an_open_dataset_does_not_look_complete(tmp_path):
    writer = LeRobotWriter(tmp_path / "set", fps=10)
    writer.add(make_episode(0))
    with pytest.raises(DataError, match=r"no such folder.*interrupted: run it again"):
        LeRobotReader.open(tmp_path / "set")
    writer.abort()


@pytest.mark.parametrize("storage", ["image", "video"])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path, storage):
    def fill():
        with LeRobotWriter(tmp_path / "set", fps=10, storage=storage) as writer:
            for seed in range(12):
                writer.add(make_episode(seed, size=(64, 64)))

    message = "cannot write the video|cannot write .*set: File too large. Choose another folder"
    with full_disk(100_000), pytest.raises(OutputError, match=message):
        fill()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "step", ["write_episodes", "write_tasks", "write_stats", "write_info", "put_in_place"]
)
def test_a_disk_that_is_full_at_the_end_leaves_nothing(tmp_path, monkeypatch, step):
    def fail(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(lerobot_writer, step, fail)
    with pytest.raises(OutputError, match=r"cannot write .*set: No space left on device. Choose"):
        write_dataset(tmp_path / "set")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot write .*file/set.*Not a directory"):
        LeRobotWriter(tmp_path / "file" / "set", fps=10)


def test_no_episode_is_no_dataset(tmp_path):
    with pytest.raises(DataError, match="no episode; expected at least one"):
        LeRobotWriter(tmp_path / "set", fps=10).close()
    assert not list(tmp_path.iterdir())


def test_options_are_checked(tmp_path):
    with pytest.raises(OptionError, match="'image' or 'video', but is 'gif'"):
        LeRobotWriter(tmp_path / "set", fps=10, storage="gif")
    with pytest.raises(OptionError, match="fps must be at least 1, but is 0"):
        LeRobotWriter(tmp_path / "set", fps=0)


def spoiled(**changes):
    episode = make_episode(0)
    for name, value in changes.items():
        # Past the annotations that tests check: users run without them.
        object.__setattr__(episode, name, value)
    return episode


@pytest.mark.parametrize(
    ("episode", "message"),
    [
        (spoiled(proprio=np.zeros((6, 5), np.float32)), "6 steps of observation.state; expected 7"),
        (spoiled(images={"base": np.zeros((8, 3, 3, 3), np.uint8)}), "8 steps of base; expected 7"),
        (spoiled(extras={"next.reward": np.zeros(3)}), "3 steps of next.reward; expected 7"),
        (spoiled(action=np.zeros((0, 3), np.float32)), "no step; expected at least one"),
        (
            spoiled(images={"base": np.zeros((7, 3, 4, 5), np.uint8)}),
            r"images of base as uint8 \[7, 3, 4, 5\]; expected uint8 \[steps, height, width, 3\]",
        ),
        (
            spoiled(images={"base": np.zeros((7, 4, 5, 3), np.float32)}),
            r"images of base as float32 \[7, 4, 5, 3\]; expected uint8",
        ),
        (
            spoiled(action=np.where(np.arange(7)[:, None] == 4, np.nan, np.zeros((7, 3)))),
            "episode 1: action at step 4 is not finite",
        ),
        (
            spoiled(action=np.zeros((7, 4), np.float32)),
            r"episode 1: action float32 \[4\]; expected action float32 \[3\], as in the first",
        ),
        (
            spoiled(images={"base": make_episode(0).images["base"]}),
            "no observation.images.wrist; expected observation.images.wrist image",
        ),
    ],
)
def test_a_bad_episode_is_refused(tmp_path, episode, message):
    writer = LeRobotWriter(tmp_path / "set", fps=10)
    writer.add(make_episode(0))
    with pytest.raises(DataError, match=message):
        writer.add(episode)
    writer.abort()
