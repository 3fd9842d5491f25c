"""One recorded episode, as recorders hand it to the writer, and its encoded form."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, Int64, Shaped, UInt8
from numpy import ndarray
from PIL import Image

from plait.data.lerobot.format import ACTION, STATE, channel_histogram
from plait.errors import DataError

# Frames counted for the statistics of an episode's images; they change slowly within one.
HISTOGRAM_FRAMES = 8


@dataclass(frozen=True)
class EpisodeData:
    """One attempt from start to end.

    Attributes:
        images: Per camera, what was seen before each action.
        proprio: Robot state before each action.
        action: Actions taken.
        instruction: The command.
        extras: Further columns by feature name, one row a step, e.g. `next.reward`.
    """

    images: Mapping[str, UInt8[ndarray, "steps height width_px 3"]]
    proprio: Float32[ndarray, "steps proprio_dim"]
    action: Float32[ndarray, "steps action_dim"]
    instruction: str
    extras: Mapping[str, Shaped[ndarray, "steps *dims"]] = field(default_factory=dict)

    @property
    def columns(self) -> dict[str, ndarray]:
        """All columns but the images, by feature name."""
        return {STATE: self.proprio, ACTION: self.action, **self.extras}

    def check(self, where: str) -> None:
        """Refuse an episode whose arrays disagree or hold NaN.

        Args:
            where: Names the episode in the message.

        Raises:
            DataError: Naming the step and the feature.
        """
        length = len(self.action)
        if not length:
            raise DataError(where, "no step", "at least one")
        for name, values in {**self.images, **self.columns}.items():
            if len(values) != length:
                raise DataError(where, f"{len(values)} steps of {name}", f"{length}, one an action")
        for camera, frames in self.images.items():
            if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
                found = f"images of {camera} as {frames.dtype} {list(frames.shape)}"
                raise DataError(where, found, "uint8 [steps, height, width, 3]")
        for name, values in self.columns.items():
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                step = int(np.argwhere(~np.isfinite(values))[0, 0])
                raise DataError(where, f"{name} at step {step} is not finite", "numbers")


@dataclass(frozen=True)
class EncodedEpisode:
    """An episode ready to be copied into files: images compressed, their statistics taken.

    Attributes:
        columns: Columns by feature name, one row a step.
        instruction: The command.
        sizes: Height and width of each camera's images in pixels.
        histograms: Per camera, how often each value occurs in each channel.
        images: Per camera, one PNG a step; empty where frames go to a video instead.
    """

    columns: Mapping[str, Shaped[ndarray, "steps *dims"]]
    instruction: str
    sizes: Mapping[str, tuple[int, int]]
    histograms: Mapping[str, Int64[ndarray, "3 256"]]
    images: Mapping[str, list[bytes]]

    @property
    def num_steps(self) -> int:
        """Number of steps."""
        return len(self.columns[ACTION])

    @classmethod
    def of(cls, episode: EpisodeData, *, with_images: bool) -> "EncodedEpisode":
        """Encode an episode.

        Args:
            episode: What was recorded.
            with_images: Whether to compress the images.
        """
        spread = np.linspace(0, len(episode.action) - 1, HISTOGRAM_FRAMES).astype(np.int64)
        spread = np.unique(spread)
        images = episode.images if with_images else {}
        return cls(
            episode.columns,
            episode.instruction,
            {camera: frames.shape[1:3] for camera, frames in episode.images.items()},
            {
                camera: channel_histogram(frames[spread])
                for camera, frames in episode.images.items()
            },
            {camera: [encode_png(frame) for frame in frames] for camera, frames in images.items()},
        )


def encode_png(frame: UInt8[ndarray, "height width_px 3"]) -> bytes:
    """Encode a frame without loss, quickly rather than small."""
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def decode_image(
    content: bytes, size: tuple[int, int] | None = None, recorded: tuple[int, int] | None = None
) -> UInt8[ndarray, "height width_px 3"]:
    """Decode an image file, PNG or JPEG, to RGB.

    Args:
        content: The file.
        size: Height and width in pixels to average down to; as recorded where None.
        recorded: Height and width that the image must have; any where None.

    Raises:
        OSError: If the content is no whole image.
        ValueError: If it has another size; it is not decoded then.
    """
    with _image_errors():
        file = Image.open(io.BytesIO(content), formats=("PNG", "JPEG"))
    if recorded is not None and recorded != (file.height, file.width):
        raise ValueError(f"of {file.height}×{file.width} pixels")
    with _image_errors():
        image = file.convert("RGB")
    if size is not None and size != (image.height, image.width):
        image = image.resize((size[1], size[0]), Image.Resampling.BOX)
    return np.asarray(image)


@contextmanager
def _image_errors() -> Iterator[None]:
    """Turn whatever Pillow's decoders raise on damaged files, of many kinds, into an OSError."""
    try:
        yield
    except Exception as error:
        raise OSError(f"no whole image ({error})") from error
