"""The numbers of a LeRobot dataset: states, actions and tasks of all steps, checked as read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, Int64
from numpy import ndarray

from plait.data.lerobot.episodes import EpisodeTable, Span
from plait.data.lerobot.info import ACTION_KEYS, STATE_KEYS, numbers_key
from plait.data.lerobot.json_files import COPY_AGAIN
from plait.data.lerobot.tables import read_integers, read_matrix, read_table
from plait.errors import DataError

NO_TASK = -1


@dataclass(frozen=True)
class Numbers:
    """What is recorded at every step but the images.

    Attributes:
        proprio: Robot state; 0 where there is none.
        has_proprio: Whether there is one.
        action: Actions.
        task_index: As recorded; NO_TASK where there is none.
    """

    proprio: Float32[ndarray, "steps proprio_dim"]
    has_proprio: Bool[ndarray, " steps"]
    action: Float32[ndarray, "steps action_dim"]
    task_index: Int64[ndarray, " steps"]


def read_numbers(root: Path, features: dict[str, Any], episodes: EpisodeTable) -> Numbers:
    """Read the rows of all files.

    Raises:
        DataError: If a file is missing or damaged, or its rows are not those of its episodes.
    """
    keys = [numbers_key(features, names) or names[0] for names in (STATE_KEYS, ACTION_KEYS)]
    parts: list[tuple[ndarray, ...]] = []
    for span in episodes.data:
        assert span.path is not None
        table = _read_rows(span.path, keys, span, episodes)
        state, action = (
            read_matrix(span.path, table, key, features[key]["shape"][0]) for key in keys
        )
        if not action[1].all():
            found = f"{keys[1]} in row {action[1].argmin()} is null"
            raise DataError(span.path, found, "an action at every step", COPY_AGAIN)
        parts.append((*state, action[0], _task_column(span.path, table)))
    # One column after the other, each freed at once: a million steps are joined in little room.
    columns = list(zip(*parts, strict=True))
    parts.clear()
    numbers = Numbers(*(np.concatenate(columns.pop(0)) for _ in range(4)))
    _refuse_infinite(root, keys[0], numbers.proprio, episodes.bounds)
    _refuse_infinite(root, keys[1], numbers.action, episodes.bounds)
    return numbers


def _read_rows(path: Path, keys: list[str], span: Span, episodes: EpisodeTable) -> pa.Table:
    """Read the numbers of one data file and check that its rows are those of its episodes."""
    table = read_table(path, [*keys, "episode_index", "frame_index", "task_index"])
    indices, lengths = span.episodes, episodes.lengths[span.episodes.start : span.episodes.stop]
    if table.num_rows != lengths.sum():
        found = f"{table.num_rows} steps"
        expected = f"{lengths.sum()} of episodes {indices[0]} to {indices[-1]}"
        raise DataError(path, found, f"{expected}, as {episodes.path} says", COPY_AGAIN)
    firsts = np.cumsum(lengths) - lengths
    counted = {
        "episode_index": np.repeat(indices, lengths),
        "frame_index": np.arange(table.num_rows) - np.repeat(firsts, lengths),
    }
    for key, right in counted.items():
        column = read_integers(path, table, key)
        wrong = np.flatnonzero(column != right)
        if len(wrong):
            found = f"{key} {column[wrong[0]]} in row {wrong[0]}"
            raise DataError(path, found, f"{right[wrong[0]]}, as {episodes.path} says", COPY_AGAIN)
    return table


def _task_column(path: Path, table: pa.Table) -> Int64[ndarray, " rows"]:
    """Return which task each row names; a null is an instruction that was not recorded."""
    key = "task_index"
    column = table[key]
    if column.null_count and pa.types.is_integer(column.type):
        column = column.fill_null(NO_TASK)
    elif pa.types.is_null(column.type):
        return np.full(table.num_rows, NO_TASK, dtype=np.int64)
    return read_integers(path, pa.table({key: column}), key)


def _refuse_infinite(
    root: Path,
    key: str,
    values: Float32[ndarray, "steps dims"],
    bounds: Int64[ndarray, "episodes 2"],
) -> None:
    """Refuse numbers that are not finite, naming the first one's episode and step."""
    bad = np.argwhere(~np.isfinite(values))
    if not len(bad):
        return
    step, dim = bad[0]
    episode = int(np.searchsorted(bounds[:, 1], step, side="right"))
    where = f"episode {episode}, step {step - bounds[episode, 0]}: {key}[{dim}]"
    todo = f"{len(bad)} numbers of {key} are like that; remove these episodes"
    raise DataError(root, f"{where} is {values[step, dim]}", "a finite number", todo)


def number_tasks(
    path: Path, rows: list[tuple[int, Any]], task_index: Int64[ndarray, " steps"]
) -> tuple[tuple[str, ...], Int64[ndarray, " steps"]]:
    """Return the instructions, and which of them each step has.

    They are numbered anew, in the order of the indices: those may have gaps of any size.

    Args:
        path: The list of the tasks, for messages.
        rows: Its rows of index and text; no text, or an empty one, is an instruction that was not
            recorded.
        task_index: What the steps name.

    Raises:
        DataError: If a step names no task, or an index stands for two.
    """
    texts: dict[int, str] = {}
    for index, text in rows:
        if text is not None and not isinstance(text, str):
            found = f"task {index} as a {type(text).__name__}"
            raise DataError(path, found, "its text", COPY_AGAIN)
        if index in texts:
            raise DataError(path, f"task {index} twice", "one text a task", COPY_AGAIN)
        texts[index] = text if text and text.strip() else ""
    named = np.unique(task_index).tolist()
    if NO_TASK in named:
        texts.setdefault(NO_TASK, "")
    missing = [index for index in named if index not in texts]
    if missing:
        found = f"no task {missing[0]}"
        raise DataError(path, found, "every task that the steps name", COPY_AGAIN)
    order = sorted(texts)
    return tuple(texts[index] for index in order), np.searchsorted(order, task_index)
