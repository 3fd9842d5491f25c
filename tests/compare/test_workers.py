import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from waiting import wait_until

from plait.compare.workers import LONGEST_TEMPORARY_FOLDER, run_jobs
from plait.errors import PlaitError


@dataclass(frozen=True)
class WriteProcessId:
    folder: Path
    index: int

    def __call__(self, report):
        report("writing", 0.5, "halfway")
        (self.folder / str(self.index)).write_text(str(os.getpid()))


@dataclass(frozen=True)
class WriteVariable:
    folder: Path
    name: str

    def __call__(self, _report):
        (self.folder / "variable").write_text(os.environ.get(self.name, "none"))


@dataclass(frozen=True)
class ReportForEver:
    folder: Path

    def __call__(self, report):
        (self.folder / "process").write_text(str(os.getpid()))
        while True:
            time.sleep(0.05)
            report("waiting", 0.5, "")


@dataclass(frozen=True)
class Fail:
    error: type[BaseException]

    def __call__(self, _report):
        raise self.error("the cause")


@dataclass(frozen=True)
class Sleep:
    folder: Path

    def __call__(self, _report):
        (self.folder / "started").touch()
        time.sleep(60)
        (self.folder / "finished").touch()


@dataclass(frozen=True)
class FailAfterOther:
    folder: Path

    def __call__(self, _report):
        while not (self.folder / "started").exists():
            time.sleep(0.05)
        raise PlaitError("the cause")


def started(job, **variables):
    """Start a process that runs the job of an expression; what it says is lost."""
    code = (
        "from pathlib import Path\n"
        "from plait.compare.workers import run_jobs\n"
        "from test_workers import ReportForEver, WriteVariable\n"
        f"run_jobs([{job}], 1, lambda update: None)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stderr=subprocess.DEVNULL
    )


def test_jobs_run_in_processes_of_their_own_and_report(tmp_path):
    updates = []
    run_jobs([WriteProcessId(tmp_path, index) for index in range(3)], 2, updates.append)
    processes = {(tmp_path / str(index)).read_text() for index in range(3)}
    assert len(processes) == 3
    assert str(os.getpid()) not in processes
    assert sorted(u.job for u in updates if u.stage == "done") == [0, 1, 2]
    assert {(u.fraction, u.note) for u in updates if u.stage == "writing"} == {(0.5, "halfway")}


def test_a_user_error_keeps_its_message(tmp_path):
    with pytest.raises(PlaitError, match=r"^the cause$"):
        run_jobs([Fail(PlaitError)], 1, lambda _update: None)


def test_a_bug_keeps_its_traceback():
    with pytest.raises(RuntimeError, match=r"(?s)Traceback.*ZeroDivisionError: the cause"):
        run_jobs([Fail(ZeroDivisionError)], 1, lambda _update: None)


def test_one_failure_stops_the_others(tmp_path):
    start = time.monotonic()
    with pytest.raises(PlaitError, match="the cause"):
        run_jobs([Sleep(tmp_path), FailAfterOther(tmp_path)], 2, lambda _update: None)
    assert time.monotonic() - start < 40
    assert not (tmp_path / "finished").exists()


def test_jobs_see_the_environment_as_it_is_now(tmp_path, monkeypatch):
    for value in ("first", "second"):
        monkeypatch.setenv("PLAIT_TEST", value)
        run_jobs([WriteVariable(tmp_path, "PLAIT_TEST")], 1, lambda _update: None)
        assert (tmp_path / "variable").read_text() == value
    monkeypatch.delenv("PLAIT_TEST")
    run_jobs([WriteVariable(tmp_path, "PLAIT_TEST")], 1, lambda _update: None)
    assert (tmp_path / "variable").read_text() == "none"


@pytest.mark.parametrize("length", [LONGEST_TEMPORARY_FOLDER, LONGEST_TEMPORARY_FOLDER + 1, 150])
def test_a_folder_of_temporary_files_may_have_a_long_name(tmp_path, request, length):
    """In a process of its own: the first job decides how the others are made."""
    short = tempfile.mkdtemp()  # pytest's own are long
    request.addfinalizer(lambda: shutil.rmtree(short))
    folder = Path(short) / ("x" * (length - len(short) - 1))
    folder.mkdir()
    job = f"WriteVariable(Path({str(tmp_path)!r}), 'HOME')"
    assert started(job, TMPDIR=str(folder)).wait() == 0
    assert (tmp_path / "variable").exists()


def test_jobs_of_a_process_that_was_killed_stop(tmp_path):
    parent = started(f"ReportForEver(Path({str(tmp_path)!r}))")
    written = tmp_path / "process"
    wait_until(lambda: written.exists() and written.read_text())
    parent.kill()
    parent.wait()
    job = Path("/proc") / written.read_text()
    wait_until(lambda: not job.exists() or "State:\tZ" in (job / "status").read_text())
