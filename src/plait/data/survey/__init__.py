"""A dataset as it stands, mistakes included: what can be read is read, the rest is written down.

Training reads through `data.lerobot`, which refuses what is wrong; an inspection has to see it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plait.data.lerobot.info import (
    ACTION_KEYS,
    STATE_KEYS,
    camera_keys,
    flat_names,
    numbers_key,
    read_info,
)
from plait.data.survey.rows import Rows, read_all_rows
from plait.data.survey.tables import EpisodeRecord, read_episodes, read_stats, read_task_texts
from plait.errors import DataError

__all__ = ["EpisodeRecord", "Rows", "Survey", "survey"]


@dataclass(frozen=True)
class Survey:
    """What was found in a dataset.

    Attributes:
        root: Its folder.
        info: What `meta/info.json` says.
        rows: All rows that could be read.
        episodes: What the table of the episodes says, by episode.
        tasks: Instructions by task index, as the table has them.
        stats: What the dataset's statistics say, by feature; empty where there are none.
        problems: What could not be read.
    """

    root: Path
    info: dict[str, Any]
    rows: Rows
    episodes: Mapping[int, EpisodeRecord]
    tasks: Mapping[int, str]
    stats: Mapping[str, Any]
    problems: tuple[DataError, ...]

    @property
    def fps(self) -> float:
        """Steps a second, as declared."""
        return float(self.info["fps"])

    @property
    def cameras(self) -> dict[str, str]:
        """Features that are cameras, by their short names; depth is no picture, and left out."""
        return dict(camera_keys(self.info["features"]))

    @property
    def state_key(self) -> str | None:
        """Feature of the state."""
        return numbers_key(self.info["features"], STATE_KEYS)

    @property
    def action_key(self) -> str:
        """Feature of the action."""
        return numbers_key(self.info["features"], ACTION_KEYS) or ACTION_KEYS[0]

    def declared_size(self, key: str) -> tuple[int, ...]:
        """Return the numbers of the declared shape of a camera, without the channels, sorted.

        The order of height and width is not fixed in the format, so it cannot be a mistake.
        """
        shape = self.info["features"][key].get("shape")
        if not isinstance(shape, list) or len(shape) != 3:
            return ()
        return tuple(sorted(shape[1:] if shape[0] in (1, 3) else shape[:2]))

    def dim_names(self, key: str) -> tuple[str, ...]:
        """Return what the dimensions of a feature are called; empty where the names do not fit."""
        flat = tuple(flat_names(self.info["features"][key].get("names")))
        return flat if len(flat) == self.rows.vectors[key].shape[1] else ()


def survey(root: Path) -> Survey:
    """Read all numbers and tables of a LeRobot dataset, of whatever layout.

    Raises:
        DataError: If `meta/info.json` cannot be used, or no row could be read.
    """
    info = read_info(root)
    problems: list[DataError] = []
    rows = read_all_rows(root, info, problems)
    if not len(rows):
        first = problems[0] if problems else DataError(root, "no row", "recorded steps")
        raise first
    return Survey(
        root,
        info,
        rows,
        read_episodes(root, info, problems),
        read_task_texts(root, info, problems),
        read_stats(root, problems),
        tuple(problems),
    )
