"""Metrics to a JSON-lines file, and to TensorBoard where it is asked for."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plait.errors import OutputError, PlaitError


class MetricsLog:
    """Appends one JSON object a step; lines past the resumed step are dropped first.

    Args:
        path: The `.jsonl` file.
        resume_step: Steps already done; later lines of an interrupted run are redone.
        tensorboard: Also write TensorBoard event files beside it.

    Raises:
        OutputError: If the file cannot be written.
        PlaitError: If TensorBoard is asked for but not installed.
    """

    def __init__(self, path: Path, *, resume_step: int = 0, tensorboard: bool = False) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            kept = _lines_before(path, resume_step)
            self._file = path.open("w", encoding="utf-8")
            self._file.writelines(kept)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}") from error
        self._writer: Any = _tensorboard_writer(path.parent) if tensorboard else None

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Record the values of one step."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

    def flush(self) -> None:
        """Hand everything written so far to the operating system."""
        self._file.flush()

    def __enter__(self) -> "MetricsLog":
        """Use as a context that closes the file."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file and the event writer."""
        self._file.close()
        if self._writer is not None:
            self._writer.close()


def _lines_before(path: Path, step: int) -> list[str]:
    if not path.exists():
        return []
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            if line.endswith("\n") and json.loads(line)["step"] <= step:
                kept.append(line)
        except (json.JSONDecodeError, KeyError):
            continue  # the torn last line of a killed run
    return kept


def _tensorboard_writer(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise PlaitError(
            "TensorBoard is not installed; install it with: pip install 'plait[track]'"
        ) from error
    return SummaryWriter(str(folder / "tensorboard"))
