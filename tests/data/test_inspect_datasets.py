"""Whole datasets through `plait inspect`: healthy ones, real ones, and one mistake at a time."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_fakes import (
    DATA,
    EPISODES,
    INFO,
    edit_info,
    edit_table,
    set_column,
    write_dataset,
)
from test_broken_datasets import BROKEN
from v2_fakes import write_v2

from inspection_fakes import make_episode, write
from plait.cli import main
from plait.data.survey import survey
from plait.data.survey.frames import choose_frames, read_frames
from plait.results import load_result
from plait.results.inspection import InspectionResult

FIXTURES = Path(__file__).parent / "fixtures"
VIDEO = "videos/observation.images.base/chunk-000/file-000.mp4"


def inspect(root, out, *options, code=0):
    assert main(["inspect", str(root), "--out", str(out), *options]) == code
    return load_result(out / "results.json", InspectionResult)


def texts(result, severity):
    found = [finding for finding in result.findings if finding.severity == severity]
    return [f"{finding.where}: {finding.found}" for finding in found]


@pytest.mark.parametrize("storage", ["image", "video"])
def test_a_healthy_dataset_has_no_finding_and_passes_strictly(tmp_path, storage):
    root = write(tmp_path / "data", storage=storage)
    result = inspect(root, tmp_path / "out", "--strict")
    assert result.findings == ()
    assert (result.num_episodes, result.num_steps, result.fps) == (5, 150, 10.0)
    assert [camera.camera for camera in result.cameras] == ["base", "other"]
    assert all(camera.num_frames == 5 * 8 for camera in result.cameras)


@pytest.mark.parametrize("name", ["g1_two_episodes", "g1_v21_heads", "lerobot_three_episodes"])
def test_real_recordings_have_no_error(tmp_path, name):
    result = inspect(FIXTURES / name, tmp_path / "out", "--strict")
    assert result.cameras[0].num_frames == 8 * result.num_episodes


def test_the_averaged_quantiles_that_lerobot_itself_wrote_are_found(tmp_path):
    result = inspect(FIXTURES / "lerobot_three_episodes", tmp_path / "out")
    found = texts(result, "warning")
    assert found[0].startswith("stored statistics, action: 14.6% of the values lie outside the")
    assert found[0].endswith("the mean of the episodes' quantiles, which released LeRobot writes.")


def test_the_older_layout_is_inspected_like_the_newer(tmp_path):
    episodes = [make_episode(seed, length=16) for seed in range(4)]
    write(tmp_path / "new", episodes)
    write_v2(tmp_path / "old", episodes)
    new, old = (inspect(tmp_path / name, tmp_path / f"{name}_out") for name in ("new", "old"))
    assert (old.version, new.version) == ("v2.1", "v3.0")
    assert old.lengths == new.lengths
    assert old.instructions == new.instructions
    assert [(h.minimum, h.counts) for h in old.histograms] == [
        (h.minimum, h.counts) for h in new.histograms
    ]


# --- one mistake at a time ------------------------------------------------------------------------


def spoil_action(root):
    actions = pq.read_table(root / DATA)["action"].to_pylist()
    actions[31][1] = float("nan")
    set_column(root / DATA, "action", actions, pa.list_(pa.float32(), 2))


def shorten(root):
    edit_table(root / DATA, lambda table: table.slice(0, table.num_rows - 4))


def lose_image(root):
    column = pq.read_table(root / DATA)["observation.images.base"].to_pylist()
    for image in column[60:90]:
        image["bytes"] = b"not a picture"
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    set_column(root / DATA, "observation.images.base", column, kind)


def name_unknown_task(root):
    set_column(root / DATA, "task_index", [0] * 120 + [5] * 30, pa.int64())


def overlap(root):
    edit_info(root, splits={"train": "0:4", "test": "3:5"})


def drop_column(root):
    edit_table(root / DATA, lambda table: table.drop_columns(["timestamp"]))


def disagree(root):
    lengths = pq.read_table(root / EPISODES)["length"].to_pylist()
    set_column(root / EPISODES, "length", [lengths[0] + 1, *lengths[1:]], pa.int64())


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_action, "first nan in dimension 1 at step 1 of episode 1"),
        (shorten, "total_frames is 150, but 146 are there"),
        (lose_image, "camera base, episode 2: Of the frames looked at, 8 could not be decoded"),
        (name_unknown_task, "In 30 rows the task is 5, which the task table does not have"),
        (overlap, "train and test share episode 3"),
        (drop_column, "no column 'timestamp'; expected it"),
        (disagree, "episode 0 has 30 rows instead of 31"),
    ],
)
def test_a_mistake_becomes_an_error_and_strict_exits_with_1(tmp_path, spoil, words):
    root = write(tmp_path / "data")
    spoil(root)
    result = inspect(root, tmp_path / "out", "--strict", code=1)
    assert words in " ".join(texts(result, "error"))
    # Without --strict the same is told, and the command has done what it was asked.
    assert inspect(root, tmp_path / "out").findings == result.findings


@pytest.mark.parametrize("name", BROKEN)
def test_whatever_a_training_refuses_is_an_error_or_cannot_be_read_at_all(tmp_path, capsys, name):
    write_dataset(tmp_path / "set")
    BROKEN[name][0](tmp_path / "set")
    out = tmp_path / "out"
    code = main(["inspect", str(tmp_path / "set"), "--out", str(out), "--strict"])
    assert code in (1, 2)
    assert (out / "report.html").exists() == (code == 1)
    assert ("plait: " in capsys.readouterr().err) == (code == 2)


def test_a_short_video_is_named_with_the_episodes_that_lack_pictures(tmp_path):
    root = write(tmp_path / "data", storage="video")
    shorter = write(
        tmp_path / "shorter", [make_episode(seed) for seed in range(4)], storage="video"
    )
    (root / VIDEO).write_bytes((shorter / VIDEO).read_bytes())
    errors = texts(inspect(root, tmp_path / "out", "--strict", code=1), "error")
    assert "120 frames for 150 rows of episodes 0, 1, 2, 3 and 4: the last 30 have" in errors[0]
    assert "camera base, episode 4: Of the frames looked at, 8 could not be decoded" in errors[1]


def test_a_video_that_is_missing_or_damaged_leaves_the_rest_to_be_inspected(tmp_path):
    root = write(tmp_path / "data", storage="video")
    (root / VIDEO).write_bytes(b"no video at all" * 50)
    result = inspect(root, tmp_path / "out", "--strict", code=1)
    assert any("expected a whole video" in text for text in texts(result, "error"))
    assert [camera.num_frames for camera in result.cameras] == [0, 40]
    (root / VIDEO).unlink()
    result = inspect(root, tmp_path / "out", "--strict", code=1)
    assert any("no such file; expected a video" in text for text in texts(result, "error"))


def test_a_black_camera_is_an_error_and_can_be_left_out(tmp_path):
    episodes = [make_episode(seed, camera=np.zeros_like) for seed in range(3)]
    root = write(tmp_path / "data", episodes)
    result = inspect(root, tmp_path / "out", "--strict", code=1)
    assert texts(result, "error") == [
        "camera other: 24 of 24 frames looked at are black: it shows nothing."
    ]
    assert inspect(root, tmp_path / "out", "--strict", "--cameras", "base").findings == ()


def test_a_camera_that_froze_and_one_that_shows_the_same_are_found(tmp_path):
    frozen = [
        make_episode(seed, camera=lambda frames: np.repeat(frames[:1], len(frames), axis=0))
        for seed in range(3)
    ]
    result = inspect(write(tmp_path / "frozen", frozen), tmp_path / "out")
    assert "camera other: Frozen in 3 of 3 episodes" in texts(result, "error")[0]
    same = [make_episode(seed) for seed in range(3)]
    result = inspect(write(tmp_path / "same", same), tmp_path / "out")
    assert texts(result, "warning") == ["cameras base and other: Both show the same picture."]


def test_copies_in_two_splits_leak(tmp_path):
    slid = [make_episode(seed, camera=lambda frames: frames[::-1]) for seed in (0, 1, 2, 3, 1)]
    root = write(tmp_path / "data", slid)
    result = inspect(root, tmp_path / "out")
    assert texts(result, "warning") == ["episode 1 = 4: 1 episode to the bit the same as another."]
    edit_info(root, splits={"train": "0:3", "test": "3:5"})
    result = inspect(root, tmp_path / "out", "--strict", code=1)
    assert "test holds copies of episodes in train: 1 = 4" in texts(result, "error")[0]


def test_frames_that_are_looked_at_are_those_of_their_rows(tmp_path):
    episodes = [make_episode(seed, length=20 + seed) for seed in range(4)]
    found = survey(write(tmp_path / "data", episodes))
    wanted = choose_frames(found, 2, 3)
    assert [(one.episode, one.step) for one in wanted] == [
        *((0, step) for step in (0, 10, 19)),
        *((3, step) for step in (0, 11, 22)),
    ]
    frames = list(read_frames(found, "observation.images.base", wanted, []))
    assert len(frames) == 6
    for frame in frames:
        assert frame.image is not None
        expected = episodes[frame.episode].images["base"][frame.step]
        np.testing.assert_array_equal(frame.image, expected)


# --- the command ----------------------------------------------------------------------------------


def test_json_is_the_saved_result_and_the_only_thing_printed(tmp_path, capsys):
    root = write(tmp_path / "data")
    overlap(root)
    result = inspect(root, tmp_path / "out", "--json", "--strict", code=1)
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "out" / "results.json").read_text())
    assert printed["findings"][0]["severity"] == "error"
    assert printed["num_steps"] == result.num_steps


def test_what_cannot_be_read_at_all_exits_with_2_and_writes_nothing(tmp_path, capsys):
    root = write(tmp_path / "data")
    (root / DATA).write_bytes(b"PAR1")
    assert main(["inspect", str(root), "--out", str(tmp_path / "out"), "--strict"]) == 2
    assert "file-000.parquet: damaged" in capsys.readouterr().err
    (root / INFO).write_text("{")
    assert main(["inspect", str(root), "--out", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()


def test_shortcuts_on_a_broken_dataset_are_a_finding_and_not_an_abort(tmp_path):
    root = write(tmp_path / "data")
    spoil_action(root)
    result = inspect(root, tmp_path / "out", "--shortcuts", "--image-size", "16")
    assert result.shortcuts is None
    assert any("Shortcuts could not be looked for" in text for text in texts(result, "warning"))


def test_the_terminal_shows_findings_with_what_to_do_and_where_the_page_is(tmp_path, capsys):
    root = write(tmp_path / "data")
    overlap(root)
    inspect(root, tmp_path / "out")
    text = " ".join(capsys.readouterr().err.split())
    assert "train and test share episode 3." in text
    assert "→ Divide them again, by episode" in text
    assert "This dataset is not sound as it is" in text
    assert "report:" in text
