"""Corruptions of what an image shows: blur, noise, light, occlusion, compression.

Names and strengths are ImageNet-C's where it has them (Hendrycks and Dietterich, 2019), rounded
to the nearest value rather than down. Lengths there are meant for images of 224 pixels and scale
with the image here. Pixels are computed so that the result does not depend on the batch they are
in, to the last bit.
"""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO

import numpy as np
import torch
from jaxtyping import Float, Float64, UInt8
from numpy import ndarray
from PIL import Image
from scipy import special
from torch import Tensor

from plait.data.corrupt.base import Draws, StatelessCorruption, stack_draws
from plait.errors import UnknownNameError
from plait.types import VISION, Observation

Images = UInt8[Tensor, "batch window 3 height width_px"]
RGB = UInt8[ndarray, "height width_px 3"]
IMAGENET_SIZE_PX = 224
# Weights of a blur are multiples of 2^-20: see `GaussianBlur`.
BLUR_UNIT = 2**20


@dataclass(frozen=True)
class ImageCorruption(StatelessCorruption):
    """A corruption of every image by itself.

    Args:
        severity: 1 to 5.
        cameras: Which cameras are hit; all if empty.
    """

    modality = VISION
    cameras: Sequence[str] = field(default=(), kw_only=True)

    def corrupt(self, observation: Observation, draws: Draws) -> Observation:
        """Change the images of the chosen cameras, and drop features computed of the old ones."""
        changed = {
            camera: self.change(observation.images[camera], draws.of(camera))
            for camera in choose_cameras(self.cameras, observation.images)
        }
        return replace(observation, images={**observation.images, **changed}, features={})

    @abstractmethod
    def change(self, images: Images, draws: Draws) -> Images:
        """Return corrupted copies of one camera's images."""


@dataclass(frozen=True)
class GaussianBlur(ImageCorruption):
    """Out of focus: a Gaussian blur that repeats the border.

    The kernel is the discrete Gaussian, `e^-t I_n(t)` with `t = σ²`, whose variance is σ² however
    small; a Gaussian read off at whole pixels is no blur at all where σ is a fraction of one, as
    it is in small images. From σ of about 2 the two are the same.

    It is two products with matrices of whole numbers in float64: every sum is exact, so its order,
    and with it the size of the batch and the device, cannot matter.

    Reference: Lindeberg, 1990 (scale-space for discrete signals).
    """

    name = "gaussian_blur"
    keeps = "Where things are, and colours in the large."
    measure = "standard deviation in pixels of an image of 224"
    strengths = (1, 2, 3, 4, 6)

    def change(self, images: Images, draws: Draws) -> Images:
        """Blur along columns, then along rows."""
        del draws
        height, width_px = images.shape[-2:]
        sigma = self.strength * min(height, width_px) / IMAGENET_SIZE_PX
        across = _blur_matrix(width_px, sigma).to(images.device)
        down = _blur_matrix(height, sigma).to(images.device)
        return to_pixels(down @ (images.double() @ across.T) / BLUR_UNIT**2)


@dataclass(frozen=True)
class GaussianNoise(ImageCorruption):
    """A dark scene, a poor sensor: independent noise on every value, anew at every step."""

    name = "gaussian_noise"
    keeps = "Where things are; the mean of every pixel over time, away from black and white."
    measure = "standard deviation as a share of the range"
    strengths = (0.08, 0.12, 0.18, 0.26, 0.38)

    def change(self, images: Images, draws: Draws) -> Images:
        """Add noise and clip."""
        shape = tuple(images.shape[1:])
        noise = draws.per_step(lambda rng: rng.standard_normal(shape, dtype=np.float32))
        return to_pixels(images + 255 * self.strength * noise.to(images.device))


@dataclass(frozen=True)
class ShotNoise(ImageCorruption):
    """Too few photons: every value is a Poisson count, anew at every step."""

    name = "shot_noise"
    keeps = "Where things are; black; the mean of every pixel over time, away from white."
    measure = "photons a value of white"
    strengths = (60, 25, 12, 5, 3)

    def change(self, images: Images, draws: Draws) -> Images:
        """Draw counts, scale them back and clip."""
        rates = images.cpu().numpy() * (self.strength / 255)
        samples = zip(rates, draws.step_generators(), strict=True)
        counts = stack_draws([rng.poisson(rate) for rate, rng in samples])
        return to_pixels(counts.to(images.device) * (255 / self.strength))


@dataclass(frozen=True)
class ImpulseNoise(ImageCorruption):
    """Broken values: some are 255 and as many 0, anew at every step."""

    name = "impulse_noise"
    keeps = "All other values."
    measure = "share of the values"
    strengths = (0.03, 0.06, 0.09, 0.17, 0.27)

    def change(self, images: Images, draws: Draws) -> Images:
        """Draw a number for each value: the smallest make salt, the largest pepper."""
        shape = tuple(images.shape[1:])
        chance = draws.per_step(lambda rng: rng.random(shape, dtype=np.float32)).to(images.device)
        salted = images.masked_fill(chance < self.strength / 2, 255)
        return salted.masked_fill(chance > 1 - self.strength / 2, 0)


@dataclass(frozen=True)
class Brightness(ImageCorruption):
    """More light: the value of a pixel, in the sense of HSV, is raised."""

    name = "brightness"
    keeps = "Where things are; hue and saturation."
    measure = "added to the value, as a share of the range"
    strengths = (0.1, 0.2, 0.3, 0.4, 0.5)

    def change(self, images: Images, draws: Draws) -> Images:
        """Scale every pixel so that its largest channel is raised; black becomes grey."""
        del draws
        pixels = images.float()
        value = pixels.amax(dim=2, keepdim=True)
        raised = (value + 255 * self.strength).clamp(max=255)
        return to_pixels(torch.where(value > 0, pixels * (raised / value.clamp(min=1)), raised))


@dataclass(frozen=True)
class Contrast(ImageCorruption):
    """Flat light: every channel of an image shrinks towards its mean."""

    name = "contrast"
    keeps = "Where things are; the mean colour; which of two values of a channel is larger."
    measure = "what is left of the contrast"
    strengths = (0.4, 0.3, 0.2, 0.1, 0.05)

    def change(self, images: Images, draws: Draws) -> Images:
        """Shrink the difference to the mean, which whole numbers sum up to exactly."""
        del draws
        num_pixels = images.shape[-2] * images.shape[-1]
        mean = images.sum(dim=(-2, -1), keepdim=True, dtype=torch.int64).double() / num_pixels
        return to_pixels((images - mean) * self.strength + mean)


@dataclass(frozen=True)
class Occlusion(ImageCorruption):
    """Something before the lens: a patch of one colour, in one place through the episode.

    Reference: DeVries and Taylor, 2017 (cutout), with a random colour.
    """

    name = "occlusion"
    keeps = "Everything outside of the patch."
    measure = "share of the image's area"
    strengths = (0.05, 0.1, 0.2, 0.3, 0.5)

    def change(self, images: Images, draws: Draws) -> Images:
        """Paint the patch; that of a higher severity covers that of a lower one."""
        height, width_px = images.shape[-2:]
        place = draws.per_episode(lambda rng: rng.random(2))
        colour = draws.of("colour").per_episode(lambda rng: rng.integers(0, 256, 3))
        rows = self._is_covered(height, place[:, 0])
        columns = self._is_covered(width_px, place[:, 1])
        patch = (rows[:, :, None] & columns[:, None, :])[:, None, None].to(images.device)
        paint = colour.to(images.device, torch.uint8)[:, None, :, None, None]
        return torch.where(patch, paint, images)

    def _is_covered(self, size: int, place: Float64[Tensor, " batch"]) -> Tensor:
        """Mark the rows, or the columns, that a patch covers: `[batch, size]`."""
        covered = max(round(size * self.strength**0.5), 1)
        first = (place * (size - covered) + 0.5).floor().unsqueeze(1)
        index = torch.arange(size)
        return (index >= first) & (index < first + covered)


@dataclass(frozen=True)
class Jpeg(ImageCorruption):
    """A starved video link: strong JPEG compression, by Pillow."""

    name = "jpeg"
    keeps = "Where things are, to about 8 pixels; colours in the large."
    measure = "quality"
    strengths = (25, 18, 15, 10, 7)

    def change(self, images: Images, draws: Draws) -> Images:
        """Compress every image and read it back."""
        del draws
        pixels = images.flatten(0, 1).movedim(1, -1).contiguous().cpu().numpy()
        decoded = np.stack([self._compress(image) for image in pixels])
        channels_first = torch.from_numpy(decoded).movedim(-1, 1).contiguous()
        return channels_first.view(images.shape).to(images.device)

    def _compress(self, image: RGB) -> RGB:
        file = BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=int(self.strength))
        with Image.open(file) as compressed:
            return np.array(compressed)


def choose_cameras(wanted: Sequence[str], known: Mapping[str, object]) -> list[str]:
    """Return the wanted cameras, or all where none are named.

    Raises:
        UnknownNameError: If one does not exist.
    """
    for camera in wanted:
        if camera not in known:
            raise UnknownNameError("camera", camera, known)
    return list(wanted or known)


def to_pixels(values: Float[Tensor, "*axes"]) -> UInt8[Tensor, "*axes"]:
    """Round to whole pixel values in 0 to 255."""
    return values.round().clamp(0, 255).to(torch.uint8)


def _blur_matrix(size: int, sigma: float) -> Float64[Tensor, "size size"]:
    """Return what each pixel of a line takes from each, in whole units of which it takes 2^20."""
    radius = math.ceil(4 * sigma) + 1
    offsets = torch.arange(-radius, radius + 1)
    weights = torch.from_numpy(special.ive(offsets.abs().numpy(), sigma**2))
    units = (weights / weights.sum() * BLUR_UNIT).round()
    units[radius] += BLUR_UNIT - units.sum()
    sources = (torch.arange(size).unsqueeze(1) + offsets).clamp(0, size - 1)
    matrix = torch.zeros(size, size, dtype=torch.float64)
    return matrix.scatter_add_(1, sources, units.expand(size, -1))
