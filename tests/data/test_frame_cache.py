"""Decoding once: right frames, whole files, one builder at a time."""

import errno
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from data_fakes import (
    EPISODES,
    edit_info,
    edit_table,
    full_disk,
    make_episode,
    set_column,
    smooth_episode,
    tree,
    write_dataset,
)

from plait.data import files
from plait.data.frames import cache
from plait.data.frames.raw import RawCache
from plait.data.lerobot.reader import LeRobotReader
from plait.data.lerobot.writer import LeRobotWriter
from plait.data.process_map import process_map
from plait.errors import DataError, OutputError, PlaitError

DATA = "data/chunk-000/file-000.parquet"


def open_frames(reader, camera, size, on_progress=None):
    return RawCache(reader, camera, size).open(on_progress)


def dataset(root):
    episodes = write_dataset(root)
    return LeRobotReader.open(root), np.concatenate([e.images["base"] for e in episodes])


def cached(root):
    return sorted((root / ".plait_cache").glob("*.npy"))


def count_decodings(monkeypatch):
    calls = []
    frames = LeRobotReader.frames

    def counting(reader, camera, size):
        calls.append(camera)
        return frames(reader, camera, size)

    monkeypatch.setattr(LeRobotReader, "frames", counting)
    return calls


def test_frames_as_recorded(tmp_path):
    reader, expected = dataset(tmp_path / "set")
    frames = open_frames(reader, "base", None)
    assert np.array_equal(frames, expected.transpose(0, 3, 1, 2))
    assert frames.dtype == np.uint8
    assert not frames.flags.writeable


def test_resized_frames_are_means_over_areas(tmp_path):
    episode = make_episode(0, size=(12, 8))
    with LeRobotWriter(tmp_path / "set", fps=10) as writer:
        writer.add(episode)
    frames = open_frames(LeRobotReader.open(tmp_path / "set"), "base", 4)
    blocks = episode.images["base"].astype(float).reshape(7, 4, 3, 4, 2, 3).mean(axis=(2, 4))
    # Rounded once for each axis.
    assert np.abs(frames - blocks.transpose(0, 3, 1, 2)).max() < 1


def test_frames_are_decoded_once_for_every_size(tmp_path, monkeypatch):
    reader, _ = dataset(tmp_path / "set")
    calls = count_decodings(monkeypatch)
    first = open_frames(reader, "base", 8)
    assert np.array_equal(open_frames(reader, "base", 8), first)
    assert calls == ["base"]
    assert open_frames(reader, "base", 4).shape == (31, 3, 4, 4)
    open_frames(reader, "wrist", 8)
    assert calls == ["base", "base", "wrist"]


def test_changed_files_are_decoded_again_and_the_old_cache_removed(tmp_path, monkeypatch):
    reader, _ = dataset(tmp_path / "set")
    open_frames(reader, "base", 8)
    open_frames(reader, "base", 4)
    (old,) = tmp_path.glob("set/.plait_cache/base-8-*.npy")
    calls = count_decodings(monkeypatch)
    os.utime(tmp_path / "set" / DATA, ns=(1, 1))
    open_frames(reader, "base", 8)
    assert calls == ["base"]
    assert not old.exists()
    assert len(cached(tmp_path / "set")) == 2


def test_frames_follow_the_table_of_episodes(tmp_path):
    """The same video is other frames when the table points elsewhere in it."""
    root = tmp_path / "set"
    with LeRobotWriter(root, fps=10, storage="video") as writer:
        writer.add(smooth_episode(0))
        writer.add(smooth_episode(1))
    whole = np.array(open_frames(LeRobotReader.open(root), "base", None))
    set_column(root / EPISODES, "length", [5, 5])
    edit_table(root / DATA, lambda table: table.take([*range(5), *range(10, 15)]))
    edit_info(root, total_frames=10)
    first_halves = np.array(open_frames(LeRobotReader.open(root), "base", None))
    assert np.array_equal(first_halves, whole[[*range(5), *range(10, 15)]])
    set_column(root / EPISODES, "videos/observation.images.base/from_timestamp", [0.5, 1.5])
    second_halves = open_frames(LeRobotReader.open(root), "base", None)
    assert np.array_equal(second_halves, whole[[*range(5, 10), *range(15, 20)]])


def test_cameras_with_similar_names_keep_their_caches(tmp_path, monkeypatch):
    episode = make_episode(0)
    images = {"cam": episode.images["base"], "cam-8": episode.images["wrist"]}
    with LeRobotWriter(tmp_path / "set", fps=10) as writer:
        writer.add(replace(episode, images=images))
    reader = LeRobotReader.open(tmp_path / "set")
    calls = count_decodings(monkeypatch)
    for camera in ("cam-8", "cam", "cam-8", "cam"):
        open_frames(reader, camera, 8)
    assert calls == ["cam-8", "cam"]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_truncated_cache_is_rebuilt(tmp_path, share):
    reader, _ = dataset(tmp_path / "set")
    expected = np.array(open_frames(reader, "base", 8))
    (path,) = cached(tmp_path / "set")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert np.array_equal(open_frames(reader, "base", 8), expected)
    assert path.read_bytes() == content


def test_progress_ends_at_all_frames(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "PROGRESS_INTERVAL", 10)
    reader, _ = dataset(tmp_path / "set")
    seen = []
    open_frames(reader, "base", 8, lambda done, total: seen.append((done, total)))
    assert seen == [(10, 31), (20, 31), (30, 31), (31, 31)]


def test_a_read_only_dataset_is_cached_in_the_users_folder(tmp_path, monkeypatch):
    reader, expected = dataset(tmp_path / "set")
    before = tree(tmp_path / "set")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    make = Path.mkdir

    def refuse(path, *args, **kwargs):
        if path.parent == tmp_path / "set":
            raise OSError(30, "Read-only file system")
        make(path, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", refuse)
    frames = open_frames(reader, "base", None)
    assert np.array_equal(frames, expected.transpose(0, 3, 1, 2))
    assert tree(tmp_path / "set") == before
    assert len(list((tmp_path / "home/plait").glob("*/base-full-*.npy"))) == 1


def test_a_cache_folder_of_another_user_is_left_alone(tmp_path, monkeypatch):
    reader, expected = dataset(tmp_path / "set")
    (tmp_path / "set/.plait_cache").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(cache.os, "access", lambda *_: False)
    calls = count_decodings(monkeypatch)
    for _ in range(2):
        frames = open_frames(reader, "base", None)
        assert np.array_equal(frames, expected.transpose(0, 3, 1, 2))
    assert calls == ["base"]
    assert not list((tmp_path / "set/.plait_cache").iterdir())


def test_a_finished_cache_needs_no_folder_to_write_to(tmp_path, monkeypatch):
    reader, _ = dataset(tmp_path / "set")
    expected = np.array(open_frames(reader, "base", 8))

    def refuse(root):
        raise OutputError("read-only")

    monkeypatch.setattr(cache, "cache_folder", refuse)
    assert np.array_equal(open_frames(reader, "base", 8), expected)


def test_nowhere_to_cache_is_one_sentence(tmp_path, monkeypatch):
    reader, _ = dataset(tmp_path / "set")
    # A file where a folder must be: nobody can write below it, not even root.
    (tmp_path / "set/.plait_cache").touch()
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    message = r"cannot make a cache in .*set or .*Not a directory. Set XDG_CACHE_HOME"
    with pytest.raises(OutputError, match=message):
        open_frames(reader, "base", 8)


def test_too_little_space_is_said_before_decoding(tmp_path, monkeypatch):
    reader, _ = dataset(tmp_path / "set")
    calls = count_decodings(monkeypatch)
    usage = SimpleNamespace(free=1000)
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OutputError, match=r"base take 1 MiB, but .* has only 0 MiB free"):
        open_frames(reader, "base", 8)
    assert calls == []


def test_a_disk_that_fills_up_leaves_nothing(tmp_path):
    reader, _ = dataset(tmp_path / "set")
    message = "cannot cache the frames of base .*: File too large. It takes 1 MiB"
    with full_disk(10_000), pytest.raises(OutputError, match=message):
        open_frames(reader, "base", 32)
    assert [path.suffix for path in (tmp_path / "set/.plait_cache").iterdir()] == [".lock"]
    assert open_frames(reader, "base", 32).shape == (31, 3, 32, 32)


def test_missing_images_are_said(tmp_path):
    reader, _ = dataset(tmp_path / "set")
    (tmp_path / "set" / DATA).unlink()
    with pytest.raises(DataError, match=r"parquet: no such file; expected the images of base"):
        open_frames(reader, "base", 8)


def test_too_few_images_are_no_cache(tmp_path):
    reader, _ = dataset(tmp_path / "set")
    edit_table(tmp_path / "set" / DATA, lambda table: table.slice(0, 30))
    with pytest.raises(DataError, match="30 frames of camera base; expected 31, one a step"):
        open_frames(reader, "base", 8)
    assert not cached(tmp_path / "set")


def test_the_second_of_two_waits_for_the_first(tmp_path, monkeypatch):
    reader, _ = dataset(tmp_path / "set")
    started, go_on = threading.Event(), threading.Event()
    frames = LeRobotReader.frames
    calls = []

    def slow(reader, camera, size):
        calls.append(camera)
        started.set()
        assert go_on.wait(timeout=20)
        return frames(reader, camera, size)

    monkeypatch.setattr(LeRobotReader, "frames", slow)
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(open_frames(reader, "base", 8)))
        for _ in range(2)
    ]
    # Locks of separately opened files exclude threads just as they exclude processes.
    threads[0].start()
    assert started.wait(timeout=20)
    threads[1].start()
    threads[1].join(timeout=0.3)
    assert threads[1].is_alive()
    assert results == []
    go_on.set()
    for thread in threads:
        thread.join(timeout=20)
    assert calls == ["base"]
    assert np.array_equal(*results)


def open_slowly(folder):
    """Decode in a process of its own, leaving a file behind for every decoding."""
    frames = LeRobotReader.frames

    def slow(reader, camera, size):
        (folder / f"decoded-{os.getpid()}").touch()
        time.sleep(0.5)
        return frames(reader, camera, size)

    LeRobotReader.frames = slow
    found = open_frames(LeRobotReader.open(folder / "set"), "base", 8)
    return os.getpid(), found.tobytes()


def test_two_processes_decode_once(tmp_path):
    dataset(tmp_path / "set")
    (one, first), (other, second) = process_map(open_slowly, [tmp_path, tmp_path], 2)
    assert one != other
    assert first == second
    assert len(list(tmp_path.glob("decoded-*"))) == 1
    assert len(cached(tmp_path / "set")) == 1


def test_a_file_system_without_locks_is_good_enough(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files.fcntl, "flock", refuse)
    reader, expected = dataset(tmp_path / "set")
    assert np.array_equal(open_frames(reader, "base", None), expected.transpose(0, 3, 1, 2))


def build_and_die(root):
    def die(done, total):
        os.kill(os.getpid(), signal.SIGKILL)

    cache.PROGRESS_INTERVAL = 5
    open_frames(LeRobotReader.open(Path(root)), "base", 8, die)


def test_a_killed_builder_leaves_no_cache_and_no_lock(tmp_path):
    reader, expected = dataset(tmp_path / "set")
    with pytest.raises(PlaitError, match="exit code -9"):
        list(process_map(build_and_die, [str(tmp_path / "set")], 1))
    assert not cached(tmp_path / "set")
    frames = open_frames(reader, "base", None)
    assert np.array_equal(frames, expected.transpose(0, 3, 1, 2))
    assert open_frames(reader, "base", 8).shape == (31, 3, 8, 8)
    # What the killed process left is removed by the next that builds.
    assert not list(tmp_path.glob("set/.plait_cache/base-8-*.partial"))
