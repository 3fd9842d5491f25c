"""Tests that are played cell by cell: the folder they keep, the processes they share, one bar.

A cell whose file stands there is done and is not played again.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from plait.compare.console import progress_bar
from plait.compare.workers import JobUpdate, Report, run_jobs
from plait.errors import OutputError
from plait.results import write_text_atomically

CELLS_FOLDER = "cells"
PLAN_FILE = "plan.json"
Item = TypeVar("Item")


@runtime_checkable
class WeighedJob(Protocol):
    """Plays some cells one after the other."""

    @property
    def weight(self) -> int:
        """About how long all of it takes."""

    def __call__(self, report: Report) -> None:
        """Play and save every cell."""


def deal(waiting: Sequence[Item], num_workers: int) -> list[tuple[Item, ...]]:
    """Deal what is not done to processes, in turn; none gets nothing."""
    hands = [tuple(waiting[index::num_workers]) for index in range(num_workers)]
    return [hand for hand in hands if hand]


def claim_for_cells(out: Path, identity: Mapping[str, Any], what: str) -> None:
    """Take a folder for a test, or go on in it.

    Args:
        out: The folder.
        identity: What makes two cells of the same name the same.
        what: What the test is called, such as `stress test`.

    Raises:
        OutputError: If it holds another one, or anything else.
    """
    path, text = out / PLAN_FILE, json.dumps(identity, indent=2) + "\n"
    is_other = path.exists() and path.read_text(encoding="utf-8") != text
    if is_other and (out / CELLS_FOLDER).exists():
        raise OutputError(
            f"{out} holds another {what} (see {path}); choose another folder with --out, or "
            "delete it"
        )
    if not path.exists() and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"{out} holds something else; choose another folder with --out")
    write_text_atomically(path, text)


def play_jobs(jobs: Sequence[WeighedJob], description: str) -> None:
    """Play what is left, with one bar for all of it; a single job is played in this process."""
    if not jobs:
        return
    weights = [job.weight for job in jobs]
    done = [0.0] * len(jobs)
    with progress_bar(description, sum(weights)) as show:

        def on_update(update: JobUpdate) -> None:
            done[update.job] = max(update.fraction * weights[update.job], done[update.job])
            show(round(sum(done)))

        def alone(stage: str, fraction: float, note: str = "") -> None:
            on_update(JobUpdate(0, stage, fraction, note))

        if len(jobs) == 1:
            jobs[0](alone)
        else:
            run_jobs(jobs, len(jobs), on_update)
