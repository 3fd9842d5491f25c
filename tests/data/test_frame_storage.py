"""Frames from a cache, from packed JPEGs and from the recording itself: the same pictures."""

import gc
import multiprocessing
import os
from types import SimpleNamespace

import numpy as np
import pytest
from data_fakes import make_episode, smooth_episode, write_dataset

from plait.data.dataset import Demonstrations
from plait.data.files import whole_file
from plait.data.frames import FrameStorage, open_cameras
from plait.data.frames import storage as storage_module
from plait.data.frames.direct import MOST_OPEN, DirectFrames
from plait.data.frames.jpeg import FRAMES_PER_BATCH, JpegCache
from plait.data.frames.raw import RawCache
from plait.data.lerobot.reader import LeRobotReader
from plait.data.lerobot.writer import LeRobotWriter
from plait.errors import DataError, OptionError, UnknownNameError

GIB = 2**30


def write_video(root, lengths=(10, 7, 12), **options):
    with LeRobotWriter(root, fps=10, storage="video", **options) as writer:
        for seed, length in enumerate(lengths):
            writer.add(smooth_episode(seed, length))
    return LeRobotReader.open(root)


def write_images(root, num_episodes=4):
    write_dataset(root, num_episodes)
    return LeRobotReader.open(root)


@pytest.mark.parametrize("write", [write_video, write_images])
@pytest.mark.parametrize("size", [None, 6])
def test_the_recording_gives_what_the_cache_holds_in_any_order(tmp_path, write, size):
    reader = write(tmp_path / "set")
    cached = RawCache(reader, "base", size).open()
    direct = DirectFrames(reader, "base", size)
    assert direct.shape == cached.shape
    rng = np.random.default_rng(0)
    for steps in (
        np.arange(len(cached))[::-1],
        rng.permutation(len(cached)),
        rng.integers(0, len(cached), (5, 3)),
        slice(3, 9),
        np.array([], dtype=np.int64),
    ):
        assert np.array_equal(direct[steps], cached[steps])
    assert np.array_equal(direct[4], cached[4])


def test_more_videos_than_are_kept_open(tmp_path):
    # A new file for every episode, since each is larger than nothing.
    reader = write_video(tmp_path / "set", (3,) * (MOST_OPEN + 4), file_mb=0)
    assert len(reader.source_files("base")) > MOST_OPEN
    cached, direct = RawCache(reader, "base", 8).open(), DirectFrames(reader, "base", 8)
    steps = np.random.default_rng(1).permutation(len(cached))
    for part in np.split(steps, 4):
        assert np.array_equal(direct[part], cached[part])


def read_in_child(direct, steps, queue):
    queue.put(direct[steps])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_opens_its_own_files(tmp_path):
    reader = write_video(tmp_path / "set")
    direct = DirectFrames(reader, "base", None)
    expected = direct[np.arange(8, 12)]
    # What else was opened and left must not be tidied up in the child, whose threads are gone.
    gc.collect()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=read_in_child, args=(direct, np.arange(8, 12), queue))
    child.start()
    assert np.array_equal(queue.get(timeout=120), expected)
    child.join(timeout=120)
    assert np.array_equal(direct[np.arange(8, 12)], expected)


def test_a_video_that_is_too_short_is_named_when_its_frame_is_asked_for(tmp_path):
    reader = write_video(tmp_path / "set", (10, 7))
    path = reader.source_files("base")[0]
    short = write_video(tmp_path / "short", (10, 3)).source_files("base")[0]
    path.write_bytes(short.read_bytes())
    direct = DirectFrames(reader, "base", None)
    assert direct[:13].shape[0] == 13
    with pytest.raises(DataError, match=r"file-000\.mp4.*13 frames.*frame 15"):
        direct[15]


def test_a_damaged_image_is_named_when_it_is_asked_for(tmp_path, monkeypatch):
    reader = write_images(tmp_path / "set")
    direct = DirectFrames(reader, "base", None)

    def fail(*_):
        raise OSError("broken")

    monkeypatch.setattr("plait.data.lerobot.images.decode_image", fail)
    with pytest.raises(
        DataError, match=r"observation\.images\.base in row 9 is missing or damaged"
    ):
        direct[9]


def test_packed_jpegs_are_nearly_the_frames(tmp_path):
    reader = write_video(tmp_path / "set", (10, 40, FRAMES_PER_BATCH))
    cached, packed = RawCache(reader, "base", 32).open(), JpegCache(reader, "base", 32).open()
    steps = np.random.default_rng(2).integers(0, len(cached), (30, 2))
    assert packed[steps].shape == (30, 2, 3, 32, 32)
    difference = np.abs(packed[steps].astype(int) - cached[steps])
    assert 0 < difference.mean() < 1.5
    assert np.array_equal(packed[7], packed[np.array([7])][0])
    assert np.array_equal(packed[-1], packed[len(cached) - 1])
    file = JpegCache(reader, "base", 32).find()
    assert file.stat().st_size < JpegCache(reader, "base", 32).num_bytes < cached.nbytes


def test_half_a_jpeg_file_is_never_taken_for_a_whole_one(tmp_path):
    reader = write_video(tmp_path / "set")
    cache = JpegCache(reader, "base", 16)
    cache.open()
    path = cache.find()
    content = path.read_bytes()
    for cut in (0, 8, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:cut])
        assert cache.find() is None
    frames = cache.open()
    assert frames[28].shape == (3, 16, 16)
    other = JpegCache(write_video(tmp_path / "longer", (10, 7, 13)), "base", 16)
    with whole_file(path, path.with_suffix(".partial")) as file:
        file.write(content)
    assert not other.is_whole(path)


@pytest.mark.parametrize(("spare", "expected"), [(0, "raw"), (-1, "jpeg"), (-60_000, "direct")])
def test_the_fastest_storage_that_fits_is_chosen(tmp_path, spare, expected):
    reader = write_video(tmp_path / "set")
    budget = FrameStorage(budget_gib=(29 * 3 * 32 * 32 + spare) / GIB)
    kind, _ = open_cameras(reader, ["base"], 32, budget)
    assert kind == expected
    names = [path.suffix for path in (tmp_path / "set" / ".plait_cache").glob("*")]
    assert (".npy" in names, ".jpegs" in names) == (expected == "raw", expected == "jpeg")


def test_the_budget_is_for_all_cameras_together(tmp_path):
    reader = write_images(tmp_path / "set")
    one = RawCache(reader, "base", 32).num_bytes
    budget = FrameStorage(budget_gib=1.5 * one / GIB)
    assert open_cameras(reader, ["base"], 32, budget)[0] == "raw"
    # What is there already costs nothing, so the other camera fits now.
    assert open_cameras(reader, ["base", "wrist"], 32, budget)[0] == "raw"
    other = write_images(tmp_path / "other")
    assert open_cameras(other, ["base", "wrist"], 32, budget)[0] == "jpeg"


def test_without_a_budget_half_of_the_free_disk_is_one(tmp_path, monkeypatch):
    reader = write_video(tmp_path / "set")
    need = RawCache(reader, "base", 32).num_bytes
    disk = SimpleNamespace(disk_usage=lambda _: SimpleNamespace(free=2 * need - 2))
    monkeypatch.setattr(storage_module, "shutil", disk)
    assert FrameStorage().choose(reader, ["base"], 32) == "jpeg"
    disk.disk_usage = lambda _: SimpleNamespace(free=2 * need)
    assert FrameStorage().choose(reader, ["base"], 32) == "raw"


def test_what_is_no_storage_is_refused(tmp_path):
    reader = write_images(tmp_path / "set")
    with pytest.raises(UnknownNameError, match="raw"):
        open_cameras(reader, ["base"], 8, FrameStorage("rwa"))
    with pytest.raises(OptionError, match="-1"):
        open_cameras(reader, ["base"], 8, FrameStorage(budget_gib=-1.0))


def test_batches_are_the_same_from_every_storage_without_loss(tmp_path):
    write_dataset(tmp_path / "set")
    batches = []
    for kind in ("raw", "direct"):
        data = Demonstrations.open(
            tmp_path / "set", image_size=8, observation_window=2, storage=FrameStorage(kind)
        )
        assert data.storage == kind
        batches.append(data.gather(np.array([0, 9, 3, 30])))
    first, second = (batch.observation.images for batch in batches)
    assert all((first[camera] == second[camera]).all() for camera in ("base", "wrist"))


def test_features_of_lossy_frames_have_a_key_of_their_own(tmp_path):
    write_dataset(tmp_path / "set")
    keys = {
        kind: Demonstrations.open(
            tmp_path / "set", image_size=8, storage=FrameStorage(kind)
        ).frames_key("base")
        for kind in ("raw", "direct", "jpeg")
    }
    assert keys["raw"] == keys["direct"] != keys["jpeg"]


def test_an_episode_of_one_step_is_found(tmp_path):
    with LeRobotWriter(tmp_path / "set", fps=10) as writer:
        for seed, length in enumerate((1, 4, 1)):
            writer.add(make_episode(seed, length=length))
    reader = LeRobotReader.open(tmp_path / "set")
    cached, direct = RawCache(reader, "base", None).open(), DirectFrames(reader, "base", None)
    assert np.array_equal(direct[np.array([5, 0, 1])], cached[np.array([5, 0, 1])])
