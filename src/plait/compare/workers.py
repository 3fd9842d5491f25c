"""Run independent jobs in processes of one thread each, and show how far they are.

Results travel through files: a job that has written its result is done, whatever happens to its
process later. More machines are Ray's work, not this module's.
"""

import multiprocessing
import os
import queue
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from typing import Any

from plait.errors import PlaitError, require_at_least_one, user_error_text

# Imported once, by the process that all others are copies of where there is one.
PRELOADED = ("accelerate", "torch._dynamo", "plait.compare.arm")
# It is asked through a socket in the folder of temporary files, whose path may have 107 characters.
LONGEST_TEMPORARY_FOLDER = 70
POLL_SECONDS = 0.1
STOP_SECONDS = 30.0
INTERRUPTED = 130


@dataclass(frozen=True)
class JobUpdate:
    """How far a job is.

    Attributes:
        job: Index of the job.
        stage: What it is doing, e.g. `training`.
        fraction: Share of the whole job that is done, in [0, 1].
        note: Short text for the progress bar, e.g. the loss.
        error: What went wrong, if anything did.
    """

    job: int
    stage: str
    fraction: float
    note: str = ""
    error: str | None = None
    is_user_error: bool = False


def worker_count(wanted: int | None) -> int:
    """Return how many processes to use: as wanted, or one a core.

    Raises:
        OptionError: If fewer than one is wanted.
    """
    if wanted is not None:
        require_at_least_one("number of workers", wanted)
    return wanted or os.cpu_count() or 1


Report = Callable[[str, float, str], None]
Job = Callable[[Report], None]


class _Reporter:
    """Sends updates at most ten times a second, so that fast steps do not flood the queue.

    A job whose parent has gone is stopped: nobody would read its result.
    """

    def __init__(self, updates: Any, job: int) -> None:
        self._updates = updates
        self._parent = multiprocessing.parent_process()
        self._job = job
        self._last = 0.0

    def __call__(self, stage: str, fraction: float, note: str = "") -> None:
        now = time.monotonic()
        if now - self._last >= POLL_SECONDS:
            self._last = now
            if self._parent is not None and not self._parent.is_alive():
                raise KeyboardInterrupt
            self._updates.put(JobUpdate(self._job, stage, fraction, note))


def _run_job(job: Job, index: int, updates: Any, environment: Mapping[str, str]) -> None:
    """Entry of a worker process."""
    import torch

    # A copy has that of the time when the first job was started.
    os.environ.clear()
    os.environ.update(environment)

    torch.set_num_threads(1)
    code = 0
    try:
        job(_Reporter(updates, index))
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BaseException as error:
        text = user_error_text(error)
        failed = JobUpdate(index, "failed", 0.0, error=text or traceback.format_exc())
        updates.put(replace(failed, is_user_error=text is not None))
        code = 1 if text is None else 2
    updates.close()
    updates.join_thread()
    sys.stdout.flush()
    os._exit(code)


def run_jobs(jobs: Sequence[Job], num_workers: int, on_update: Callable[[JobUpdate], None]) -> None:
    """Run picklable jobs, at most `num_workers` at a time, each in a fresh process.

    Raises:
        PlaitError: With the message of the first job that failed; the others are stopped.
        KeyboardInterrupt: On Ctrl-C, after every job has had time to write its checkpoint.
    """
    context = _context()
    updates = context.Queue()
    waiting = list(enumerate(jobs))
    running: dict[int, BaseProcess] = {}
    try:
        while waiting or running:
            while waiting and len(running) < num_workers:
                index, job = waiting.pop(0)
                process: BaseProcess = context.Process(
                    target=_run_job,
                    args=(job, index, updates, dict(os.environ)),
                    daemon=False,
                )
                _start(process)
                running[index] = process
            _drain(updates, on_update)
            for index in [i for i, process in running.items() if not process.is_alive()]:
                process = running.pop(index)
                process.join()
                _drain(updates, on_update)
                _check_exit(index, process)
                on_update(JobUpdate(index, "done", 1.0))
    finally:
        _stop(running.values())


def _context() -> SpawnContext | ForkServerContext:
    """Return how processes are made: new ones, and on Linux copies of one with all imports done.

    That one has run nothing but imports, so copies of it are as good as new. To import PyTorch and
    what stands on it takes seconds, and a small job less.
    """
    has_room = len(os.fsencode(tempfile.gettempdir())) <= LONGEST_TEMPORARY_FOLDER
    if sys.platform != "linux" or not has_room:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


def _start(process: BaseProcess) -> None:
    """Start a process that no Ctrl-C reaches: the parent alone hears it, and stops the others.

    A mask outlives the start of a program, and a signal that arrives meanwhile is not lost.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _drain(updates: Any, on_update: Callable[[JobUpdate], None]) -> None:
    """Pass on what has arrived; raise what a job reports as its failure."""
    wait = POLL_SECONDS
    while True:
        try:
            update: JobUpdate = updates.get(timeout=wait)
        except queue.Empty:
            return
        wait = 0.0
        if update.error is not None:
            if update.is_user_error:
                raise PlaitError(update.error)
            raise RuntimeError(f"a worker failed:\n{update.error}")
        on_update(update)


def _check_exit(index: int, process: BaseProcess) -> None:
    code = process.exitcode
    if code == INTERRUPTED or code == -signal.SIGINT:
        raise KeyboardInterrupt
    if code:
        raise RuntimeError(
            f"the process of job {index} ended with code {code}"
            + (" (out of memory?)" if code == -signal.SIGKILL else "")
        )


def _stop(processes: Any) -> None:
    """Ask every process to stop, wait for its checkpoint, then insist."""
    alive = [process for process in processes if process.is_alive()]
    for process in alive:
        process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for process in alive:
        process.join(max(deadline - time.monotonic(), 0.1))
        if process.is_alive():
            process.kill()
            process.join()
