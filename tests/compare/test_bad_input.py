"""Each kind of bad input gives one clear sentence, exit code 2, and leaves nothing half-written."""

import json
import sys
import textwrap

import numpy as np
import pytest

from plait.cli import main
from plait.data.episode import EpisodeData
from plait.data.lerobot.writer import LeRobotWriter

SMALL = ["--steps", "2", "--episodes", "1", "--demonstrations", "4", "--workers", "1"]


def write_dataset(root, *, action_dim=7, num_episodes=3, nan_at=None, size=64):
    rng = np.random.default_rng(0)
    with LeRobotWriter(root, fps=10) as writer:
        for _ in range(num_episodes):
            action = rng.uniform(-1, 1, (5, action_dim)).astype(np.float32)
            images = {"base": rng.integers(0, 255, (5, size, size, 3), dtype=np.uint8)}
            proprio = rng.normal(size=(5, 8)).astype(np.float32)
            writer.add(EpisodeData(images, proprio, action, "touch the red cube"))
    return root


def refused(capsys, *arguments):
    """Run the command line, expect refusal, and return its one line."""
    code = main(list(arguments))
    output = capsys.readouterr()
    lines = [line for line in output.err.strip().splitlines() if line.startswith("plait:")]
    assert code == 2
    assert output.out == ""
    assert "Traceback" not in output.err
    assert len(lines) == 1
    return lines[0]


def test_unknown_strategy_is_refused_before_anything_is_recorded(capsys, tmp_path):
    out = tmp_path / "out"
    line = refused(capsys, "compare", "--fusion", "flim", "--out", str(out))
    assert "unknown fusion 'flim'; did you mean 'film'" in line
    assert not out.exists()


@pytest.mark.parametrize(
    ("option", "name", "message"),
    [
        ("--head", "flows", "unknown heads 'flows'; did you mean 'flow'"),
        ("--vision", "vits", "unknown encoders 'vits'; did you mean 'vit'"),
        ("--language", "word", "unknown encoders 'word'; did you mean 'words'"),
        ("--vision", "hf:/no/such/model", "there is no folder /no/such/model to read"),
        ("--vision", "hf:", "'hf:' names no model; write hf:FOLDER or hf:ID"),
        ("--language", "timm:resnet18", "timm: has no encoder for language"),
        ("--tuning", "full", "--tuning is for pretrained encoders, and none is named"),
        ("--feature-cache", "fp8", "unknown feature cache 'fp8'"),
    ],
)
def test_unknown_parts_are_refused_before_anything_is_recorded(
    capsys, tmp_path, option, name, message
):
    out = tmp_path / "out"
    assert message in refused(capsys, "compare", option, name, "--out", str(out))
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seed", "-1"], "the seed is -1, but must be 0 or more"),
        (["--workers", "0"], "the number of workers is 0, but must be at least 1"),
        (["--budget", "0s"], "the budget is '0s', but must be more than nothing"),
        (["--steps", "0"], "the number of steps is 0, but must be at least 1"),
    ],
)
def test_numbers_out_of_range_are_refused_before_anything_is_recorded(
    capsys, tmp_path, arguments, message
):
    out = tmp_path / "out"
    assert message in refused(capsys, "compare", *arguments, "--out", str(out))
    assert not out.exists()


def test_a_folder_with_demonstrations_of_other_settings_is_refused(capsys, tmp_path):
    out = tmp_path / "out"
    small = ["--fusion", "concat", "--no-controls", *SMALL, "--out", str(out)]
    assert main(["compare", "--preset", "smoke", *small]) == 0
    line = refused(capsys, "compare", "--preset", "smoke", *small, "--demonstrations", "5")
    assert "holds demonstrations recorded with other settings" in line
    assert "choose another folder with --out, or delete it" in line


def test_unknown_environment_suggests_a_close_one(capsys, tmp_path):
    line = refused(capsys, "compare", "--env", "tabletop/toch", "--out", str(tmp_path / "out"))
    assert "unknown environment 'tabletop/toch'; did you mean 'tabletop/touch'" in line
    assert not (tmp_path / "out").exists()


def test_unknown_preset_and_bad_budget(capsys, tmp_path):
    out = ["--out", str(tmp_path / "out")]
    assert "did you mean 'smoke'" in refused(capsys, "compare", "--preset", "smokes", *out)
    line = refused(capsys, "compare", "--budget", "soon", *out)
    assert "the budget is 'soon', but must be a duration such as 90s, 10m or 2h" in line


def test_unknown_option_exits_with_2(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["compare", "--fussion", "film"])
    assert stop.value.code == 2
    assert "--fussion" in capsys.readouterr().err


def test_missing_dataset(capsys, tmp_path):
    line = refused(capsys, "train", "--data", str(tmp_path / "none"), "--out", str(tmp_path / "o"))
    assert str(tmp_path / "none") in line
    assert "expected a LeRobot dataset" in line
    assert not (tmp_path / "o").exists()


def test_truncated_dataset(capsys, tmp_path):
    root = write_dataset(tmp_path / "data")
    (path,) = (root / "data").rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:-100])
    line = refused(capsys, "train", "--data", str(root), "--out", str(tmp_path / "out"))
    assert path.name in line
    assert "expected a whole parquet file" in line


def test_demonstrations_of_another_robot(capsys, tmp_path):
    root = write_dataset(tmp_path / "data", action_dim=6)
    out = str(tmp_path / "out")
    given = ["--env", "tabletop/touch", "--cameras", "base", "--out", out]
    line = refused(capsys, "compare", "--data", str(root), *given)
    assert "(state, action) of the demonstrations has shape (8, 6), but (8, 7) was expected" in line
    assert "--env" in line


def test_unknown_words_name_the_word_and_the_instruction(capsys, tmp_path):
    root = write_dataset(tmp_path / "data")
    out = str(tmp_path / "out")
    assert main(["train", "--data", str(root), "--steps", "2", "--out", out]) == 0
    capsys.readouterr()
    line = refused(capsys, "evaluate", out + "/policy", "--env", "tabletop/push", "--episodes", "1")
    assert "unknown word 'push'" in line
    assert "this policy knows only the words it was trained on" in line


def test_checkpoint_of_another_version(capsys, tmp_path):
    root = write_dataset(tmp_path / "data")
    out = tmp_path / "out"
    assert main(["train", "--data", str(root), "--steps", "2", "--out", str(out)]) == 0
    capsys.readouterr()
    path = out / "policy" / "policy.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 99}))
    line = refused(capsys, "evaluate", str(out / "policy"), "--episodes", "1")
    assert "format version 99" in line
    assert "this Plait" in line


def test_output_folder_that_cannot_be_written(capsys, tmp_path):
    (tmp_path / "file").write_text("")
    out = str(tmp_path / "file" / "out")
    line = refused(capsys, "record", "--env", "tabletop/touch", "--episodes", "1", "--out", out)
    assert "cannot write" in line
    assert "Not a directory" in line


def test_folder_that_holds_another_comparison(capsys, tmp_path):
    data = write_dataset(tmp_path / "data")
    out = tmp_path / "out"
    out.mkdir()
    wanted = {"env": "tabletop/pick"}
    (out / "plan.json").write_text(json.dumps({"wanted": wanted, "num_steps": 7}))
    line = refused(
        capsys,
        *("compare", "--data", str(data), "--env", "tabletop/touch", "--cameras", "base"),
        *("--out", str(out), *SMALL),
    )
    assert "holds another comparison" in line
    assert "env was 'tabletop/pick', is 'tabletop/touch'" in line


def test_report_of_another_schema(capsys, tmp_path):
    (tmp_path / "results.json").write_text('{"schema_version": 0}')
    line = refused(capsys, "report", str(tmp_path))
    assert "schema version 0; expected version 1" in line


def test_full_disk_leaves_no_dataset(capsys, tmp_path, monkeypatch):
    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.savez", full)
    monkeypatch.setattr("pyarrow.parquet.ParquetWriter", full)
    out = tmp_path / "out"
    line = refused(
        capsys, "record", "--env", "tabletop/touch", "--episodes", "1", "--out", str(out),
        "--workers", "1",
    )  # fmt: skip
    assert "No space left on device" in line
    assert not out.exists()


def test_a_strategy_of_ones_own_that_is_none(capsys, tmp_path, monkeypatch):
    (tmp_path / "not_a_fusion.py").write_text(
        textwrap.dedent(
            """
            class Mine:
                pass
            """
        )
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    line = refused(capsys, "compare", "--fusion", "not_a_fusion:Mine", "--out", str(tmp_path / "o"))
    assert "not_a_fusion:Mine is not a plait.fusion.base.Fusion" in line
    line = refused(capsys, "compare", "--fusion", "no_such_file:Mine", "--out", str(tmp_path / "o"))
    assert "cannot import 'no_such_file'" in line
    line = refused(capsys, "compare", "--fusion", ":Mine", "--out", str(tmp_path / "o"))
    assert "module:Class" in line


def test_a_recording_of_another_format_is_sent_to_convert(capsys, tmp_path):
    (tmp_path / "rlds").mkdir()
    (tmp_path / "rlds" / "set-train.tfrecord-00000-of-00001").write_bytes(b"")
    arguments = ("--data", str(tmp_path / "rlds"), "--out", str(tmp_path / "out"))
    assert "plait convert" in refused(capsys, "train", *arguments)


def test_the_folder_of_a_training_leads_to_its_policy(capsys, tmp_path):
    root, out = write_dataset(tmp_path / "data"), tmp_path / "out"
    assert main(["train", "--data", str(root), "--steps", "2", "--out", str(out)]) == 0
    capsys.readouterr()
    assert f"did you mean {out / 'policy'}?" in refused(capsys, "evaluate", str(out))
