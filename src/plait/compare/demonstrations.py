"""Demonstrations of the scripted expert, recorded with a progress bar."""

from pathlib import Path
from typing import Any

from plait.compare.console import progress_bar
from plait.data.record import record
from plait.envs.demonstrate import ExpertEpisodes


def record_demonstrations(
    env: str,
    root: Path,
    *,
    num_episodes: int,
    noise: float,
    cameras: tuple[str, ...],
    image_size: int = 64,
    storage: str = "image",
    seed: int = 0,
    num_workers: int | None = None,
) -> dict[str, Any]:
    """Record the expert of a tabletop suite into a LeRobot v3 dataset and summarise it."""
    raise NotImplementedError
