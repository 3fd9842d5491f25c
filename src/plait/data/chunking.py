"""From (episode, step) to windows and chunks: index arithmetic for a whole batch at once.

  window of 3 ─┐            ┌─ chunk of 4
… s₋₂ s₋₁ [s₀]│[a₀ a₁ a₂ a₃] …        indices beyond the episode repeat its edge,
                                       and are False in the mask
"""

import numpy as np
from jaxtyping import Bool, Int64
from numpy import ndarray


def window_indices(
    steps: Int64[ndarray, " batch"], first: Int64[ndarray, " batch"], window: int
) -> Int64[ndarray, "batch window"]:
    """Return the steps seen at each step, oldest first; the first step stands in before it.

    Args:
        steps: Dataset steps.
        first: First step of each one's episode.
        window: Steps seen.
    """
    past = np.arange(1 - window, 1)
    return np.maximum(steps[:, None] + past, first[:, None])


def chunk_indices(
    steps: Int64[ndarray, " batch"], last: Int64[ndarray, " batch"], horizon: int
) -> tuple[Int64[ndarray, "batch horizon"], Bool[ndarray, "batch horizon"]]:
    """Return the steps whose actions make up each chunk, and which lie inside the episode.

    Args:
        steps: Dataset steps.
        last: Last step of each one's episode.
        horizon: Steps per chunk.
    """
    future = steps[:, None] + np.arange(horizon)
    return np.minimum(future, last[:, None]), future <= last[:, None]
