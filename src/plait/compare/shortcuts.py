"""What `plait inspect --shortcuts` does: measure, judge, and write the result where wanted."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import RenderableType

from plait.compare.console import progress_bar
from plait.compare.demonstrations import describe_dataset
from plait.compare.features import bar_when_needed
from plait.data.dataset import Demonstrations
from plait.errors import OptionError
from plait.evaluation.scenes import GRID
from plait.evaluation.shortcuts import ShortcutSettings, measure_shortcuts, work_of
from plait.report.shortcuts import (
    actions_table,
    conclude_shortcuts,
    judge_shortcuts,
    prediction_table,
)
from plait.results import describe_machine, save_result
from plait.results.shortcuts import ShortcutsResult

RESULTS_FILE = "results.json"
# One pixel a cell of the grid that scenes are compared by.
SMALLEST_IMAGE = GRID


def inspect_shortcuts(
    path: Path,
    settings: ShortcutSettings,
    *,
    cameras: Sequence[str] | None = None,
    image_size: int = 64,
    out: Path | None = None,
    command: str = "plait.compare.shortcuts.inspect_shortcuts(...)",
) -> ShortcutsResult:
    """Measure whether a policy trained on a dataset can ignore its instruction.

    Args:
        path: Folder of a LeRobot dataset.
        settings: How much is looked at.
        cameras: Cameras to read; all where None.
        image_size: Height and width to resize to in pixels.
        out: Folder to write `results.json` to; nothing is written where None.
        command: What was typed, for the record.

    Raises:
        PlaitError: Of the dataset, the options or the output folder.
    """
    start = time.monotonic()
    settings.check()
    if image_size < SMALLEST_IMAGE:
        raise OptionError(
            f"the image size is {image_size}, but must be at least {SMALLEST_IMAGE} pixels for "
            "scenes to be told apart"
        )
    with bar_when_needed("decode images") as show:
        data = Demonstrations.open(path, cameras=cameras, image_size=image_size, on_progress=show)
    total = work_of(settings)
    with progress_bar("look for shortcuts", total) as show_steps:
        done = 0

        def on_step() -> None:
            nonlocal done
            done += 1
            show_steps(done)

        measures = measure_shortcuts(data, settings, on_step)
        # With one instruction there is less to train; the bar still ends full.
        show_steps(total)
    result = ShortcutsResult(
        command=command,
        dataset=describe_dataset(str(path), data, is_recorded_here=False),
        measures=measures,
        verdict=judge_shortcuts(measures),
        findings=tuple(conclude_shortcuts(measures)),
        settings=asdict(settings) | {"cameras": list(data.cameras), "image_size": image_size},
        total_seconds=time.monotonic() - start,
        machine=describe_machine(),
    )
    if out is not None:
        save_result(out / RESULTS_FILE, result)
    return result


def shortcuts_lines(result: ShortcutsResult) -> list[RenderableType]:
    """Return what a person is shown: the tables that have rows, the findings, the verdict."""
    measures = result.measures
    tables = [prediction_table(measures)] if measures.prediction.probes else []
    if measures.actions:
        tables.append(actions_table(measures))
    return [*tables, *(f"• {finding}" for finding in result.findings), result.verdict.sentence]
