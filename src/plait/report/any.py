"""The page of whatever a command left in a folder: a comparison, a stress test, an alignment ..."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from plait.errors import DataError
from plait.report.alignment import write_alignment_report
from plait.report.evaluation import write_evaluation_report
from plait.report.inspection import write_inspection_report
from plait.report.open_loop import write_open_loop_report
from plait.report.page import write_report
from plait.report.stress import write_stress_report
from plait.report.transfer import write_transfer_report
from plait.results import SCHEMA_VERSION, Comparison
from plait.results.alignment import AlignmentResult
from plait.results.evaluation import EvaluationResult
from plait.results.inspection import InspectionResult
from plait.results.open_loop import OpenLoopComparison
from plait.results.stress import StressResult
from plait.results.transfer import TransferResult

Writer = Callable[[Path, Path], Path]
WRITERS: Mapping[type[Any], Writer] = {
    Comparison: write_report,
    OpenLoopComparison: write_open_loop_report,
    StressResult: write_stress_report,
    TransferResult: write_transfer_report,
    EvaluationResult: write_evaluation_report,
    InspectionResult: write_inspection_report,
    AlignmentResult: write_alignment_report,
}


def write_any_report(results_file: Path, output: Path) -> Path:
    """Write the page of a result, of whichever kind it is.

    Args:
        results_file: A command's `results.json`; what it names is beside it.
        output: Where the page goes; replaced whole or not at all.

    Returns:
        `output`.

    Raises:
        DataError: If the result is missing, unreadable or of no known kind.
        OutputError: If the page cannot be written.
    """
    return _writer(results_file)(results_file, output)


def _writer(results_file: Path) -> Writer:
    """Choose by the fields; what cannot be read at all is refused as a comparison would be."""
    try:
        data = json.loads(results_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return write_report
    if not isinstance(data, dict) or data.get("schema_version") != SCHEMA_VERSION:
        return write_report
    for kind, writer in WRITERS.items():
        if _required(kind) <= data.keys() <= {field.name for field in dataclasses.fields(kind)}:
            return writer
    kinds = ", ".join(kind.__name__ for kind in WRITERS)
    raise DataError(results_file, "the fields of no known result", f"one of {kinds}")


def _required(kind: type[Any]) -> set[str]:
    return {
        field.name
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
