"""What a frozen encoder makes of a dataset, computed once and kept on disk.

Every strategy and every seed trains from the same tokens, so that the encoder, the dearest part of
a pretrained policy by far, runs once a frame instead of once a sample of every step.

A camera's tokens are one `.npy` file beside the decoded frames, memory-mapped. Its name holds a
hash of the recording, of the encoder's weights and of its preprocessing: whatever changes, another
file is made, and what stands there is never stale. A file under construction is called `.partial`
and is gone on with; a finished one was renamed and is whole. A lock keeps a second process waiting.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped
from numpy import ndarray
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from plait.data.dataset import Demonstrations
from plait.data.files import locked, output_errors, whole_file
from plait.data.frames.cache import cache_folder
from plait.data.frames.raw import is_whole_array, map_array
from plait.encoders._pretrained import PretrainedTextEncoder, PretrainedVisionEncoder
from plait.errors import OutputError, PlaitError, UnknownNameError
from plait.types import LANGUAGE, VISION, Observation, Tokens

LAYOUT_VERSION = 1
OFF = "off"
# What tokens may be stored as, and how NumPy holds it: it has no bfloat16 of its own.
DTYPES: Mapping[str, tuple[torch.dtype, str]] = {
    "fp16": (torch.float16, "<f2"),
    "bf16": (torch.bfloat16, "<u2"),
    "fp32": (torch.float32, "<f4"),
}
FRAMES_PER_CALL = 32
CALLS_PER_SAVE = 8
Progress = Callable[[int, int], None]


def check_feature_cache(name: str) -> None:
    """Refuse a number format that features cannot be stored in.

    Raises:
        UnknownNameError: If it is neither `off` nor one of `DTYPES`.
    """
    if name not in (OFF, *DTYPES):
        raise UnknownNameError("feature cache", name, (OFF, *DTYPES))


@dataclass(frozen=True)
class FeatureCache:
    """Tokens of every step of a dataset, by camera; empty where no encoder of images is frozen.

    Attributes:
        frames: Per camera, the stored tokens.
        dtype: What they are.
    """

    frames: Mapping[str, Shaped[ndarray, "steps tokens width"]]
    dtype: torch.dtype

    def add_to(
        self, observation: Observation, window: Int64[ndarray, "batch window"]
    ) -> Observation:
        """Attach the tokens of the steps that an observation shows."""
        features = {camera: self._gather(camera, window) for camera in self.frames}
        return replace(observation, features=features)

    def _gather(
        self, camera: str, window: Int64[ndarray, "batch window"]
    ) -> Float[Tensor, "batch window tokens width"]:
        return torch.from_numpy(self.frames[camera][window]).view(self.dtype)


def open_features(
    encoders: nn.ModuleDict,
    demonstrations: Demonstrations,
    dtype: str = "fp16",
    on_progress: Progress | None = None,
) -> FeatureCache:
    """Return the tokens of a model's frozen encoders, computing what is not on disk.

    A frozen language encoder is given the tokens of the dataset's instructions.

    Args:
        encoders: Of the model, by modality.
        demonstrations: The dataset.
        dtype: `fp16`, `bf16` or `fp32`; `off` keeps nothing and returns an empty cache.
        on_progress: Called with frames done and frames in all.

    Raises:
        UnknownNameError: If there is no such number format.
        OutputError: If the cache cannot be written.
        PlaitError: If a feature cannot be stored in the format.
    """
    check_feature_cache(dtype)
    stored = DTYPES.get(dtype, DTYPES["fp32"])[0]
    if dtype == OFF:
        return FeatureCache({}, stored)
    language = encoders[LANGUAGE]
    if isinstance(language, PretrainedTextEncoder) and language.is_frozen:
        texts = demonstrations.instructions
        if texts:
            language.remember(texts, _open_texts(language, texts, demonstrations.root, dtype))
    vision = encoders[VISION]
    if not (isinstance(vision, PretrainedVisionEncoder) and vision.is_frozen):
        return FeatureCache({}, stored)
    encoder_key = vision.backbone.fingerprint()
    frames = {
        camera: _FrameTokens(vision, demonstrations, camera, dtype, encoder_key).open(on_progress)
        for camera in vision.cameras
    }
    return FeatureCache(frames, stored)


class _FrameTokens:
    """The file of one camera's tokens."""

    def __init__(
        self,
        encoder: PretrainedVisionEncoder,
        demonstrations: Demonstrations,
        camera: str,
        dtype: str,
        encoder_key: str,
    ) -> None:
        self.encoder = encoder
        self.images = demonstrations.frames(camera)
        self.camera = camera
        self.dtype, self.stored_as = DTYPES[dtype]
        rows, columns = encoder.backbone.grid
        self.shape = (demonstrations.num_steps, rows * columns, encoder.backbone.width)
        key = _key(demonstrations.frames_key(camera), encoder_key, dtype)
        name = f"features-{camera.replace('/', '_')}-{key}.npy"
        self.path = cache_folder(demonstrations.root) / name
        self.partial = self.path.with_suffix(".partial")
        self.progress_file = self.path.with_suffix(".progress.json")

    def open(self, on_progress: Progress | None) -> Shaped[ndarray, "steps tokens width"]:
        """Return the tokens as a memory map, building the file where it is missing."""
        if not self._is_whole():
            with output_errors(self.path), locked(self.path.with_suffix(".lock")):
                # Another process may have built it while this one waited.
                if not self._is_whole():
                    self._build(on_progress)
        return map_array(self.path)

    def _is_whole(self) -> bool:
        return is_whole_array(self.path, self.shape, self.stored_as)

    def _build(self, on_progress: Progress | None) -> None:
        header = self._header()
        row_bytes = int(np.prod(self.shape[1:])) * np.dtype(self.stored_as).itemsize
        done = self._rows_done(len(header), row_bytes)
        needed = (self.shape[0] - done) * row_bytes
        free = shutil.disk_usage(self.path.parent).free
        if free < needed:
            raise OutputError(
                f"the features of {self.camera} take {needed >> 20} MiB more, but "
                f"{self.path.parent} has only {free >> 20} MiB free; free some space, or train "
                "without the cache (--feature-cache off)"
            )
        with self.partial.open("r+b" if done else "wb") as file:
            if not done:
                file.write(header)
            file.truncate(len(header) + done * row_bytes)
            file.seek(0, os.SEEK_END)
            for call, start in enumerate(range(done, self.shape[0], FRAMES_PER_CALL), start=1):
                stop = min(start + FRAMES_PER_CALL, self.shape[0])
                file.write(self._encode(start, stop).data)
                if call % CALLS_PER_SAVE == 0 or stop == self.shape[0]:
                    file.flush()
                    os.fsync(file.fileno())
                    self.progress_file.write_text(json.dumps({"rows": stop}), encoding="utf-8")
                if on_progress is not None:
                    on_progress(stop, self.shape[0])
        self.partial.replace(self.path)
        self.progress_file.unlink(missing_ok=True)

    def _header(self) -> bytes:
        """Return the start of an `.npy` file, so that rows can be appended to it in order."""
        start = BytesIO()
        values = {"descr": self.stored_as, "fortran_order": False, "shape": self.shape}
        np.lib.format.write_array_header_1_0(start, values)
        return start.getvalue()

    def _rows_done(self, header_bytes: int, row_bytes: int) -> int:
        """Return how many rows of an interrupted construction are certainly on the disk."""
        try:
            noted = json.loads(self.progress_file.read_text(encoding="utf-8"))["rows"]
            present = (self.partial.stat().st_size - header_bytes) // row_bytes
        except (OSError, ValueError, KeyError, TypeError):
            return 0
        return int(noted) if isinstance(noted, int) and 0 < noted <= present else 0

    def _encode(self, start: int, stop: int) -> Shaped[ndarray, "frames tokens width"]:
        device = self.encoder.norm.weight.device
        images = torch.from_numpy(np.array(self.images[start:stop])).to(device)
        with torch.no_grad():
            tokens = self.encoder.encode_images(images).to(self.dtype).cpu()
        if not bool(torch.isfinite(tokens).all()):
            raise PlaitError(
                f"frames {start} to {stop - 1} of {self.camera} have features that are not finite "
                f"in {str(self.dtype).removeprefix('torch.')}; use --feature-cache bf16 or fp32"
            )
        width = tokens.element_size()
        plain = {2: torch.uint16, 4: torch.float32}[width]
        return tokens.contiguous().view(plain).numpy().view(np.dtype(self.stored_as))


def _open_texts(
    encoder: PretrainedTextEncoder, texts: tuple[str, ...], root: Path, dtype: str
) -> Tokens:
    """Return the tokens of the dataset's instructions, encoding them the first time."""
    key = _key(*texts, encoder.backbone.fingerprint(), dtype)
    path = cache_folder(root) / f"features-language-{key}.safetensors"
    try:
        found = load_file(path)
        return Tokens(found["values"], found["mask"])
    except (OSError, SafetensorError, KeyError):
        pass
    with torch.no_grad():
        tokens = encoder.encode_texts(texts)
    values = tokens.values.to(DTYPES[dtype][0]).cpu().contiguous()
    mask = tokens.mask.cpu().contiguous()
    with output_errors(path), whole_file(path, path.with_suffix(f".{os.getpid()}.partial")) as file:
        file.write(save({"values": values, "mask": mask}))
    return Tokens(values, mask)


def _key(*parts: Sequence[str]) -> str:
    return hashlib.sha256(repr((LAYOUT_VERSION, *parts)).encode()).hexdigest()[:16]
