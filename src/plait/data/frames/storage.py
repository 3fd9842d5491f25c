"""Which way frames are kept: the fastest that fits the budget.

| storage | what is kept | bytes a frame, 96×96 | read |
| --- | --- | --- | --- |
| `raw` | a memory-mapped uint8 array | 27,648 | copied |
| `jpeg` | JPEGs packed into one file | a tenth to a fifth of it | decoded, slightly changed |
| `direct` | nothing | 0 | decoded from the recording, a key frame at a time |
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from plait.data.frames.base import Frames, Progress
from plait.data.frames.cache import CameraCache, cache_folder
from plait.data.frames.direct import DirectFrames
from plait.data.frames.jpeg import JpegCache
from plait.data.frames.raw import RawCache
from plait.data.lerobot.reader import LeRobotReader
from plait.errors import OptionError, UnknownNameError

RAW, JPEG, DIRECT = STORAGES = ("raw", "jpeg", "direct")
AUTO = "auto"
CACHES: dict[str, type[CameraCache]] = {RAW: RawCache, JPEG: JpegCache}
# Of the free disk, where no budget is given.
DEFAULT_SHARE = 0.5
GIBIBYTE = 2**30


@dataclass(frozen=True)
class FrameStorage:
    """How frames are kept.

    Attributes:
        kind: `raw`, `jpeg`, `direct`, or `auto` for the first of them that fits the budget.
        budget_gib: What the caches of all cameras may take together in GiB; half of the free disk
            where None.
    """

    kind: str = AUTO
    budget_gib: float | None = None

    def check(self) -> None:
        """Refuse what is no storage.

        Raises:
            UnknownNameError: If there is no such kind.
            OptionError: If the budget is below 0.
        """
        if self.kind not in (AUTO, *STORAGES):
            raise UnknownNameError("frame storage", self.kind, (AUTO, *STORAGES))
        if self.budget_gib is not None and not self.budget_gib >= 0:
            raise OptionError(f"the cache budget is {self.budget_gib} GiB, but must be 0 or more")

    def choose(self, reader: LeRobotReader, cameras: Sequence[str], size: int | None) -> str:
        """Return the kind that is used; caches that are there already cost nothing."""
        if self.kind != AUTO:
            return self.kind
        budget = self._budget_bytes(reader)
        for kind, cache in CACHES.items():
            needed = [cache(reader, camera, size) for camera in cameras]
            if sum(each.num_bytes for each in needed if each.find() is None) <= budget:
                return kind
        return DIRECT

    def _budget_bytes(self, reader: LeRobotReader) -> float:
        if self.budget_gib is not None:
            return self.budget_gib * GIBIBYTE
        return DEFAULT_SHARE * shutil.disk_usage(cache_folder(reader.root)).free


def open_cameras(
    reader: LeRobotReader,
    cameras: Sequence[str],
    size: int | None,
    storage: FrameStorage,
    on_progress: Progress | None = None,
) -> tuple[str, dict[str, Frames]]:
    """Open the frames of some cameras, all kept the same way.

    Args:
        reader: The dataset.
        cameras: Which cameras.
        size: Height and width to resize to in pixels; as recorded where None.
        storage: How they are kept.
        on_progress: Called with frames done and frames in all, camera by camera.

    Returns:
        The kind of storage that was chosen, and the frames by camera.

    Raises:
        DataError: If the images are missing or damaged.
        OptionError: If the storage is none.
        OutputError: If there is no room for a cache.
    """
    storage.check()
    kind = storage.choose(reader, cameras, size)
    if kind == DIRECT:
        return kind, {camera: DirectFrames(reader, camera, size) for camera in cameras}
    cache = CACHES[kind]
    return kind, {camera: cache(reader, camera, size).open(on_progress) for camera in cameras}
