"""Results on disk: whole or not at all, versioned, and refused with the reason."""

import errno
import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from plait import results
from plait.errors import DataError, OutputError
from plait.results import (
    Cost,
    CurvePoint,
    Diagnostic,
    EpisodeResult,
    Machine,
    RunResult,
    describe_machine,
    load_result,
    save_result,
    write_text_atomically,
)

MACHINE = Machine(
    platform="Linux", processor="a processor", num_cores=2, python="3.11", packages={"torch": "2"}
)
RUN = RunResult(
    arm="film",
    fusion="film",
    control=None,
    seed=3,
    cost=Cost(
        num_parameters=7,
        flops_per_action_chunk=11,
        latency_ms_median=1.5,
        latency_ms_p99=2.5,
        train_seconds=13.0,
        train_samples_per_second=17.0,
    ),
    curve=(CurvePoint(step=1, train_loss=0.5, validation_loss=None, seconds=0.25),),
    episodes=(
        EpisodeResult(
            seed=5,
            task="push",
            instruction="push the red cube → left",
            success=True,
            outcome="success",
            num_steps=19,
            num_candidates=3,
        ),
    ),
    validation_action_error=0.125,
    diagnostics=(
        Diagnostic(name="attention", kind="heatmap", labels=("red",), values=([[0.5, 0.5]],)),
    ),
    machine=MACHINE,
)


def test_a_saved_result_loads_equal(tmp_path):
    path = tmp_path / "new" / "folder" / "result.json"
    save_result(path, RUN)
    assert load_result(path, RunResult) == RUN
    assert json.loads(path.read_text(encoding="utf-8"))["schema_version"] == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [item.name for item in path.parent.iterdir()] == ["result.json"]


def test_nan_is_refused_rather_than_written_as_broken_json(tmp_path):
    path = tmp_path / "result.json"
    save_result(path, RUN)
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_result(path, replace(RUN, validation_action_error=float("nan")))
    assert load_result(path, RunResult) == RUN


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{", "not valid JSON"),
        ("", "not valid JSON"),
        ("[]", "schema version None; expected version 1"),
        ('{"schema_version": 99}', "schema version 99; expected version 1"),
        ('{"schema_version": 1}', "RunResult lacks the field 'arm'; expected a saved RunResult"),
        ('{"schema_version": 1, "amr": 2}', "unknown field of RunResult 'amr'; did you mean 'arm'"),
    ],
)
def test_a_damaged_result_is_refused_with_its_path(tmp_path, text, match):
    path = tmp_path / "result.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=match) as caught:
        load_result(path, RunResult)
    assert caught.value.path == path
    assert str(caught.value).startswith(str(path))


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "result.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not valid JSON"):
        load_result(path, RunResult)


def test_a_missing_result_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such file; expected a saved RunResult"):
        load_result(tmp_path / "none.json", RunResult)


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, failing):
    path = tmp_path / "result.json"
    write_text_atomically(path, "old")

    def fail(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if failing == "fsync":
        monkeypatch.setattr(results.os, "fsync", fail)
    else:
        monkeypatch.setattr(Path, "replace", fail)
    match = r"cannot write .*result.json: No space left on device. Choose another folder or free"
    with pytest.raises(OutputError, match=match):
        write_text_atomically(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["result.json"]


def test_a_path_under_a_regular_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("here")
    with pytest.raises(
        OutputError, match=r"cannot write .*result.json: (Not a directory|File exists)"
    ):
        write_text_atomically(tmp_path / "file" / "result.json", "text")
    assert (tmp_path / "file").read_text() == "here"


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    write_text_atomically(path, "old")

    def interrupt(_handle):
        raise KeyboardInterrupt

    monkeypatch.setattr(results.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_text_atomically(path, "new")
    assert path.read_text(encoding="utf-8") == "old"


def test_the_machine_is_described_without_names_of_people_or_hosts():
    machine = describe_machine()
    assert machine.num_cores == os.cpu_count()
    assert machine.packages["torch"]
    assert os.uname().nodename not in machine.platform
    assert machine.processor
