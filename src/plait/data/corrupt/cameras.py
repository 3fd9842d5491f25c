"""Corruptions of the cameras themselves: moved, turned, gone, frozen, late."""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from plait.data.corrupt.base import Draws, SensorDelay, StatelessCorruption, generator
from plait.data.corrupt.images import ImageCorruption, Images, choose_cameras, to_pixels
from plait.data.corrupt.raw import RawObservation
from plait.types import VISION, Observation


class _Moved(ImageCorruption):
    """Every pixel shows what another place of the image showed; beyond the border, the border."""

    def change(self, images: Images, draws: Draws) -> Images:
        """Interpolate bilinearly between the four nearest pixels."""
        height, width_px = images.shape[-2:]
        # Pixels from the centre of the image, which lies between pixels where the size is even.
        down = torch.arange(height, dtype=torch.float64).view(1, -1, 1) - (height - 1) / 2
        right = torch.arange(width_px, dtype=torch.float64).view(1, 1, -1) - (width_px - 1) / 2
        down, right = torch.broadcast_tensors(*self.sources(down, right, draws))
        grid = torch.stack([right * 2 / width_px, down * 2 / height], dim=-1)
        moved = F.grid_sample(
            images.flatten(1, 2).float(),
            grid.to(images.device, torch.float32),
            padding_mode="border",
            align_corners=False,
        )
        return to_pixels(moved).view(images.shape)

    @abstractmethod
    def sources(
        self, down: Float[Tensor, "1 height 1"], right: Float[Tensor, "1 1 width_px"], draws: Draws
    ) -> tuple[Float[Tensor, "batch _ _"], Float[Tensor, "batch _ _"]]:
        """Return which places are shown at these, in pixels from the centre."""


@dataclass(frozen=True)
class CameraShift(_Moved):
    """A camera that was knocked: the image is shifted, in one direction through the episode."""

    name = "camera_shift"
    keeps = "Sizes, angles and how things lie to one another; not where they are in the image."
    measure = "share of the image's smaller side"
    strengths = (0.02, 0.04, 0.07, 0.1, 0.15)

    def sources(self, down: Tensor, right: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Shift in a direction of each sample's own."""
        distance = self.strength * min(down.shape[1], right.shape[2])
        angle = draws.per_episode(lambda rng: rng.random()).view(-1, 1, 1) * 2 * math.pi
        return down + distance * angle.sin(), right + distance * angle.cos()


@dataclass(frozen=True)
class CameraRotation(_Moved):
    """A camera that was twisted: the image turns about its centre, one way through the episode."""

    name = "camera_rotation"
    keeps = "Sizes, distances and the centre of the image; not where things are around it."
    measure = "degrees, either way"
    strengths = (2, 5, 8, 12, 20)

    def sources(self, down: Tensor, right: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Turn to a side of each sample's own."""
        angle = math.radians(self.strength)
        side = draws.per_episode(lambda rng: rng.choice([-1.0, 1.0])).view(-1, 1, 1)
        sine, cosine = side * math.sin(angle), math.cos(angle)
        return cosine * down + sine * right, cosine * right - sine * down


@dataclass(frozen=True)
class DroppedCamera(StatelessCorruption):
    """One camera, the same through an episode, is absent in some steps.

    `camera_mask` says so, and its image is black in case a policy ignores its mask.

    Args:
        severity: 1 to 5.
        cameras: Which cameras may be the one; all if empty.
    """

    name = "dropped_camera"
    modality = VISION
    keeps = "The other cameras, and the images that do arrive."
    measure = "share of the steps"
    strengths = (0.1, 0.25, 0.5, 0.75, 1.0)
    cameras: Sequence[str] = field(default=(), kw_only=True)

    def corrupt(self, observation: Observation, draws: Draws) -> Observation:
        """Mask and blacken one camera of some samples."""
        # Sorted, so that the one drawn does not depend on the order in which they come.
        cameras = sorted(choose_cameras(self.cameras, observation.images))
        drawn = draws.per_episode(lambda rng: rng.integers(len(cameras)))
        is_out = draws.per_step(lambda rng: rng.random()) < self.strength
        images, masks = dict(observation.images), dict(observation.camera_mask)
        for index, camera in enumerate(cameras):
            is_gone = (is_out & (drawn == index)).to(masks[camera].device)
            masks[camera] = masks[camera] & ~is_gone
            images[camera] = images[camera].masked_fill(is_gone.view(-1, 1, 1, 1, 1), 0)
        return replace(observation, images=images, camera_mask=masks, features={})


@dataclass(frozen=True)
class _CameraDelay(SensorDelay):
    """Images from earlier steps.

    Args:
        severity: 1 to 5.
        cameras: Which cameras are hit; all if empty.
    """

    modality = VISION
    cameras: Sequence[str] = field(default=(), kw_only=True)

    def readings(self, observation: RawObservation) -> Mapping[str, ndarray]:
        """Return the images of the chosen cameras."""
        images = observation["images"]
        return {camera: images[camera] for camera in choose_cameras(self.cameras, images)}

    def with_readings(
        self, observation: RawObservation, readings: Mapping[str, ndarray]
    ) -> RawObservation:
        """Replace the images of the chosen cameras."""
        return {**observation, "images": {**observation["images"], **readings}}


@dataclass(frozen=True)
class Latency(_CameraDelay):
    """Images arrive some steps late; before there is any, the episode's first is shown."""

    name = "latency"
    keeps = "Every image and their order."
    measure = "control steps"
    strengths = (1, 2, 3, 5, 8)

    def shown_step(self, step: int, seed: int, sensor: str) -> int:
        """Look back by the delay."""
        del seed, sensor
        return max(step - int(self.strength), 0)


@dataclass(frozen=True)
class FrozenFrame(_CameraDelay):
    """The video hangs, each camera by itself: a new image comes only once in some steps, by chance.

    An image that comes is the present one; the first of an episode always comes.
    """

    name = "frozen_frame"
    keeps = "The images that do come, and that they are of their time when they come."
    measure = "steps from one new image to the next, on average"
    strengths = (2, 3, 5, 10, 20)

    def shown_step(self, step: int, seed: int, sensor: str) -> int:
        """Return the last step at which an image came."""
        # The first numbers of a generator do not depend on how many are drawn.
        chance = generator(self.name, sensor, seed).random(step + 1)
        chance[0] = 0
        return int(np.flatnonzero(chance < 1 / self.strength)[-1])
