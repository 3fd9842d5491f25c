"""Reading real data, and the layouts that other people's datasets have."""

import json
from pathlib import Path

import av
import numpy as np
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
    make_episode,
    read_all,
    set_column,
    smooth_episode,
    write_dataset,
)

from plait.data.episode import encode_png
from plait.data.lerobot.reader import LeRobotReader
from plait.data.lerobot.writer import LeRobotWriter
from plait.errors import DataError

REAL = Path(__file__).parent / "fixtures" / "g1_two_episodes"


# Real data


def test_real_numbers_equal_the_file():
    reader = LeRobotReader.open(REAL)
    table = pq.read_table(REAL / DATA)
    assert np.array_equal(reader.action, np.float32(table["action"].to_pylist()))
    assert np.array_equal(reader.proprio, np.float32(table["observation.state"].to_pylist()))
    assert reader.proprio.flags.c_contiguous
    assert reader.episode_bounds.tolist() == [[0, 74], [74, 161]]
    assert reader.tasks == ("Pick up the yellow bottle on the table.",)
    assert (reader.fps, reader.cameras, reader.frame_size("cam_high")) == (
        10,
        ("cam_high",),
        (120, 160),
    )


def test_real_frames_equal_a_plain_decoding():
    reader = LeRobotReader.open(REAL)
    (path,) = reader.source_files("cam_high")
    with av.open(str(path)) as container:
        expected = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    frames = list(reader.frames("cam_high"))
    assert len(frames) == 161
    assert np.array_equal(np.stack(frames), np.stack(expected))


# Other layouts


def test_numbers_of_one_dimension_are_plain_columns(tmp_path):
    root = tmp_path / "set"
    write_dataset(root)
    values = np.arange(31, dtype=np.float64)
    set_column(root / DATA, "action", values)
    edit_feature(root, "action", shape=[1])
    assert LeRobotReader.open(root).action.tolist() == values[:, None].tolist()


def test_lists_without_a_fixed_size_are_read(tmp_path):
    root = tmp_path / "set"
    episodes = write_dataset(root)
    actions = pq.read_table(root / DATA)["action"].to_pylist()
    set_column(root / DATA, "action", actions, pa.list_(pa.float64()))
    expected = np.concatenate([episode.action for episode in episodes])
    assert np.array_equal(LeRobotReader.open(root).action, expected)


def test_paths_come_from_the_templates(tmp_path):
    root = tmp_path / "set"
    write_dataset(root)
    (root / "rows").mkdir()
    (root / DATA).rename(root / "rows/c0-f0.pq")
    edit_info(root, data_path="rows/c{chunk_index}-f{file_index}.pq")
    assert len(read_all(root).action) == 31


def test_tasks_whose_index_has_no_name_are_read(tmp_path):
    root = tmp_path / "set"
    write_dataset(root)
    edit_table(
        root / TASKS, lambda table: table.rename_columns(["task_index", "__index_level_0__"])
    )
    assert LeRobotReader.open(root).tasks == ("do task 0", "do task 1")


def test_tasks_may_be_in_any_order(tmp_path):
    root = tmp_path / "set"
    write_dataset(root)
    edit_table(root / TASKS, lambda table: table.take([1, 0]))
    assert LeRobotReader.open(root).tasks == ("do task 0", "do task 1")


def test_episodes_may_be_listed_in_any_order(tmp_path):
    root = tmp_path / "set"
    write_dataset(root)
    edit_table(root / EPISODES, lambda table: table.take([2, 0, 3, 1]))
    assert LeRobotReader.open(root).episode_bounds.tolist() == [[0, 7], [7, 15], [15, 24], [24, 31]]


def test_unknown_fields_and_statistics_are_ignored(tmp_path):
    root = tmp_path / "set"
    write_dataset(root)
    edit_info(root, tools=[], storage_format="parquet", codebase_version="v3.1")
    edit_table(
        root / EPISODES, lambda table: table.append_column("stats/action/mean", [[[0.0] * 3] * 4])
    )
    assert len(read_all(root).action) == 31


@pytest.mark.parametrize(
    ("shape", "names", "expected"),
    [
        ([48, 64, 3], ["height", "width", "channels"], (48, 64)),
        ([3, 48, 64], ["channels", "height", "width"], (48, 64)),
        ([3, 48, 64], ["channel", "height", "width"], (48, 64)),
        ([3, 48, 64], None, (48, 64)),
        ([48, 64, 3], None, (48, 64)),
        ([3, 5, 3], ["height", "width", "channels"], (3, 5)),
        ([3, 5, 3], ["channels", "height", "width"], (5, 3)),
        ([48, 64, 3], [["height"], ["width"], ["channels"]], (48, 64)),
        ([3, 48, 64], [["channels"], ["height"], ["width"]], (48, 64)),
        ([3, 48, 64], [], (48, 64)),
        ([64, 48, 3], ["width", "height", "channels"], (48, 64)),
        ([48, 64, 3], {"axes": ["height", "width", "rgb"]}, (48, 64)),
        ([3, 48, 64], {"axes": ["rgb", "height", "width"]}, (48, 64)),
    ],
)
def test_image_size_is_read_from_either_order(tmp_path, shape, names, expected):
    write_dataset(tmp_path / "set")
    edit_feature(tmp_path / "set", "observation.images.base", shape=shape, names=names)
    assert LeRobotReader.open(tmp_path / "set").frame_size("base") == expected


def test_images_without_a_size_are_refused(tmp_path):
    write_dataset(tmp_path / "set")
    edit_feature(tmp_path / "set", "observation.images.base", shape=[48, 64])
    message = r"images.base of shape \[48, 64\]; expected height, width and channels"
    with pytest.raises(DataError, match=message):
        LeRobotReader.open(tmp_path / "set").frame_size("base")


@pytest.mark.parametrize("names", [["x", "y", "z"], [["x", "y", "z"]], {"motors": ["x", "y", "z"]}])
def test_names_of_dimensions_may_have_any_form(tmp_path, names):
    root = tmp_path / "set"
    episodes = write_dataset(root)
    edit_feature(root, "action", names=names)
    expected = np.concatenate([episode.action for episode in episodes])
    assert np.array_equal(LeRobotReader.open(root).action, expected)


@pytest.mark.parametrize("form", ["list", "motors", "places"])
def test_dimensions_of_an_action_have_names_where_each_has_one(tmp_path, form):
    root = tmp_path / "set"
    dim = write_dataset(root)[0].action.shape[1]
    names = [f"joint_{index}" for index in reversed(range(dim - 1))] + ["gripper"]
    places = {name: place for place, name in sorted(enumerate(names), key=lambda pair: pair[1])}
    forms = {"list": names, "motors": {"motors": names}, "places": places}
    edit_feature(root, "action", names=forms[form])
    assert LeRobotReader.open(root).action_names == tuple(names)


@pytest.mark.parametrize("names", [None, "action", ["actions"], {}])
def test_names_that_are_not_one_a_dimension_are_none(tmp_path, names):
    write_dataset(tmp_path / "set")
    edit_feature(tmp_path / "set", "action", names=names)
    assert LeRobotReader.open(tmp_path / "set").action_names == ()


@pytest.mark.parametrize("shape", [[0, 48, 3], [-1, 48, 3], [48, 2.5, 3], [48, True, 3], ["a"] * 3])
def test_sides_that_cannot_be_are_refused(tmp_path, shape):
    write_dataset(tmp_path / "set")
    edit_feature(tmp_path / "set", "observation.images.base", shape=shape)
    with pytest.raises(DataError, match=r"images.base of shape .*; expected sides of 1 to"):
        LeRobotReader.open(tmp_path / "set").frame_size("base")


def test_an_image_of_another_size_midway_is_refused(tmp_path):
    root = tmp_path / "set"
    write_dataset(root)
    column = pq.read_table(root / DATA)["observation.images.base"].to_pylist()
    column[9]["bytes"] = encode_png(np.zeros((20, 30, 3), np.uint8))
    set_column(root / DATA, "observation.images.base", column)
    message = "the image observation.images.base in row 9 is of 20×30 pixels; expected a whole imag"
    with pytest.raises(DataError, match=message):
        read_all(root)


def rename(root, **names):
    """Rename features everywhere."""
    info = json.loads((root / INFO).read_text())
    info["features"] = {names.get(key, key): value for key, value in info["features"].items()}
    (root / INFO).write_text(json.dumps(info))

    def edit(table):
        return table.rename_columns([names.get(name, name) for name in table.column_names])

    edit_table(root / DATA, edit)


def test_names_of_openpi_are_known(tmp_path):
    root = tmp_path / "set"
    episodes = write_dataset(root)
    rename(
        root,
        **{
            "observation.state": "state",
            "action": "actions",
            "observation.images.base": "image",
            "observation.images.wrist": "wrist_image",
        },
    )
    reader = read_all(root)
    assert reader.cameras == ("image", "wrist_image")
    assert np.array_equal(reader.action, np.concatenate([e.action for e in episodes]))
    assert np.array_equal(reader.proprio, np.concatenate([e.proprio for e in episodes]))
    assert np.array_equal(next(reader.frames("wrist_image")), episodes[0].images["wrist"][0])
    set_column(root / DATA, "actions", [[0.0] * (3 if i != 6 else 2) for i in range(31)])
    with pytest.raises(DataError, match="actions with 2 numbers in row 6; expected 3, as"):
        read_all(root)


def test_the_names_of_lerobot_come_first(tmp_path):
    root = tmp_path / "set"
    episodes = write_dataset(root)
    info = json.loads((root / INFO).read_text())
    info["features"]["actions"] = {"dtype": "float32", "shape": [9], "names": None}
    (root / INFO).write_text(json.dumps(info))
    reader = LeRobotReader.open(root)
    assert np.array_equal(reader.action, np.concatenate([e.action for e in episodes]))


def test_two_cameras_of_one_name_are_refused(tmp_path):
    root = tmp_path / "set"
    write_dataset(root)
    rename(root, **{"observation.images.wrist": "base"})
    message = "observation.images.base and base; expected one feature for the camera base"
    with pytest.raises(DataError, match=message):
        LeRobotReader.open(root)


def test_columns_of_language_are_left_alone(tmp_path):
    root = tmp_path / "set"
    write_dataset(root)
    info = json.loads((root / INFO).read_text())
    for key in ("language_persistent", "language_events"):
        info["features"][key] = {"dtype": "language", "shape": [1], "names": None}
    (root / INFO).write_text(json.dumps(info))
    said = [[{"role": "user", "content": "lift", "style": "subtask", "timestamp": 0.1}]] * 31
    edit_table(
        root / DATA,
        lambda table: table.append_column("language_persistent", pa.array(said)).append_column(
            "language_events", pa.array([None] * 31)
        ),
    )
    assert read_all(root).tasks == ("do task 0", "do task 1")


def test_depth_is_no_camera(tmp_path):
    write_dataset(tmp_path / "set")
    edit_feature(tmp_path / "set", "observation.images.base", info={"is_depth_map": True})
    assert LeRobotReader.open(tmp_path / "set").cameras == ("wrist",)


def test_cameras_keep_names_without_the_usual_prefix(tmp_path):
    root = tmp_path / "set"
    write_dataset(root)
    text = (root / INFO).read_text().replace("observation.images.base", "observation.image")
    (root / INFO).write_text(text)
    edit_table(
        root / DATA,
        lambda table: table.rename_columns(
            [name.replace("images.base", "image") for name in table.column_names]
        ),
    )
    reader = read_all(root)
    assert reader.cameras == ("observation.image", "wrist")
    assert np.array_equal(
        next(reader.frames("observation.image")), make_episode(0).images["base"][0]
    )


def test_frames_between_episodes_are_skipped(tmp_path):
    """As after an episode was deleted from the tables but not from the video."""
    root = tmp_path / "set"
    episodes = [smooth_episode(seed) for seed in range(3)]
    with LeRobotWriter(root, fps=10, storage="video") as writer:
        for episode in episodes:
            writer.add(episode)
    whole = list(LeRobotReader.open(root).frames("base"))

    def without_second(table):
        table = table.take([0, 2])
        return table.set_column(0, "episode_index", pa.array([0, 1]))

    edit_table(root / EPISODES, without_second)
    rows = pq.read_table(root / DATA).to_pylist()
    kept = [row for row in rows if row["episode_index"] != 1]
    for row in kept:
        row["episode_index"] //= 2
    pq.write_table(pa.Table.from_pylist(kept, pq.read_schema(root / DATA)), root / DATA)
    edit_info(root, total_episodes=2, total_frames=20)
    frames = list(LeRobotReader.open(root).frames("base"))
    assert np.array_equal(np.stack(frames), np.stack(whole[:10] + whole[20:]))
