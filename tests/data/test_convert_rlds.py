"""RLDS to LeRobot: Bridge against a second reading of its bytes; odd sets; bad ones."""

import io
import json
import shutil
import struct
import zlib

import numpy as np
import pytest
from data_fakes import tree
from PIL import Image
from tfrecord_fakes import (
    BRIDGE,
    IMAGE,
    RECORDS,
    TEXT,
    fake_example,
    picture,
    record,
    tensor,
    write_tfds,
)

from plait.cli import main
from plait.data.convert.adjust import Adjustments
from plait.data.convert.base import Selection
from plait.data.convert.formats.rlds import RldsSource
from plait.data.convert.run import Conversion, convert
from plait.data.convert.summary import summarize
from plait.data.lerobot.reader import LeRobotReader
from plait.errors import DataError, OptionError, OutputError, PlaitError, UnknownNameError

STEPS = {
    "action": tensor(2),
    "observation/state": tensor(3),
    "observation/front": IMAGE,
    "language_instruction": TEXT,
}


def second_reading():
    """Parse the fixture in another way: find each list by the bytes of its name."""
    data = (BRIDGE / RECORDS).read_bytes()
    records, start = [], 0
    while start < len(data):
        (length,) = struct.unpack_from("<Q", data, start)
        records.append(data[start + 12 : start + 12 + length])
        start += length + 16
    return records


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def feature(data, name):
    """Return the raw content of the list that follows a name in a record."""
    key = name.encode()
    at = data.index(b"\x0a" + bytes([len(key)]) + key + b"\x12") + len(key) + 3
    _, at = read_varint(data, at)
    kind = data[at] >> 3
    length, at = read_varint(data, at + 1)
    return kind, data[at : at + length]


def floats(data, name):
    kind, content = feature(data, name)
    assert kind == 2
    _, at = read_varint(content, 1)
    return np.frombuffer(content[at:], "<f4")


def contents(data, name):
    kind, content = feature(data, name)
    assert kind == 1
    found, at = [], 0
    while at < len(content):
        length, at = read_varint(content, at + 1)
        found.append(content[at : at + length])
        at += length
    return found


def write_fake(folder, **changes):
    return write_tfds(folder, [fake_example(0, **changes)], STEPS)


@pytest.fixture(scope="module")
def bridge(tmp_path_factory):
    root = tmp_path_factory.mktemp("bridge") / "set"
    origin = convert(Conversion(path=BRIDGE, root=root, fps=5))
    return LeRobotReader.open(root), origin


def test_bridge_is_what_a_second_reading_finds(bridge):
    reader, _ = bridge
    assert reader.fps == 5
    assert reader.cameras == ("image_0", "image_1", "image_2", "image_3")
    records = second_reading()
    frames = {camera: list(reader.frames(camera)) for camera in reader.cameras}
    for data, (start, end) in zip(records, reader.episode_bounds, strict=True):
        assert reader.action[start:end].tobytes() == floats(data, "steps/action").tobytes()
        state = floats(data, "steps/observation/state")
        assert reader.proprio[start:end].tobytes() == state.tobytes()
        (text,) = set(contents(data, "steps/language_instruction"))
        assert reader.tasks[reader.task_index[start]] == text.decode()
        for camera in reader.cameras:
            jpegs = contents(data, f"steps/observation/{camera}")
            for jpeg, frame in zip(jpegs, frames[camera][start:end], strict=True):
                assert np.array_equal(np.asarray(Image.open(io.BytesIO(jpeg))), frame)


def test_what_stands_out_is_said(bridge):
    reader, _ = bridge
    assert summarize(reader.root)["notes"] == [
        "image_3 is black in every frame that was counted; --cameras can leave it out",
        "the first action of every episode is no motion; --drop-first leaves it out",
    ]


def test_the_dataset_tells_where_it_came_from(bridge):
    reader, origin = bridge
    assert reader.info["plait"] == origin
    assert origin["format"] == "rlds"
    assert origin["source"] == "bridge_two_episodes"
    assert origin["taken"]["cameras"]["image_2"] == "observation/image_2"
    assert origin["taken"]["instruction"] == "language_instruction"
    assert origin["orientation"] == "raw"


def test_the_command_line_says_what_it_made(tmp_path, capsys):
    root = tmp_path / "set"
    arguments = ["convert", str(BRIDGE), str(root), "--fps", "5", "--workers", "1", "--json"]
    before = tree(BRIDGE)
    assert main([*arguments, "--cameras", "image_0,image_3", "--drop-first"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["episodes"] == 2
    assert summary["steps"] == 18
    assert summary["instructions"] == 2
    assert summary["cameras"] == ["image_0 64×64", "image_3 64×64"]
    # The first action was left out, so nothing is said of it.
    assert len(summary["notes"]) == 1
    assert "image_3 is black" in summary["notes"][0]
    assert tree(BRIDGE) == before
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_fps_must_be_given(tmp_path, capsys):
    assert main(["convert", str(BRIDGE), str(tmp_path / "set")]) == 2
    text = capsys.readouterr().err
    assert "does not say how many steps a second" in text
    assert "--fps (usual: Bridge 5" in text
    assert not list(tmp_path.iterdir())


def test_two_processes_write_the_same_bytes(tmp_path):
    examples = [fake_example(seed) for seed in range(5)]
    source = write_tfds(tmp_path / "source", examples, STEPS, shards=2)
    for workers in (1, 2):
        root = tmp_path / f"set{workers}"
        convert(Conversion(path=source, root=root, fps=10), num_workers=workers)
    assert tree(tmp_path / "set1") == tree(tmp_path / "set2")
    reader = LeRobotReader.open(tmp_path / "set1")
    # Files one after another: 0, 2, 4 are in the first of the two.
    assert reader.tasks == ("do 0", "do 2", "do 4", "do 1", "do 3")


def test_a_conversion_goes_on_where_it_stopped(tmp_path, monkeypatch):
    source = write_tfds(tmp_path / "source", [fake_example(s) for s in range(4)], STEPS)
    conversion = Conversion(path=source, root=tmp_path / "set", fps=10)
    read, seen = RldsSource.read, []

    def stopping(self, index):
        seen.append(index)
        if index == 2 and seen.count(2) == 1:
            raise KeyboardInterrupt
        return read(self, index)

    monkeypatch.setattr(RldsSource, "read", stopping)
    with pytest.raises(KeyboardInterrupt):
        convert(conversion)
    assert not conversion.root.exists()
    with pytest.raises(DataError, match="interrupted"):
        LeRobotReader.open(conversion.root)
    with pytest.raises(OutputError, match="other settings"):
        convert(Conversion(path=source, root=tmp_path / "set", fps=20))
    seen.clear()
    seen.append(2)
    convert(conversion)
    # The first is read once more to open the source; it is in its shard already.
    assert seen == [2, 0, 2, 3]
    monkeypatch.undo()
    convert(Conversion(path=source, root=tmp_path / "again", fps=10))
    assert tree(tmp_path / "set") == tree(tmp_path / "again")


def test_a_changed_source_is_not_mixed_with_the_old(tmp_path, monkeypatch):
    source = write_tfds(tmp_path / "source", [fake_example(s) for s in range(2)], STEPS)
    conversion = Conversion(path=source, root=tmp_path / "set", fps=10)
    read = RldsSource.read
    monkeypatch.setattr(RldsSource, "read", lambda s, i: read(s, i) if not i else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        convert(conversion)
    monkeypatch.undo()
    shutil.rmtree(source)
    write_tfds(source, [fake_example(s) for s in (5, 6)], STEPS)
    with pytest.raises(OutputError, match="other settings"):
        convert(conversion)


def test_encodings_types_and_outcomes(tmp_path):
    action, state = np.float64([[1.5, -2], [3, 4]]), np.int16([[7], [-8]])
    example = fake_example(
        0,
        2,
        **{
            "steps/action": [zlib.compress(row.tobytes()) for row in action],
            "steps/observation/state": [row.tobytes() for row in state],
            "steps/observation/gripper": [1, 0],
            "steps/reward": [0.0, 1.0],
            "steps/is_last": [0, 1],
        },
    )
    steps = STEPS | {
        "action": tensor(2, dtype="float64", encoding="zlib"),
        "observation/state": tensor(1, dtype="int16", encoding="bytes"),
        "observation/gripper": tensor(dtype="bool"),
        "reward": tensor(),
        "is_last": tensor(dtype="bool"),
    }
    source = write_tfds(tmp_path / "source", [example], steps)
    wanted = Selection(state=("observation/gripper", "observation/state"))
    episode = RldsSource.open(source, wanted).read(0)
    assert np.array_equal(episode.action, action.astype(np.float32))
    assert np.array_equal(episode.proprio, [[1, 7], [0, -8]])
    assert np.array_equal(episode.extras["next.reward"], [[0], [1]])
    assert episode.extras["next.done"].tolist() == [[False], [True]]
    assert np.array_equal(episode.images["front"], [picture(0)[0], picture(1)[0]])


def test_an_action_in_parts_is_named_by_the_user(tmp_path):
    steps = {key: node for key, node in STEPS.items() if key != "action"}
    steps |= {"action/world": tensor(2), "action/grip": tensor(1)}
    example = fake_example(0, 2)
    del example["steps/action"]
    example |= {"steps/action/world": [1.0, 2.0, 3.0, 4.0], "steps/action/grip": [5.0, 6.0]}
    source = write_tfds(tmp_path / "source", [example], steps)
    with pytest.raises(OptionError, match=r"usual features for the action.*action/world.*--action"):
        RldsSource.open(source, Selection())
    wanted = Selection(action=("action/grip", "action/world"))
    assert RldsSource.open(source, wanted).read(0).action.tolist() == [[5, 1, 2], [6, 3, 4]]


def test_the_instruction_among_the_observations_is_found(tmp_path):
    steps = STEPS | {"observation/natural_language_instruction": TEXT}
    del steps["language_instruction"]
    example = fake_example(0)
    example["steps/observation/natural_language_instruction"] = [b"open the drawer"] * 3
    source = write_tfds(tmp_path / "source", [example], steps)
    assert RldsSource.open(source, Selection()).read(0).instruction == "open the drawer"
    own = Selection(instruction="close it")
    assert RldsSource.open(source, own).read(0).instruction == "close it"


def test_the_one_version_below_a_folder_is_opened(tmp_path):
    shutil.copytree(BRIDGE, tmp_path / "bridge" / "1.0.0")
    assert RldsSource.open(tmp_path / "bridge", Selection()).num_episodes == 2
    shutil.copytree(BRIDGE, tmp_path / "bridge" / "2.0.0")
    with pytest.raises(DataError, match=r"versions 1.0.0, 2.0.0.*Name the folder of one"):
        RldsSource.open(tmp_path / "bridge", Selection())


def test_splits_are_chosen_by_name(tmp_path):
    for split in ("train", "val"):
        write_tfds(tmp_path / split, [fake_example(len(split))], STEPS, split=split)
    shutil.copytree(tmp_path / "val", tmp_path / "train", dirs_exist_ok=True)
    assert RldsSource.open(tmp_path / "train", Selection()).read(0).instruction == "do 5"
    chosen = RldsSource.open(tmp_path / "train", Selection(split="val"))
    assert chosen.read(0).instruction == "do 3"
    with pytest.raises(UnknownNameError, match=r"'test'.*known: train, val"):
        RldsSource.open(tmp_path / "train", Selection(split="test"))


def test_episodes_missing_at_the_end_of_a_file_are_noticed(tmp_path):
    shutil.copytree(BRIDGE, tmp_path / "source")
    path = tmp_path / "source" / RECORDS
    path.write_bytes(record(second_reading()[0]))
    with pytest.raises(DataError, match=r"\[1\] episodes in the files of split train.*\[2\]"):
        RldsSource.open(tmp_path / "source", Selection())


def test_a_missing_file_of_a_split_is_noticed(tmp_path):
    source = write_tfds(tmp_path / "s", [fake_example(s) for s in range(3)], STEPS, shards=3)
    (source / "fake-train.tfrecord-00001-of-00003").unlink()
    with pytest.raises(DataError, match="2 files of split train; expected 3"):
        RldsSource.open(source, Selection())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps/action": [1.0] * 5}, r"record 0: 5 numbers of steps/action.*multiple of 2"),
        (
            {"steps/action": [1.0] * 4},
            r"record 0: 3 steps of images of front; expected 2, one an action",
        ),
        ({"steps/action": [1.0, float("nan")] * 3}, r"record 0: action at step 0 is not finite"),
        ({"steps/action": [b"x"] * 3}, r"steps/action as bytes; expected numbers"),
        ({"steps/observation/front": [b"x"] * 3}, r"front at step 0 is damaged.*JPEG nor PNG"),
        ({"steps/observation/front": [1, 2, 3]}, r"steps/observation/front holds no bytes"),
        ({"steps/language_instruction": [b"a", b"b", b"b"]}, r"instruction changes at step 1"),
        ({"steps/language_instruction": [b"\xff"] * 3}, r"instruction is not UTF-8"),
    ],
)
def test_a_bad_record_is_one_sentence(tmp_path, changes, message):
    source = write_fake(tmp_path / "source", **changes)
    with pytest.raises(DataError, match=message) as caught:
        RldsSource.open(source, Selection()).read(0)
    assert "\n" not in str(caught.value)


def test_a_missing_field_is_named(tmp_path):
    example = fake_example(0)
    del example["steps/observation/state"]
    source = write_tfds(tmp_path / "source", [example], STEPS)
    with pytest.raises(DataError, match="no steps/observation/state among steps/action"):
        RldsSource.open(source, Selection()).read(0)


def test_a_picture_that_claims_gigabytes_is_refused(tmp_path):
    png = bytearray(picture(0)[1])
    png[16:24] = struct.pack(">II", 60_000, 60_000)
    png[29:33] = struct.pack(">I", zlib.crc32(bytes(png[12:29])))
    source = write_fake(tmp_path / "source", **{"steps/observation/front": [bytes(png)] * 3})
    with pytest.raises(DataError, match=r"front at step 0 is damaged \(it claims"):
        RldsSource.open(source, Selection()).read(0)
    png[16:24] = struct.pack(">II", 8000, 8000)
    png[29:33] = struct.pack(">I", zlib.crc32(bytes(png[12:29])))
    source = write_fake(tmp_path / "other", **{"steps/observation/front": [bytes(png)] * 3})
    with pytest.raises(DataError, match=r"front claims 576,000,000 bytes"):
        RldsSource.open(source, Selection()).read(0)


def test_a_compressed_tensor_that_grows_without_end_is_refused(tmp_path):
    bomb = zlib.compress(bytes(50 << 20))
    steps = STEPS | {"action": tensor(2, encoding="zlib")}
    example = fake_example(0, **{"steps/action": [bomb] * 3})
    source = write_tfds(tmp_path / "source", [example], steps)
    with pytest.raises(DataError, match=r"steps/action at step 0 of 9 bytes; expected 8"):
        RldsSource.open(source, Selection()).read(0)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"featuresDict": 3}', "[" * 100_000, '{"a": ' * 5000]
)
def test_damaged_features_are_one_sentence(tmp_path, text):
    source = write_fake(tmp_path / "source")
    (source / "features.json").write_text(text)
    with pytest.raises(DataError, match=r"features\.json: "):
        RldsSource.open(source, Selection())


def test_adjustments_are_exact(tmp_path):
    source = RldsSource.open(write_fake(tmp_path / "source"), Selection())
    raw = source.read(0)
    frames = raw.images["front"]

    def adjusted(**options):
        return Adjustments(**options)(raw, "here")

    assert np.array_equal(adjusted().images["front"], frames)
    assert np.array_equal(adjusted(orientation="vflip").images["front"], np.flip(frames, 1))
    turned = adjusted(orientation="rot180").images["front"]
    assert np.array_equal(turned, np.rot90(frames, 2, axes=(1, 2)))
    shifted = adjusted(shift_observations=True)
    assert np.array_equal(shifted.proprio, raw.proprio[:2])
    assert np.array_equal(shifted.action, raw.action[1:])
    assert np.array_equal(shifted.images["front"], frames[:2])
    dropped = adjusted(drop_first=True)
    assert np.array_equal(dropped.proprio, raw.proprio[1:])
    assert np.array_equal(dropped.action, raw.action[1:])
    assert np.array_equal(adjusted(swap_colors=True).images["front"], frames[..., [2, 1, 0]])
    small = adjusted(image_size=2).images["front"]
    means = frames.reshape(3, 2, 2, 2, 3, 3).mean(axis=(2, 4))
    assert np.abs(small - means).max() <= 1


def test_an_episode_that_nothing_is_left_of_is_refused(tmp_path):
    source = write_tfds(tmp_path / "source", [fake_example(0, steps=1)], STEPS)
    adjustments = Adjustments(drop_first=True)
    with pytest.raises(DataError, match=r"episode 0: no step is left"):
        convert(Conversion(path=source, root=tmp_path / "set", fps=5, adjustments=adjustments))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fps": 0}, "fps is 0"),
        ({"fps": 5, "format": "mcap"}, "unknown format 'mcap'.*rlds"),
        ({"fps": 5, "selection": Selection(cameras=("top",))}, "unknown camera 'top'.*image_0"),
        ({"fps": 5, "selection": Selection(state=("qpos",))}, "unknown feature for the state"),
        ({"fps": 5, "storage": "gif"}, "unknown storage 'gif'"),
    ],
)
def test_bad_options_are_refused_before_work_begins(tmp_path, options, message):
    with pytest.raises(PlaitError, match=message):
        convert(Conversion(path=BRIDGE, root=tmp_path / "set", **options))
    assert not list(tmp_path.iterdir())


def test_a_dataset_never_lies_in_its_source(tmp_path):
    source = write_fake(tmp_path / "source")
    with pytest.raises(OutputError, match="lies in the source"):
        convert(Conversion(path=source, root=source / "set", fps=5))


@pytest.mark.parametrize(("name", "found"), [("none", "no such file"), ("empty", "no format")])
def test_what_is_no_dataset_is_said(tmp_path, name, found):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=f"{found}.*one of .*rlds"):
        convert(Conversion(path=tmp_path / name, root=tmp_path / "set", fps=5))
