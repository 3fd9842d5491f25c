"""robomimic, LIBERO and ALOHA to LeRobot: numbers and pictures, options, and files that lie."""

import io
import json
import os
import signal
import time

import h5py
import numpy as np
import pytest
from data_fakes import tree
from hdf5_fakes import frames, jpeg, numbers, write_aloha, write_libero, write_robomimic
from PIL import Image

from plait.backbones import loading
from plait.cli import main
from plait.data.convert import hdf5
from plait.data.convert.adjust import Adjustments
from plait.data.convert.base import Selection
from plait.data.convert.detect import detect
from plait.data.convert.formats.aloha import AlohaSource
from plait.data.convert.formats.libero import LiberoSource
from plait.data.convert.formats.robomimic import RobomimicSource
from plait.data.convert.run import Conversion, convert
from plait.data.convert.summary import summarize
from plait.data.lerobot.reader import LeRobotReader
from plait.errors import DataError, OptionError, PlaitError, UnknownNameError

LIFT = Selection(instruction="lift the cube")


def single(values):
    return values.astype(np.float32)


def test_robomimic_demonstrations_come_in_the_order_of_their_numbers(tmp_path):
    source = RobomimicSource.open(write_robomimic(tmp_path / "lift.hdf5"), LIFT)
    assert source.num_episodes == 3
    assert (source.fps, source.robot_type) == (20, "Panda")
    for index, number in enumerate([0, 2, 10]):
        episode = source.read(index)
        steps = len(episode.action)
        assert np.array_equal(episode.action, single(numbers(number, steps, 7)))
        state = [numbers(number + k, steps, dim) for k, dim in ((1, 3), (2, 4), (3, 2))]
        assert np.array_equal(episode.proprio, single(np.concatenate(state, axis=1)))
        assert np.array_equal(episode.images["agentview_image"], frames(number, steps))
        assert episode.instruction == "lift the cube"
        assert np.array_equal(episode.extras["next.reward"][:, 0], np.arange(steps))
        assert episode.extras["next.done"][:, 0].tolist() == [0] * (steps - 1) + [1]


def test_robomimic_masks_are_splits(tmp_path):
    path = write_robomimic(tmp_path / "lift.hdf5")
    source = RobomimicSource.open(path, Selection(instruction="lift", split="train"))
    assert [place.group for place in source.places] == ["/data/demo_0", "/data/demo_10"]
    with pytest.raises(UnknownNameError, match=r"split 'valid'.*known: train"):
        RobomimicSource.open(path, Selection(instruction="lift", split="valid"))


def test_robocasa_writes_instructions_into_its_demonstrations(tmp_path):
    path = write_robomimic(tmp_path / "casa.hdf5")
    with pytest.raises(OptionError, match=r"data/demo_0 has no instruction.*--instruction"):
        RobomimicSource.open(path, Selection())
    with h5py.File(path, "a") as file:
        for name, demo in file["data"].items():
            demo.attrs["ep_meta"] = json.dumps({"lang": f"close the door of {name}"})
    source = RobomimicSource.open(path, Selection())
    assert source.read(1).instruction == "close the door of demo_2"


def test_libero_is_stored_as_it_is_unless_asked(tmp_path):
    write_libero(tmp_path / "b_demo.hdf5", '"put it down"')
    write_libero(tmp_path / "a_demo.hdf5")
    source = LiberoSource.open(tmp_path, Selection())
    assert source.num_episodes == 4
    texts = [source.read(index).instruction for index in range(4)]
    assert texts == ["put the bowl on the plate"] * 2 + ["put it down"] * 2
    episode = source.read(1)
    assert np.array_equal(episode.images["agentview_rgb"], frames(1, 5))
    assert np.array_equal(episode.images["eye_in_hand_rgb"], frames(51, 5))
    assert np.array_equal(episode.action, single(numbers(1, 5, 7)))
    assert episode.proprio.shape == (5, 8)
    assert np.array_equal(episode.proprio[:, 6:], single(numbers(3, 5, 2)))


def test_libero_on_the_command_line(tmp_path, capsys):
    path = write_libero(tmp_path / "task_demo.hdf5")
    before = tree(tmp_path)
    out = tmp_path / "out"
    convert(
        Conversion(path=path, root=out / "raw", selection=Selection(cameras=("agentview_rgb",)))
    )
    summary = summarize(out / "raw")
    assert summary["fps"] == 20
    assert summary["notes"] == ["the source's images are upside down; see --orientation"]
    options = ["--orientation", "rot180", "--shift-observations", "--json", "--workers", "2"]
    assert main(["convert", str(path), str(out / "turned"), *options]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["orientation"] == "rot180"
    assert "notes" not in summary
    reader = LeRobotReader.open(out / "turned")
    pictures = np.stack(list(reader.frames("agentview_rgb")))
    expected = [frames(demo, 5)[:4, ::-1, ::-1] for demo in (0, 1)]
    assert np.array_equal(pictures, np.concatenate(expected))
    expected = [single(numbers(demo, 5, 7))[1:] for demo in (0, 1)]
    assert np.array_equal(reader.action, np.concatenate(expected))
    assert reader.info["plait"]["shift_observations"] is True
    assert reader.info["robot_type"] == "Panda"
    assert {k: v for k, v in tree(tmp_path).items() if not k.startswith("out")} == before


@pytest.mark.parametrize("compressed", [False, True])
def test_aloha_episodes_are_files(tmp_path, compressed):
    folder = write_aloha(tmp_path / "aloha", compressed=compressed)
    source = AlohaSource.open(folder, Selection(instruction="open the jar"))
    for index, number in enumerate([9, 10]):
        episode = source.read(index)
        assert np.array_equal(episode.action, numbers(number, 4, 14, np.float32))
        assert np.array_equal(episode.proprio, numbers(number + 1, 4, 14, np.float32))
        expected = frames(number, 4)
        if compressed:
            # The padding does not matter, and a JPEG's colours are what a viewer shows.
            opened = [Image.open(io.BytesIO(jpeg(frame))) for frame in expected]
            expected = np.stack([np.asarray(picture) for picture in opened])
        assert np.array_equal(episode.images["cam_high"], expected)
    wanted = Selection(instruction="open", state=("qpos", "qvel"))
    assert AlohaSource.open(folder, wanted).read(0).proprio.shape == (4, 28)
    with pytest.raises(OptionError, match="ALOHA's files hold none"):
        AlohaSource.open(folder, Selection())


def test_formats_are_told_apart(tmp_path):
    assert detect(write_robomimic(tmp_path / "a.hdf5")) == "robomimic"
    assert detect(write_libero(tmp_path / "b.hdf5")) == "libero"
    assert detect(write_aloha(tmp_path / "aloha")) == "aloha"


def test_what_is_no_demonstration_file_is_said(tmp_path):
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file["weights"] = np.zeros(3)
    with pytest.raises(PlaitError, match=r"x.hdf5: groups weights; expected data/demo_0"):
        detect(tmp_path / "x.hdf5")
    (tmp_path / "y.hdf5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(PlaitError, match=r"y.hdf5: damaged"):
        detect(tmp_path / "y.hdf5")


def edited(path, edit):
    with h5py.File(path, "a") as file:
        edit(file)
    return path


def drop(name):
    def edit(file):
        del file[name]

    return edit


def put(name, values):
    def edit(file):
        del file[name]
        file[name] = values

    return edit


def claim(name, shape, **options):
    """Claim an array of a size that nothing was ever written of."""

    def edit(file):
        del file[name]
        file.create_dataset(name, shape, "u1", **options)

    return edit


POS, VIEW = "data/demo_0/obs/robot0_eef_pos", "data/demo_0/obs/agentview_image"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (drop("data"), r"no data \(data is missing among mask\)"),
        (drop("data/demo_0/obs"), r"data/demo_0: no obs/? \(obs is missing among actions, dones"),
        (drop("data/demo_0/actions"), r"unknown array for the action 'actions'"),
        (drop("data/demo_2/obs/robot0_eef_pos"), r"data/demo_2: no obs/robot0_eef_pos"),
        (put(POS, numbers(0, 3, 3)), r"demo_0: 4 rows of obs/robot0_eef_quat; expected 3"),
        (put(VIEW, frames(0, 5)), r"demo_0: 5 steps of images of agentview_image; expected 4"),
        (put(VIEW, frames(0, 4)[..., 0]), r"agentview_image as uint8 \[4, 8, 6\]; expected uint8"),
        (put("data/demo_0/actions", np.full((4, 7), np.nan)), r"action at step 0 is not finite"),
        (put("data/demo_0/actions", np.full((4, 7), 1e300)), r"action at step 0 is not finite"),
        (claim(VIEW, (100_000, 200, 200, 3), chunks=(1, 200, 200, 3)), r"claims 12,000,000,000"),
        (claim(VIEW, (4, 10_000, 100_000, 3), chunks=(1, 10, 10, 3)), r"claims 12,000,000,000"),
    ],
)
def test_bad_content_is_one_sentence(tmp_path, edit, message):
    path = edited(write_robomimic(tmp_path / "lift.hdf5"), edit)

    def read_all():
        source = RobomimicSource.open(path, LIFT)
        return [source.read(index) for index in range(source.num_episodes)]

    with pytest.raises(PlaitError, match=message) as caught:
        read_all()
    assert "\n" not in str(caught.value)


def test_a_claim_of_a_contiguous_array_is_measured_by_the_file(tmp_path):
    path = write_robomimic(tmp_path / "lift.hdf5")
    with h5py.File(path, "a") as file:
        del file[VIEW]
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
        space = h5py.h5s.create_simple((10_000, 1000, 1000, 3))
        obs = file["data/demo_0/obs"].id
        h5py.h5d.create(obs, b"agentview_image", h5py.h5t.NATIVE_UINT8, space, layout)
    with pytest.raises(DataError, match=r"claims 30,000,000,000 bytes, but \d+ are stored"):
        RobomimicSource.open(path, LIFT).read(0)


@pytest.mark.parametrize("kind", ["soft", "external", "storage", "virtual"])
def test_nothing_is_read_from_outside_the_file(tmp_path, kind):
    path = write_robomimic(tmp_path / "lift.hdf5")
    secret = tmp_path / "secret.hdf5"
    with h5py.File(secret, "w") as file:
        file["values"] = numbers(0, 4, 3)
    with h5py.File(path, "a") as file:
        del file[POS]
        if kind == "soft":
            file[POS] = h5py.SoftLink("/data/demo_0/actions")
        elif kind == "external":
            file[POS] = h5py.ExternalLink(str(secret), "/values")
        elif kind == "storage":
            (tmp_path / "raw").write_bytes(bytes(96))
            file.create_dataset(POS, (4, 3), "f8", external=[(str(tmp_path / "raw"), 0, 96)])
        else:
            layout = h5py.VirtualLayout((4, 3), "f8")
            layout[:] = h5py.VirtualSource(str(secret), "values", (4, 3))
            file.create_virtual_dataset(POS, layout)
    wanted = Selection(instruction="lift", state=("robot0_eef_pos",))
    expected = "unknown array|lead out of the file|lies in other files"
    with pytest.raises(PlaitError, match=expected):
        RobomimicSource.open(path, wanted).read(0)


def test_a_truncated_file_is_one_sentence_and_leaves_nothing(tmp_path, capsys):
    path = write_libero(tmp_path / "task.hdf5")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert main(["convert", str(path), str(tmp_path / "out/set")]) == 2
    assert "task.hdf5: damaged" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


class Crashing(RobomimicSource):
    """As a file that makes the library crash: there are such, but not in every version."""

    def read(self, index):
        if index == 1:
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().read(index)


def test_a_crash_of_the_library_is_one_sentence(tmp_path):
    path = write_robomimic(tmp_path / "lift.hdf5")
    own = f"{__name__}:Crashing"
    conversion = Conversion(path=path, root=tmp_path / "set", format=own, selection=LIFT)
    with pytest.raises(DataError, match=r"lift.hdf5: the library that reads it crashed \(exit"):
        convert(conversion, num_workers=1)
    assert not (tmp_path / "set").exists()


class Endless(RobomimicSource):
    """As a file that keeps the library busy for ever: the fuzz found some."""

    @classmethod
    def open(cls, path, selection):
        while True:
            time.sleep(len(str(path)) + len(str(selection)))


def test_a_library_that_never_ends_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("plait.data.convert.run.MAX_OPENING_S", 0.5)
    path = write_robomimic(tmp_path / "lift.hdf5")
    conversion = Conversion(path=path, root=tmp_path / "set", format=f"{__name__}:Endless")
    with pytest.raises(DataError, match=r"lift.hdf5: the library .* does not come to an end \(no"):
        convert(conversion)


def test_a_missing_library_is_named_with_its_extra(tmp_path, monkeypatch):
    path = write_robomimic(tmp_path / "lift.hdf5")

    def no_library(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(loading.importlib, "import_module", no_library)
    text = r"reading HDF5 files needs h5py.*pip install 'plait\[convert\]'"
    with pytest.raises(PlaitError, match=text), hdf5.open_hdf5(path):
        pass


def test_video_storage_and_size(tmp_path):
    path = write_libero(tmp_path / "task.hdf5", num_demos=1)
    adjustments = Adjustments(image_size=4)
    conversion = Conversion(
        path=path, root=tmp_path / "set", adjustments=adjustments, storage="video"
    )
    convert(conversion)
    reader = LeRobotReader.open(tmp_path / "set")
    assert reader.source_files("agentview_rgb")[0].suffix == ".mp4"
    assert {frame.shape for frame in reader.frames("agentview_rgb")} == {(4, 4, 3)}
