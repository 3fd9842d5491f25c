"""What may be done to an episode on its way, each only where it is asked for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from plait.data.episode import EpisodeData
from plait.errors import DataError, UnknownNameError, require_at_least_one

ORIENTATIONS: Mapping[str, Callable[[ndarray], ndarray]] = {
    "raw": lambda frames: frames,
    # What OpenVLA, openpi and GR00T do to LIBERO's images; it also mirrors them.
    "rot180": lambda frames: frames[:, ::-1, ::-1],
    # What undoes the upside-down rows of OpenGL.
    "vflip": lambda frames: frames[:, ::-1],
}


@dataclass(frozen=True, kw_only=True)
class Adjustments:
    """What is changed; nothing by default.

    Attributes:
        orientation: How images are turned: `raw`, `rot180` or `vflip`.
        shift_observations: Whether each action goes with the observation before it, for sources
            that store what an action led to; the first action and the last observation go.
        drop_first: Whether the first step of every episode is left out.
        image_size: Height and width to average images down to in pixels; as they are where None.
        swap_colors: Whether red and blue change places, for sources that hold BGR.

    Raises:
        UnknownNameError: If there is no such orientation.
        OptionError: If the size is below 1.
    """

    orientation: str = "raw"
    shift_observations: bool = False
    drop_first: bool = False
    image_size: int | None = None
    swap_colors: bool = False

    def __post_init__(self) -> None:
        if self.orientation not in ORIENTATIONS:
            raise UnknownNameError("orientation", self.orientation, ORIENTATIONS)
        if self.image_size is not None:
            require_at_least_one("image size", self.image_size)

    def __call__(self, episode: EpisodeData, where: str) -> EpisodeData:
        """Adjust an episode.

        Raises:
            DataError: If no step is left.
        """
        if self.drop_first:
            episode = _cut(episode, slice(1, None), slice(1, None))
        if self.shift_observations:
            episode = _cut(episode, slice(None, -1), slice(1, None))
        if not len(episode.action):
            raise DataError(where, "no step is left after the adjustments", "longer episodes")
        images = {camera: self._picture(frames) for camera, frames in episode.images.items()}
        return replace(episode, images=images)

    def _picture(
        self, frames: UInt8[ndarray, "steps height width_px 3"]
    ) -> UInt8[ndarray, "steps new_height new_width 3"]:
        frames = ORIENTATIONS[self.orientation](frames)
        if self.swap_colors:
            frames = frames[..., ::-1]
        return _resized(np.ascontiguousarray(frames), self.image_size)


def _cut(episode: EpisodeData, observed: slice, acted: slice) -> EpisodeData:
    """Keep some observations and some actions; what follows an action goes with it."""
    return replace(
        episode,
        images={camera: frames[observed] for camera, frames in episode.images.items()},
        proprio=episode.proprio[observed],
        action=episode.action[acted],
        extras={key: values[acted] for key, values in episode.extras.items()},
    )


def _resized(
    frames: UInt8[ndarray, "steps height width_px 3"], size: int | None
) -> UInt8[ndarray, "steps new_height new_width 3"]:
    if size is None or frames.shape[1:3] == (size, size):
        return frames
    box = Image.Resampling.BOX
    pictures = (Image.fromarray(frame).resize((size, size), box) for frame in frames)
    return np.stack([np.asarray(picture) for picture in pictures])
