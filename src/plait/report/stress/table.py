"""The tables of a stress test for the terminal, and their rows for the page."""

from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from plait.report import text
from plait.report.stress.reading import (
    MEASURES,
    change_text,
    clean_of,
    corruptions,
    interval_text,
    is_worse,
    missing_modalities,
    missing_name,
    missing_scores,
    severities,
    share,
    value_text,
)
from plait.results.stress import Loop, Score, StressResult


def stress_table(result: StressResult) -> list[Table]:
    """Lay out each loop: corruptions by severity, then what is left without senses."""
    return [_table(result, loop) for loop in (result.closed, result.open) if loop is not None]


def _table(result: StressResult, loop: Loop) -> Table:
    where = result.env if loop.trivial is None else result.dataset and result.dataset.path
    title = f"{MEASURES[loop.loop]} of {result.policy} on {where}"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, title=Text(title))
    table.title_justify = "left"
    table.add_column("condition", no_wrap=True)
    played = severities(loop)
    for heading in ("clean", *map(str, played), "kept"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_row("clean", value_text(clean_of(loop), loop), *[""] * (len(played) + 1))
    for group in heat_groups(loop):
        for row in group["rows"]:
            cells = [cell["value"] if cell else "" for cell in row["cells"]]
            table.add_row(Text(row["name"]), "", *cells, row["relative"])
    for score in missing_scores(loop):
        table.add_row(
            Text(missing_name(score.condition)), value_text(score, loop), *[""] * (len(played) + 1)
        )
    return table


def heat_groups(loop: Loop) -> list[dict[str, Any]]:
    """Return the heat map: modalities of corruptions of cells, one a severity."""
    summary = {each.name: each for each in loop.robustness}
    groups = []
    for modality, found in corruptions(loop).items():
        rows = []
        for name, scores in found.items():
            by_severity = {score.condition.severity: score for score in scores}
            each = summary.get(name)
            rows.append(
                {
                    "name": name,
                    "cells": [_cell(by_severity.get(s), loop) for s in severities(loop)],
                    "relative": _or_dash(None if each is None else each.relative),
                    "effective": text.DASH
                    if each is None or each.effective is None
                    else f"{each.effective:+.2f}".replace("-", text.MINUS),
                }
            )
        groups.append({"modality": modality, "rows": rows})
    return groups


def _or_dash(value: float | None) -> str:
    return text.DASH if value is None else text.percent(value)


def _cell(score: Score | None, loop: Loop) -> dict[str, Any] | None:
    if score is None:
        return None
    return {
        "value": value_text(score, loop),
        "interval": "" if score.value is None else interval_text(score.low, score.high, loop),
        "share": round(share(score, loop), 4),
        "is_worse": is_worse(score, loop),
        "is_refused": score.value is None,
    }


def lattice_rows(loop: Loop) -> list[dict[str, Any]]:
    """Return the subsets of modalities, all first: what is there, and what is left."""
    modalities = missing_modalities(loop)
    rows = []
    for score in (clean_of(loop), *missing_scores(loop)):
        gone = score.condition.missing
        label = missing_name(score.condition) if score is not clean_of(loop) else "everything"
        rows.append(
            {
                "name": label,
                "present": [name not in gone for name in modalities],
                "is_camera": score.condition.kind == "camera",
                "value": value_text(score, loop),
                "interval": interval_text(score.low, score.high, loop),
                "change": change_text(score, loop) if score is not clean_of(loop) else "",
                "is_worse": is_worse(score, loop),
            }
        )
    return rows
