"""One recorded episode, as recorders hand it to the writer."""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float32, UInt8
from numpy import ndarray


@dataclass(frozen=True)
class EpisodeData:
    """One attempt from start to end.

    Attributes:
        images: Per camera, what was seen before each action.
        proprio: Robot state before each action.
        action: Actions taken.
        instruction: The command.
    """

    images: Mapping[str, UInt8[ndarray, "steps height width_px 3"]]
    proprio: Float32[ndarray, "steps proprio_dim"]
    action: Float32[ndarray, "steps action_dim"]
    instruction: str
