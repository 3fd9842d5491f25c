"""Does every camera show something, and does it move when the robot does?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float, Int64, UInt8
from numpy import ndarray
from PIL import Image

from plait.data.survey import Rows
from plait.evaluation.inspection.stretches import ranges
from plait.results.inspection import ERROR, NOTE, WARNING, Finding
from plait.wording import counted, few, some

GRID = 16
NUM_CELLS = 3 * GRID**2
# Grey levels of 255 up to which a frame is black, and has nothing on it.
BLACK, BLANK = 8.0, 2.0
# Grey levels by which no cell of two frames differs that are the same but for compression.
SAME = 1.0
# Share of its range by which a dimension of the state moves before a picture must change.
MOVED = 0.1
# Share of the looked-at frames, and of the episodes, from which on a camera is at fault as a whole.
NEARLY_ALL, HALF = 0.9, 0.5


@dataclass(frozen=True)
class Views:
    """Frames of one camera that were looked at, in the order of episodes and steps.

    Attributes:
        episodes: Episode of each.
        steps: Its step there.
        cells: Mean level of each channel in each cell of a coarse grid, of 255.
        brightness: Mean level.
        contrast: Standard deviation of the levels, in the channel where it is largest.
        sizes: Height and width of each in pixels.
        missing: Episodes of frames that could not be decoded.
        absent: Episodes in which the camera was not recorded, as the dataset says.
    """

    episodes: Int64[ndarray, " frames"]
    steps: Int64[ndarray, " frames"]
    cells: Float[ndarray, "frames cells"]
    brightness: Float[ndarray, " frames"]
    contrast: Float[ndarray, " frames"]
    sizes: tuple[tuple[int, int], ...]
    missing: tuple[int, ...] = ()
    absent: tuple[int, ...] = ()

    @property
    def is_black(self) -> Bool[ndarray, " frames"]:
        """Whether a frame is black all over."""
        return (self.brightness < BLACK) & (self.contrast < BLACK)

    @property
    def is_blank(self) -> Bool[ndarray, " frames"]:
        """Whether a frame is of one colour, and not black."""
        return (self.contrast < BLANK) & ~self.is_black


def describe_frame(
    image: UInt8[ndarray, "height width_px 3"],
) -> tuple[Float[ndarray, " cells"], float, float]:
    """Return the levels on a coarse grid, their mean, and the largest deviation of a channel."""
    levels = image.reshape(-1, 3)
    # One channel after the other, so that a picture of two colours of one brightness is seen.
    cells = np.stack([_coarse(image[..., channel]) for channel in range(3)])
    return cells.ravel(), float(levels.mean()), float(levels.std(axis=0).max())


def _coarse(channel: UInt8[ndarray, "height width_px"]) -> Float[ndarray, "rows columns"]:
    picture = Image.fromarray(channel).convert("F")
    return np.asarray(picture.resize((GRID, GRID), Image.Resampling.BOX))


def check_camera(
    camera: str,
    views: Views,
    rows: Rows,
    state: str | None,
    declared: tuple[int, ...] = (),
) -> Iterator[Finding]:
    """Check one camera.

    Args:
        camera: Its name.
        views: Frames that were looked at.
        rows: The numbers, for whether the robot moved.
        state: Feature that tells so: the state or, without one, the action.
        declared: Height and width that `info.json` says, the smaller first; empty if it does not.
    """
    where = f"camera {camera}"
    if views.missing:
        yield Finding(
            severity=ERROR,
            where=f"{where}, {some('episode', sorted(set(views.missing)))}",
            found=f"Of the frames looked at, {len(views.missing):,} could not be decoded.",
            todo="Leave these episodes out, or copy the files again.",
        )
    if views.absent:
        yield Finding(
            severity=NOTE,
            where=f"{where}, {some('episode', views.absent)}",
            found=f"Not recorded in {counted(len(views.absent), 'episode')} of those looked at.",
            todo="Nothing: Plait masks a camera where it is absent.",
        )
    if not len(views.episodes):
        return
    sizes = sorted(set(views.sizes))
    if len(sizes) > 1 or (declared and tuple(sorted(sizes[0])) != declared):
        found = few([f"{height}×{width}" for height, width in sizes])
        yield Finding(
            severity=WARNING,
            where=where,
            found=f"Frames are {found} pixels"
            + (f"; declared are {declared[0]}×{declared[1]}." if declared else "."),
            todo="Correct the shape in meta/info.json, or resize the frames to one size.",
        )
    yield from _check_dark(where, views, views.is_black, "black")
    yield from _check_dark(where, views, views.is_blank, "of a single colour")
    if not (views.is_black | views.is_blank).mean() >= NEARLY_ALL:
        yield from _check_frozen(where, views, rows, state)


def _check_dark(
    where: str, views: Views, dark: Bool[ndarray, " frames"], word: str
) -> Iterator[Finding]:
    if not dark.any():
        return
    episodes = np.unique(views.episodes[dark]).tolist()
    if dark.mean() >= NEARLY_ALL:
        yield Finding(
            severity=ERROR,
            where=where,
            found=f"{int(dark.sum())} of {counted(len(dark), 'frame')} looked at are {word}: it "
            "shows nothing.",
            todo="Leave it out of training: name the others with --cameras.",
        )
        return
    yield Finding(
        severity=WARNING,
        where=f"{where}, {some('episode', episodes)}",
        found=f"{int(dark.sum())} of {counted(len(dark), 'frame')} looked at are {word}, in "
        f"{counted(len(episodes), 'episode')}.",
        todo="Look at the contact sheet; leave the episodes out if the camera had failed.",
    )


def _check_frozen(where: str, views: Views, rows: Rows, state: str | None) -> Iterator[Finding]:
    if state is None:
        return
    judged, frozen = 0, []
    for episode, moving, same in _pairs(views, rows, state):
        judged += int(moving.sum()) >= 2
        if moving.sum() >= 2 and (same & moving).sum() >= HALF * moving.sum():
            frozen.append(episode)
    if frozen:
        is_whole = len(frozen) >= HALF * judged
        yield Finding(
            severity=ERROR if is_whole else WARNING,
            where=where if is_whole else f"{where}, {some('episode', frozen)}",
            found=f"Frozen in {len(frozen)} of {counted(judged, 'episode')} in which the robot "
            "moves: frames seconds apart are the same picture.",
            todo="Leave the camera out of training."
            if is_whole
            else "Leave these episodes out: what is seen there has nothing to do with the state.",
        )


def _pairs(
    views: Views, rows: Rows, state: str
) -> Iterator[tuple[int, Bool[ndarray, " pairs"], Bool[ndarray, " pairs"]]]:
    """For each episode: between which neighbouring frames the robot moved, which are the same."""
    values = rows.vectors[state]
    scale = ranges(values)
    for episode in np.unique(views.episodes):
        mine = views.episodes == episode
        start = rows.bounds[np.searchsorted(rows.episodes, episode), 0]
        at = values[start + views.steps[mine]][:, scale > 0] / scale[scale > 0]
        # A state that is missing has not moved: NaN is above nothing.
        moving = (np.abs(np.diff(at, axis=0)) > MOVED).any(axis=1)
        # What is dark is found as that.
        shows = ~(views.is_black | views.is_blank)[mine]
        moving &= shows[:-1] & shows[1:]
        same = (np.abs(np.diff(views.cells[mine], axis=0)) <= SAME).all(axis=1)
        yield int(episode), moving, same


def check_same_picture(views: Mapping[str, Views]) -> Iterator[Finding]:
    """Look for two cameras that show the same."""
    for (first, a), (second, b) in combinations(views.items(), 2):
        if len(a.cells) != len(b.cells) or not len(a.cells) or not _show(a, b):
            continue
        if (np.abs(a.cells - b.cells) <= SAME).all(axis=1).mean() >= NEARLY_ALL:
            yield Finding(
                severity=WARNING,
                where=f"cameras {first} and {second}",
                found="Both show the same picture.",
                todo="Leave one of them out: it costs time and tells nothing.",
            )


def _show(*cameras: Views) -> bool:
    return all((view.is_black | view.is_blank).mean() < HALF for view in cameras)


def check_any_camera(cameras: Sequence[str]) -> Iterator[Finding]:
    """Say where there is nothing to see."""
    if not cameras:
        yield Finding(
            severity=NOTE,
            where="meta/info.json",
            found="The dataset has no camera.",
            todo="Nothing, if it is meant for policies without vision.",
        )
