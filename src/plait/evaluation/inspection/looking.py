"""Look at some frames of every camera: what the checks need, and the contact sheet."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from plait.data.survey import Survey
from plait.data.survey.frames import Wanted, choose_frames, read_frames
from plait.errors import DataError, OptionError, require_at_least_one
from plait.evaluation.files import write_bytes_atomically
from plait.evaluation.inspection.cameras import NUM_CELLS, Views, describe_frame
from plait.evaluation.inspection.contact_sheet import encode_strip, thumbnail
from plait.results.inspection import CameraSummary, Strip

FOLDER = "frames"
# What the page shows: so many episodes, so many frames of each.
NUM_STRIPS, STRIP_FRAMES = 6, 6


@dataclass(frozen=True, kw_only=True)
class LookSettings:
    """How many frames are looked at.

    Attributes:
        num_episodes: Episodes of each camera at most, evenly spread; 0 for all.
        num_frames: Frames of each of these.
    """

    num_episodes: int = 24
    num_frames: int = 8

    def check(self) -> None:
        """Refuse numbers out of range.

        Raises:
            OptionError: Naming the number.
        """
        require_at_least_one("number of frames", self.num_frames)
        if self.num_episodes < 0:
            raise OptionError(
                f"the number of episodes to see is {self.num_episodes}, but must be 0 (all) or more"
            )


@dataclass(frozen=True)
class Seen:
    """What was seen of a camera.

    Attributes:
        views: What the checks need.
        thumbnails: Small frames, by episode.
    """

    views: Views
    thumbnails: dict[int, list[UInt8[ndarray, "height width_px 3"]]]


def look(
    survey: Survey,
    key: str,
    settings: LookSettings,
    problems: list[DataError],
    on_frame: Callable[[], None] = lambda: None,
) -> Seen:
    """Decode the chosen frames of a camera once, and keep what is small of them.

    Args:
        survey: The dataset.
        key: Feature of the camera.
        settings: How many frames.
        problems: Takes what could not be read.
        on_frame: Called after each frame.
    """
    wanted = choose_frames(survey, settings.num_episodes, settings.num_frames)
    found: dict[tuple[int, int], tuple[Float[ndarray, " cells"], float, float]] = {}
    sizes: dict[tuple[int, int], tuple[int, ...]] = {}
    missing, absent = list[int](), list[int]()
    small: dict[tuple[int, int], UInt8[ndarray, "height width_px 3"]] = {}
    for frame in read_frames(survey, key, wanted, problems):
        on_frame()
        if frame.image is None:
            (missing if frame.is_recorded else absent).append(frame.episode)
            continue
        place = frame.episode, frame.step
        found[place] = describe_frame(frame.image)
        small[place], sizes[place] = thumbnail(frame.image), frame.image.shape[:2]
    places = sorted(found)
    views = Views(
        np.array([episode for episode, _ in places], dtype=np.int64),
        np.array([step for _, step in places], dtype=np.int64),
        np.array([found[place][0] for place in places]).reshape(len(places), NUM_CELLS),
        np.array([found[place][1] for place in places], dtype=np.float64),
        np.array([found[place][2] for place in places], dtype=np.float64),
        tuple((int(sizes[place][0]), int(sizes[place][1])) for place in places),
        tuple(missing),
        tuple(sorted(set(absent))),
    )
    thumbnails: dict[int, list[UInt8[ndarray, "height width_px 3"]]] = {}
    for place in places:
        thumbnails.setdefault(place[0], []).append(small[place])
    return Seen(views, thumbnails)


def first_frames(
    survey: Survey, key: str, episodes: list[int], problems: list[DataError]
) -> dict[int, Float[ndarray, " cells"]]:
    """Return the first frame of some episodes on a coarse grid, where it can be decoded."""
    starts = dict(
        zip(survey.rows.episodes.tolist(), survey.rows.bounds[:, 0].tolist(), strict=True)
    )
    wanted = [Wanted(episode, 0, starts[episode]) for episode in episodes]
    return {
        frame.episode: describe_frame(frame.image)[0]
        for frame in read_frames(survey, key, wanted, problems)
        if frame.image is not None
    }


def summarise(
    survey: Survey, camera: str, number: int, seen: Seen, out: Path | None
) -> CameraSummary:
    """Describe a camera and write its contact sheet.

    Args:
        survey: The dataset.
        camera: Its short name.
        number: Its place among the cameras: names may hold what a file's name must not.
        seen: What was seen of it.
        out: Folder of the result; no sheet where None.

    Raises:
        OutputError: If the folder cannot be written.
    """
    views = seen.views
    height, width = views.sizes[0] if views.sizes else (0, 0)
    return CameraSummary(
        camera=camera,
        storage=str(survey.info["features"][survey.cameras[camera]]["dtype"]),
        height=height,
        width=width,
        num_frames=len(views.episodes),
        num_episodes=len(seen.thumbnails),
        brightness=float(views.brightness.mean()) if len(views.episodes) else 0.0,
        contrast=float(views.contrast.mean()) if len(views.episodes) else 0.0,
        strips=() if out is None else _strips(number, seen, out),
    )


def _strips(number: int, seen: Seen, out: Path) -> tuple[Strip, ...]:
    episodes = _spread(list(seen.thumbnails), NUM_STRIPS)
    strips = []
    for episode in episodes:
        file = f"{FOLDER}/camera_{number}_episode_{episode}.webp"
        shown = _spread(seen.thumbnails[episode], STRIP_FRAMES)
        write_bytes_atomically(out / file, encode_strip(shown))
        strips.append(Strip(episode=episode, file=file))
    return tuple(strips)


def _spread(items: list, number: int) -> list:  # type: ignore[type-arg]
    steps = np.linspace(0, len(items) - 1, min(number, len(items))).round().astype(int)
    return [items[step] for step in steps]
