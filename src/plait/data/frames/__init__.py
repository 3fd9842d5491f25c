"""The frames of a dataset's cameras, by step: from memory-mapped caches or from the recording."""

from plait.data.frames.base import Frames, Progress
from plait.data.frames.storage import AUTO, STORAGES, FrameStorage, open_cameras

__all__ = ["AUTO", "STORAGES", "FrameStorage", "Frames", "Progress", "open_cameras"]
