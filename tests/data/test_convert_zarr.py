"""Diffusion Policy's and UMI's Zarr to LeRobot: every codec, chunk and layout; groups that lie."""

import json
import pickle
import struct
import zlib
from pathlib import Path

import numcodecs
import numpy as np
import pytest
from data_fakes import tree
from zarr_fakes import ENDS, pusht, umi, write_array, write_group, zipped

from plait.cli import main
from plait.data.convert.base import Selection
from plait.data.convert.detect import detect
from plait.data.convert.formats.zarr import ZarrSource
from plait.data.convert.zarr_array import ZarrArray
from plait.data.convert.zarr_store import ZarrStore
from plait.data.lerobot.reader import LeRobotReader
from plait.errors import DataError, OptionError, PlaitError, UnknownNameError

PUSH = Selection(instruction="push the block")
STARTS = (0, *ENDS[:-1])


@pytest.mark.parametrize("is_zip", [False, True])
def test_pusht_comes_episode_by_episode(tmp_path, is_zip):
    arrays = pusht()
    path = write_group(tmp_path / "pusht.zarr", arrays)
    source = ZarrSource.open(zipped(path) if is_zip else path, PUSH)
    assert source.num_episodes == 3
    for index, (start, end) in enumerate(zip(STARTS, ENDS, strict=True)):
        episode = source.read(index)
        assert np.array_equal(episode.action, arrays["action"][start:end])
        assert np.array_equal(episode.proprio, arrays["state"][start:end])
        assert np.array_equal(episode.images["img"], arrays["img"][start:end])
        assert episode.instruction == "push the block"


def test_umi_takes_the_next_state_for_the_action(tmp_path):
    arrays = umi()
    path = write_group(tmp_path / "umi", arrays)
    with pytest.raises(UnknownNameError, match=r"action 'action'.*next_state takes the state"):
        ZarrSource.open(path, PUSH)
    source = ZarrSource.open(path, Selection(instruction="serve", action=("next_state",)))
    parts = [arrays[name] for name in arrays if name != "camera0_rgb"]
    state = np.concatenate(parts, axis=1).astype(np.float32)
    episode = source.read(1)
    assert np.array_equal(episode.proprio, state[4:8])
    assert np.array_equal(episode.action, state[5:9])
    assert np.array_equal(episode.images["camera0_rgb"], arrays["camera0_rgb"][4:8])


def test_on_the_command_line(tmp_path, capsys):
    path = write_group(tmp_path / "pusht.zarr", pusht())
    before = tree(path)
    arguments = ["convert", str(path), str(tmp_path / "set"), "--fps", "10", "--json"]
    assert main([*arguments, "--workers", "1"]) == 2
    assert "the format holds none; give the command" in capsys.readouterr().err
    assert main([*arguments, "--workers", "1", "--instruction", "push the block"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 12
    reader = LeRobotReader.open(tmp_path / "set")
    assert np.array_equal(np.stack(list(reader.frames("img"))), pusht()["img"])
    assert reader.info["plait"]["instruction_given"] == "push the block"
    assert tree(path) == before


@pytest.mark.parametrize(
    "compressor",
    [
        None,
        numcodecs.Blosc("lz4", shuffle=2),
        numcodecs.Blosc("zlib"),
        numcodecs.Zstd(),
        numcodecs.LZ4(),
        numcodecs.Zlib(),
        numcodecs.GZip(),
        numcodecs.BZ2(),
        numcodecs.LZMA(),
    ],
    ids=str,
)
@pytest.mark.parametrize(("order", "separator"), [("C", "."), ("F", "/")])
def test_every_codec_order_and_separator(tmp_path, compressor, order, separator):
    values = np.random.default_rng(0).integers(0, 9, (11, 4, 6)).astype("<i4")
    options = {"compressor": compressor, "order": order, "separator": separator}
    write_array(tmp_path / "a", values, (3, 3, 4), **options)
    array = ZarrArray.open(ZarrStore(tmp_path), "a")
    assert np.array_equal(array.read(0, 11), values)
    assert np.array_equal(array.read(2, 7), values[2:7])


def test_filters_are_undone_in_their_order(tmp_path):
    values = np.arange(40, dtype="<i4") ** 2
    filters = (numcodecs.Delta("<i4"), numcodecs.Shuffle(4))
    write_array(tmp_path / "a", values, (16,), compressor=numcodecs.Zlib(), filters=filters)
    assert np.array_equal(ZarrArray.open(ZarrStore(tmp_path), "a").read(0, 40), values)


def test_what_zarr_wrote_itself_is_read():
    source = ZarrSource.open(Path(__file__).parent / "fixtures/written_by_zarr.zip", PUSH)
    steps, rows, columns, channels = np.ogrid[:7, :6, :8, :3]
    pictures = (steps * 31 + rows * 7 + columns * 5 + channels * 11).astype(np.uint8)
    for index, part in enumerate((slice(3), slice(3, 7))):
        episode = source.read(index)
        assert np.array_equal(episode.images["img"], pictures[part])
        state = (np.arange(21).reshape(7, 3) / 7).astype(np.float32)
        assert np.array_equal(episode.proprio, state[part])
        assert np.array_equal(episode.action, (np.arange(14.0).reshape(7, 2) ** 2)[part])


def test_formats_are_told_by_their_names(tmp_path):
    path = write_group(tmp_path / "group", pusht())
    assert detect(path) == "zarr"
    assert detect(zipped(path)) == "zarr"


def edit_metadata(path, name, **changes):
    file = path / name / ".zarray"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def read_all(path, selection=PUSH):
    source = ZarrSource.open(path, selection)
    return [source.read(index) for index in range(source.num_episodes)]


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        (
            "data/action",
            {"zarr_format": 3},
            r"data/action/.zarray: Zarr format 3; expected format 2",
        ),
        ("data/action", {"dtype": "|O"}, r"numbers of type '\|O'"),
        ("data/action", {"dtype": [["x", "<f4"]]}, r"numbers of type \[\['x'"),
        ("data/action", {"compressor": {"id": "pickle"}}, r"codec pickle"),
        ("data/action", {"filters": [{"id": "vlen-array"}]}, r"codec vlen-array"),
        ("data/action", {"compressor": {"id": "nothing"}}, r"codec nothing"),
        ("data/action", {"chunks": [0, 2]}, r"shape \[12, 2\] in chunks of \[0, 2\]"),
        ("data/action", {"shape": [12]}, r"shape \[12\] in chunks of \[5, 1\]"),
        ("data/action", {"shape": [13, 2]}, r"13 rows of data/action; expected 12"),
        ("data/action", {"shape": [12, 10**9]}, r"action/0.2: no such chunk"),
        ("data/img", {"shape": [12, 10**5, 10**5, 3]}, r"img/0.0.2.0: no such chunk"),
        ("data/img", {"chunks": [5, 10**5, 10**5, 3]}, r"the chunk claims 600,000,000,000 bytes"),
        ("meta/episode_ends", {"shape": [10**12]}, r"episode_ends/2: no such chunk"),
        ("meta/episode_ends", {"dtype": "<f8"}, r"episode_ends of type <f8"),
    ],
)
def test_metadata_that_lie_are_one_sentence(tmp_path, name, changes, message):
    path = write_group(tmp_path / "group", pusht())
    edit_metadata(path, name, **changes)
    with pytest.raises(DataError, match=message) as caught:
        read_all(path)
    assert "\n" not in str(caught.value)


def test_jpeg_xl_is_named_where_it_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr("plait.data.convert.zarr_codecs._has_picture_codecs", lambda: False)
    path = write_group(tmp_path / "umi", umi())
    edit_metadata(path, "data/camera0_rgb", compressor={"id": "imagecodecs_jpegxl", "level": 99})
    with pytest.raises(DataError, match=r"imagecodecs_jpegxl; .*pip install imagecodecs"):
        read_all(path, Selection(instruction="serve", action=("next_state",)))


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        ((4, 4, 12), r"episode_ends\[1\] = 4 after 4"),
        ((-4, 12), r"episode_ends\[0\] = -4 after 0"),
        ((4, 13), r"12 rows of data/img; expected 13, the last of meta/episode_ends"),
    ],
)
def test_ends_that_cannot_be_are_refused(tmp_path, ends, message):
    path = write_group(tmp_path / "group", pusht(), ends=ends)
    with pytest.raises(DataError, match=message):
        read_all(path)


def write_chunk(content):
    def damage(folder):
        (folder / "1.0").write_bytes(content)

    return damage


BLOSC_CLAIM = struct.pack("<4BIII", 2, 1, 1, 4, 10**9, 1000, 16)


@pytest.mark.parametrize(
    ("compressor", "damage", "message"),
    [
        (None, lambda folder: (folder / "1.0").unlink(), "action/1.0: no such chunk"),
        (None, write_chunk(b""), "action/1.0: damaged .*too few for blosc"),
        (None, write_chunk(BLOSC_CLAIM), "blosc claims 1,000,000,000 bytes from 16"),
        (numcodecs.Zlib(), write_chunk(b"no"), "action/1.0: damaged .*header"),
        (numcodecs.Zlib(), write_chunk(zlib.compress(bytes(1 << 26))), "21 bytes or more where"),
        (numcodecs.Zstd(), write_chunk(b"(\xb5/\xfd" + bytes(9)), "action/1.0: damaged"),
        (numcodecs.LZ4(), write_chunk(struct.pack("<I", 10**9) + bytes(9)), "1.0: damaged"),
    ],
)
def test_damaged_chunks_are_one_sentence(tmp_path, compressor, damage, message):
    path = write_group(tmp_path / "group", pusht(), compressor=compressor)
    damage(path / "data/action")
    with pytest.raises(DataError, match=message) as caught:
        read_all(path)
    assert "\n" not in str(caught.value)


def test_nothing_is_ever_unpickled(tmp_path):
    path = write_group(tmp_path / "group", pusht())
    edit_metadata(path, "data/action", filters=[{"id": "pickle"}], compressor=None)
    for chunk in (path / "data/action").glob("[0-9]*"):
        chunk.write_bytes(pickle.dumps(__import__))
    with pytest.raises(DataError, match="codec pickle"):
        read_all(path)


def test_links_out_of_the_folder_are_refused(tmp_path):
    path = write_group(tmp_path / "group", pusht())
    secret = tmp_path / "secret"
    secret.write_bytes(b"x")
    (path / "data/action/0.0").unlink()
    (path / "data/action/0.0").symlink_to(secret)
    with pytest.raises(DataError, match=r"action/0.0: leads out of the dataset's folder"):
        read_all(path)


def test_pictures_that_are_no_bytes_are_refused(tmp_path):
    arrays = pusht()
    arrays["img"] /= 255
    with pytest.raises(DataError, match=r"rows 0 to 4: data/img with numbers other than 0, 1"):
        read_all(write_group(tmp_path / "group", arrays))


@pytest.mark.parametrize("cut", [0, 10, 0.5, 0.99])
def test_a_torn_zip_file_is_one_sentence(tmp_path, cut):
    path = zipped(write_group(tmp_path / "group", pusht()))
    content = path.read_bytes()
    path.write_bytes(content[: int(cut * len(content)) if cut < 1 else cut])
    with pytest.raises(DataError, match=r"group.zip: damaged \("):
        read_all(path)


def test_format_three_is_named(tmp_path):
    path = tmp_path / "group"
    (path / "data/action").mkdir(parents=True)
    (path / "data/action/zarr.json").write_text("{}")
    with pytest.raises(DataError, match=r"Zarr format 3; expected .* format 2"):
        read_all(path)


def test_the_command_must_be_given(tmp_path):
    with pytest.raises(OptionError, match="--instruction"):
        ZarrSource.open(tmp_path, Selection())
    with pytest.raises(PlaitError, match="no such file or folder"):
        ZarrSource.open(tmp_path / "none", PUSH)
