"""Datasets by their id on the hub: what is asked of it, and what is said where it gives nothing."""

import fnmatch
import shutil
import sys
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from data_fakes import make_episode, smooth_episode, write_dataset
from v2_fakes import write_v2

from plait.cli import main
from plait.data.dataset import Demonstrations
from plait.data.episode import EpisodeData
from plait.data.lerobot.reader import LeRobotReader
from plait.data.lerobot.writer import LeRobotWriter
from plait.errors import DataError

HUB = "plait-tests/two-cameras"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub with one dataset, in the folder it returns; and a working folder without any."""
    remote, cache, here = (tmp_path / name for name in ("remote", "cache", "here"))

    def snapshot_download(repo_id, *, repo_type, allow_patterns):
        assert repo_type == "dataset"
        if repo_id != HUB:
            raise OSError("404 Client Error.\n\nRepository Not Found.")
        for path in remote.rglob("*"):
            name = path.relative_to(remote)
            if path.is_file() and any(fnmatch.fnmatch(str(name), p) for p in allow_patterns):
                (cache / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, cache / name)
        return str(cache)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    here.mkdir()
    monkeypatch.chdir(here)
    return remote, cache


def two_videos(seed):
    episode = smooth_episode(seed)
    images = {"base": episode.images["base"], "wrist": episode.images["base"]}
    return EpisodeData(images, episode.proprio, episode.action, episode.instruction)


@pytest.mark.parametrize("layout", ["v2.1", "v3.0"])
def test_only_what_is_read_is_downloaded(hub, layout):
    remote, cache = hub
    if layout == "v2.1":
        write_v2(remote, [two_videos(seed) for seed in range(4)], "video")
    else:
        with LeRobotWriter(remote, fps=10, storage="video") as writer:
            for seed in range(4):
                writer.add(two_videos(seed))
    (remote / "checkpoints").mkdir()
    (remote / "checkpoints/model.safetensors").write_bytes(b"weights")
    data = Demonstrations.open(HUB, cameras=["wrist"], image_size=8)
    assert data.num_episodes == 4
    assert data.cameras == ("wrist",)
    found = {str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file()}
    assert found >= {str(p.relative_to(remote)) for p in remote.glob("data/*/*.parquet")}
    assert found >= {str(p.relative_to(remote)) for p in remote.glob("meta/**/*.*")}
    videos = {name for name in found if name.endswith(".mp4")}
    assert len(videos) == len(list(remote.rglob("*wrist*/**/*.mp4")))
    assert all("images.wrist" in name for name in videos)
    assert "checkpoints/model.safetensors" not in found
    whole = Demonstrations.open(HUB, image_size=8)
    assert whole.cameras == ("base", "wrist")
    assert whole.gather(np.array([0])).observation.camera_mask["base"].all()


def test_a_folder_of_that_name_comes_first(hub):
    remote, cache = hub
    write_dataset(remote)
    episodes = write_dataset(Path(HUB), num_episodes=2)
    reader = LeRobotReader.open(Path(HUB))
    assert np.array_equal(reader.action, np.concatenate([e.action for e in episodes]))
    assert not cache.exists()


def test_an_id_that_the_hub_does_not_know(hub):
    message = (
        r"nobody/nothing: no such folder, and nothing from the hub \(404 Client Error\); expected "
        "a LeRobot dataset .*, or the id of one on the hub. Copy the dataset here, or look at"
    )
    with pytest.raises(DataError, match=message):
        LeRobotReader.open(Path("nobody/nothing"))


@pytest.mark.parametrize("error", [ConnectionError("no route to host"), ValueError("offline")])
def test_without_a_network(hub, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(DataError, match=rf"nothing from the hub \({error}\)"):
        LeRobotReader.open(Path(HUB))


def test_without_the_library(hub, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    message = r"two-cameras: no such folder; .*hub. For the latter, run: pip install 'plait\[hub\]'"
    with pytest.raises(DataError, match=message):
        LeRobotReader.open(Path(HUB))


def test_what_is_no_dataset_is_not_downloaded(hub):
    remote, cache = hub
    remote.mkdir()
    (remote / "model.safetensors").write_bytes(b"weights")
    (remote / "meta").mkdir()
    (remote / "meta/notes.txt").write_text("nothing")
    with pytest.raises(DataError, match=r"info.json: no such file; expected a LeRobot dataset"):
        LeRobotReader.open(Path(HUB))
    assert not (cache / "model.safetensors").exists()


@pytest.mark.parametrize("name", ["/nobody/nothing", "nothing", "a/b/c", "../nobody/nothing"])
def test_paths_are_never_looked_up(hub, monkeypatch, name):
    def fail(*_, **__):
        raise AssertionError("asked the hub")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(DataError, match=f"{name}: no such folder"):
        LeRobotReader.open(Path(name))


def test_an_interrupted_recording_is_not_looked_up(hub):
    Path("plait-tests/two-cameras.recording").mkdir(parents=True)
    with pytest.raises(DataError, match="Its recording was interrupted: run it again"):
        LeRobotReader.open(Path(HUB))


def test_the_command_line_takes_an_id(hub, capsys):
    with LeRobotWriter(hub[0], fps=10) as writer:
        for seed in range(4):
            writer.add(make_episode(seed))
    settings = ["--image-size", "16", "--steps", "2", "--batch-size", "4", "--out", "out"]
    assert main(["train", "--data", HUB, *settings]) == 0
    assert Path("out/policy/policy.json").exists()
    assert main(["train", "--data", "nobody/nothing", *settings, "--fusion", "concat"]) == 2
    assert "nothing from the hub (404 Client Error)" in " ".join(capsys.readouterr().err.split())
