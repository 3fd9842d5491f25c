"""LeRobot v2 to v3.0: the same rows and frames, from real files and from odd ones."""

import json
import shutil
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_fakes import DATA, edit_info, edit_table, make_episode, read_all, smooth_episode, tree
from v2_fakes import read_lines, write_lines, write_v2

from plait.cli import main
from plait.data.convert.adjust import Adjustments
from plait.data.convert.run import Conversion, convert
from plait.data.convert.summary import summarize
from plait.data.lerobot.reader import LeRobotReader
from plait.data.video import VideoWriter
from plait.errors import DataError, OptionError

G1 = Path(__file__).parent / "fixtures/g1_v21_heads"
CAMERA = "observation.images.cam_high"


def upgraded(source, root, **options):
    convert(Conversion(path=source, root=root, **options))
    return LeRobotReader.open(root)


def same(first, second):
    """Compare all that two datasets hold but how their tasks are numbered."""
    assert np.array_equal(first.action, second.action)
    assert np.array_equal(first.proprio, second.proprio)
    assert np.array_equal(first.has_proprio, second.has_proprio)
    assert np.array_equal(first.episode_bounds, second.episode_bounds)
    assert first.cameras == second.cameras
    texts = [[r.tasks[task] for task in r.task_index] for r in (first, second)]
    assert texts[0] == texts[1]
    for camera in first.cameras:
        assert np.array_equal(first.has_images(camera), second.has_images(camera))
        for mine, theirs in zip(first.frames(camera), second.frames(camera), strict=True):
            assert np.array_equal(mine, theirs)


def test_a_real_recording_is_the_same_afterwards(tmp_path):
    before = tree(G1)
    reader = upgraded(G1, tmp_path / "set")
    same(LeRobotReader.open(G1), reader)
    assert tree(G1) == before
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    # Copied packet by packet, each at the time of its place.
    (path,) = reader.source_files("cam_high")
    sources = sorted(G1.rglob("*.mp4"))
    assert packets(path) == [packet for source in sources for packet in packets(source)]
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        times = [float(p.pts * stream.time_base) for p in container.demux(stream) if p.size]
    assert np.allclose(times, np.arange(40) / 30, atol=1e-5)


def packets(path):
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def test_columns_are_bit_by_bit_those_of_the_source(tmp_path):
    upgraded(G1, tmp_path / "set")
    made = pq.read_table(tmp_path / "set" / DATA)
    parts = [pq.read_table(path) for path in sorted(G1.rglob("*.parquet"))]
    for name in parts[0].column_names:
        theirs = np.concatenate([np.array(part[name].to_pylist()) for part in parts])
        mine = np.array(made[name].to_pylist())
        assert mine.tobytes() == theirs.tobytes(), name
    assert pa.types.is_fixed_size_list(made.schema.field("action").type)
    assert pq.ParquetFile(tmp_path / "set" / DATA).num_row_groups == 2


def test_info_keeps_the_names_and_tells_the_origin(tmp_path):
    info = upgraded(G1, tmp_path / "set").info
    old = json.loads((G1 / "meta/info.json").read_text())
    assert info["codebase_version"] == "v3.0"
    assert info["features"]["action"] == old["features"]["action"]
    assert info["robot_type"] == old["robot_type"]
    assert "total_videos" not in info
    assert info["plait"]["format"] == "lerobot v2.1"
    assert summarize(tmp_path / "set")["steps"] == 40


@pytest.mark.parametrize("version", ["v2.0", "v2.1"])
@pytest.mark.parametrize("storage", ["image", "video"])
def test_both_versions_and_storages(tmp_path, storage, version):
    episodes = [smooth_episode(seed) for seed in range(4)]
    source = write_v2(tmp_path / "old", episodes, storage, version)
    same(source, upgraded(tmp_path / "old", tmp_path / "set"))


def test_tasks_are_numbered_without_gaps(tmp_path):
    write_v2(tmp_path / "old", [make_episode(seed) for seed in range(3)])
    path = tmp_path / "old/meta/tasks.jsonl"
    numbers = {0: 7, 1: 3}
    rows = read_lines(path)
    write_lines(path, [row | {"task_index": numbers[row["task_index"]]} for row in rows])
    for file in (tmp_path / "old/data").rglob("*.parquet"):

        def renumber(table):
            values = [numbers[value] for value in table["task_index"].to_pylist()]
            place = table.column_names.index("task_index")
            return table.set_column(place, "task_index", pa.array(values, pa.int64()))

        edit_table(file, renumber)
    source = LeRobotReader.open(tmp_path / "old")
    reader = upgraded(tmp_path / "old", tmp_path / "set")
    same(source, reader)
    table = pq.read_table(tmp_path / "set/meta/tasks.parquet")
    assert table["task_index"].to_pylist() == [0, 1]


def test_double_precision_stays(tmp_path):
    write_v2(tmp_path / "old", [make_episode(0)])
    (file,) = (tmp_path / "old/data").rglob("*.parquet")
    edit_info_feature = {"dtype": "float64", "shape": [1], "names": None}
    values = np.linspace(0, 1, 7) / 3

    edit_table(file, lambda table: table.append_column("torque", pa.array(values)))
    info = json.loads((tmp_path / "old/meta/info.json").read_text())
    edit_info(tmp_path / "old", features=info["features"] | {"torque": edit_info_feature})
    upgraded(tmp_path / "old", tmp_path / "set")
    made = pq.read_table(tmp_path / "set" / DATA)["torque"].to_numpy()
    assert made.tobytes() == values.tobytes()
    stats = json.loads((tmp_path / "set/meta/stats.json").read_text())
    assert stats["torque"]["max"] == [values[-1]]
    assert stats["torque"]["q50"] == [np.quantile(values, 0.5)]


def test_a_video_of_another_coding_begins_a_file(tmp_path):
    write_v2(tmp_path / "old", [smooth_episode(seed) for seed in range(3)], "video")
    path = sorted((tmp_path / "old/videos").rglob("*.mp4"))[1]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for frame in smooth_episode(1).images["base"]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    source = LeRobotReader.open(tmp_path / "old")
    reader = upgraded(tmp_path / "old", tmp_path / "set")
    assert len(reader.source_files("base")) == 3
    same(source, reader)


def test_frames_beyond_the_last_step_do_not_move_the_next_episode(tmp_path):
    episodes = [smooth_episode(seed) for seed in range(3)]
    write_v2(tmp_path / "old", episodes, "video")
    path = sorted((tmp_path / "old/videos").rglob("*.mp4"))[0]
    writer = VideoWriter(path, 10, 32, 48)
    writer.write([*episodes[0].images["base"], *episodes[0].images["base"][:3]])
    writer.close()
    source = LeRobotReader.open(tmp_path / "old")
    same(source, upgraded(tmp_path / "old", tmp_path / "set"))


def test_an_episode_without_a_camera_stays_without(tmp_path):
    write_v2(tmp_path / "old", [smooth_episode(seed) for seed in range(3)], "video")
    sorted((tmp_path / "old/videos").rglob("*.mp4"))[1].unlink()
    edit_info(tmp_path / "old", total_videos=2)
    source = LeRobotReader.open(tmp_path / "old")
    reader = upgraded(tmp_path / "old", tmp_path / "set")
    assert reader.has_images("base").tolist() == [True, False, True]
    same(source, reader)


def test_statistics_of_images_are_merged_from_those_of_the_episodes(tmp_path):
    write_v2(tmp_path / "old", [make_episode(seed, size=(4, 6)) for seed in range(2)])
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(count, 3)) for count in (5, 9)]
    lines = []
    for index, part in enumerate(parts):
        moments = {name: getattr(part, name)(axis=0) for name in ("min", "max", "mean", "std")}
        stats = {name: value[:, None, None].tolist() for name, value in moments.items()}
        camera = {"observation.images.base": stats | {"count": [len(part)]}}
        lines.append({"episode_index": index, "stats": camera})
    write_lines(tmp_path / "old/meta/episodes_stats.jsonl", lines)
    upgraded(tmp_path / "old", tmp_path / "set")
    stats = json.loads((tmp_path / "set/meta/stats.json").read_text())
    merged, whole = stats["observation.images.base"], np.concatenate(parts)
    for name in ("min", "max", "mean", "std"):
        assert np.allclose(np.array(merged[name])[:, 0, 0], getattr(whole, name)(axis=0)), name
    assert merged["count"] == [14]
    assert "observation.images.wrist" not in stats


def test_too_few_frames_are_one_sentence_and_leave_nothing(tmp_path, capsys):
    shutil.copytree(G1, tmp_path / "old")
    path = sorted((tmp_path / "old").rglob("*.mp4"))[1]
    writer = VideoWriter(path, 30, 480, 640)
    writer.write(np.zeros((19, 480, 640, 3), np.uint8))
    writer.close()
    assert main(["convert", str(tmp_path / "old"), str(tmp_path / "set")]) == 2
    assert "episode_000001.mp4: 19 frames; expected 20, one a step" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("content", [b"", b"no video at all"])
def test_a_damaged_video_is_one_sentence(tmp_path, content):
    shutil.copytree(G1, tmp_path / "old")
    sorted((tmp_path / "old").rglob("*.mp4"))[0].write_bytes(content)
    with pytest.raises(DataError, match=r"episode_000000.mp4: cannot be copied"):
        upgraded(tmp_path / "old", tmp_path / "set")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_a_path_out_of_the_folder_is_refused(tmp_path):
    shutil.copytree(G1, tmp_path / "old")
    edit_info(tmp_path / "old", data_path="../{episode_index}.parquet")
    with pytest.raises(DataError, match="a path inside the dataset's folder"):
        upgraded(tmp_path / "old", tmp_path / "set")


def test_options_that_would_change_frames_are_refused(tmp_path):
    with pytest.raises(OptionError, match="copied as they are; leave out all options"):
        upgraded(G1, tmp_path / "set", adjustments=Adjustments(image_size=32))
    with pytest.raises(OptionError, match=r"fps is 10, but .* says 30"):
        upgraded(G1, tmp_path / "set", fps=10)


def test_version_three_needs_no_conversion(tmp_path):
    upgraded(G1, tmp_path / "set")
    with pytest.raises(DataError, match=r"LeRobot v3.0; expected v2.0 or v2.1. It can be used"):
        upgraded(tmp_path / "set", tmp_path / "again")
    assert len(read_all(tmp_path / "set").action) == 40
