"""What every store of frames can do."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from jaxtyping import UInt8
from numpy import ndarray

Progress = Callable[[int, int], None]


@runtime_checkable
class Frames(Protocol):
    """The frames of one camera, one a step; a NumPy array is one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Steps, 3, height, and width in pixels."""

    def __getitem__(self, steps: Any, /) -> UInt8[ndarray, "*steps 3 height width_px"]:
        """Return the frames of one step or of an array of steps."""
