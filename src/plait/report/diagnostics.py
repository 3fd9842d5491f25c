"""What the strategies show of themselves, gathered over arms and training seeds.

Bars of the same name are put side by side, averaged over seeds; heat maps are shown for the first
run that has them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from plait.errors import DataError
from plait.report import media, text
from plait.results import Diagnostic, RunResult

Grid = Sequence[Sequence[float]]


@dataclass(frozen=True, kw_only=True)
class Bars:
    """A table of small bars: a row an arm, a column a label; None where an arm has no such bar."""

    title: str
    note: str
    labels: Sequence[str]
    rows: Mapping[str, Sequence[float | None]]
    largest: float


@dataclass(frozen=True, kw_only=True)
class HeatMap:
    """One map: what for (a word), the lit picture, how concentrated it is."""

    label: str
    picture: str
    concentration: float


@dataclass(frozen=True, kw_only=True)
class HeatMaps:
    """The maps of one run over one picture."""

    arm: str
    title: str
    note: str
    original: str
    maps: Sequence[HeatMap]


def gather_bars(runs: Sequence[RunResult], arms: Sequence[str]) -> list[Bars]:
    """Put bars of the same name together; arms in the order given."""
    names = dict.fromkeys(d.name for run in runs for d in run.diagnostics if d.kind == "bars")
    return [_bars(name, runs, arms) for name in names]


def gather_heat_maps(runs: Sequence[tuple[RunResult, Path]]) -> list[HeatMaps]:
    """Light the pictures of every heat map; of several training seeds, the first alone.

    Args:
        runs: Results with their folders.

    Raises:
        DataError: If a picture is missing or unreadable, or a grid is none.
    """
    shown: dict[tuple[str, str], HeatMaps] = {}
    for run, folder in runs:
        for diagnostic in run.diagnostics:
            key = (run.arm, diagnostic.name)
            if diagnostic.kind == "heatmap" and diagnostic.image is not None and key not in shown:
                shown[key] = _heat_maps(run.arm, diagnostic, folder)
    return list(shown.values())


def _bars(name: str, runs: Sequence[RunResult], arms: Sequence[str]) -> Bars:
    found = [(run.arm, d) for run in runs for d in run.diagnostics if d.name == name]
    labels = list(dict.fromkeys(label for _, d in found for label in d.labels))
    rows: dict[str, list[float | None]] = {}
    for arm in arms:
        mine = [dict(zip(d.labels, d.values, strict=False)) for a, d in found if a == arm]
        if mine:
            columns = [[float(bars[label]) for bars in mine if label in bars] for label in labels]
            rows[arm] = [fmean(column) if column else None for column in columns]
    values = [abs(value) for row in rows.values() for value in row if value is not None]
    return Bars(
        title=text.words(name),
        note=found[0][1].note,
        labels=[text.words(label) for label in labels],
        rows=rows,
        largest=max(values, default=0.0) or 1.0,
    )


def _heat_maps(arm: str, diagnostic: Diagnostic, folder: Path) -> HeatMaps:
    image = media.load_image(folder, str(diagnostic.image))
    maps = []
    for label, grid in zip(diagnostic.labels, diagnostic.values, strict=False):
        grid = _grid(grid, diagnostic, folder)
        maps.append(
            HeatMap(
                label=label,
                picture=media.spotlight(image, grid),
                concentration=media.concentration(grid),
            )
        )
    return HeatMaps(
        arm=arm,
        title=text.words(diagnostic.name),
        note=diagnostic.note,
        original=media.plain(image),
        maps=maps,
    )


def _grid(values: object, diagnostic: Diagnostic, folder: Path) -> Grid:
    try:
        rows = [[float(value) for value in row] for row in values]  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        rows = []
    widths = {len(row) for row in rows}
    if len(widths) != 1 or 0 in widths:
        raise DataError(
            folder,
            f"the heat map {diagnostic.name!r} is no grid",
            "rows of numbers, all of the same length",
        )
    return rows
