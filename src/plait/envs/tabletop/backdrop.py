"""What a camera sees where nothing stands: a table of wood, and the background past its edge."""

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float32

from plait.envs.tabletop.scene import TABLE_X, TABLE_Y

_TEXEL_M = 0.004
_BACKGROUND = (0.25, 0.29, 0.36)
_WOOD = (0.80, 0.755, 0.69)


@lru_cache(maxsize=1)
def _wood() -> Float32[np.ndarray, "rows columns 3"]:
    """Paint the table, planks along x of various tones and grain, framed by a background texel."""
    rows, columns = round(2 * TABLE_X / _TEXEL_M), round(2 * TABLE_Y / _TEXEL_M)
    rng = np.random.default_rng(7)
    plank = np.arange(columns) // 22
    tone = 1 + 0.035 * rng.uniform(-1, 1, plank[-1] + 1)[plank]
    tone[np.flatnonzero(np.diff(plank))] *= 0.90
    grain = np.repeat(rng.uniform(-1, 1, (rows // 10 + 1, columns)), 10, axis=0)[:rows]
    shade = tone[None, :] * (1 + 0.018 * grain)
    wood = np.full((rows + 2, columns + 2, 3), _BACKGROUND, np.float32)
    wood[1:-1, 1:-1] = shade[..., None] * np.array(_WOOD)
    return wood


class Backdrop:
    """What a bundle of rays sees where nothing stands: the table, and the background past it.

    Args:
        origin: Where all rays start [m].
        rays: Their directions in the world's frame, of any length.
    """

    def __init__(self, origin: Float[np.ndarray, "3"], rays: Float[np.ndarray, "3 pixels"]) -> None:
        wood = _wood()
        reach = origin[2] / np.maximum(-rays[2], 1e-3)
        x, y = origin[0] + reach * rays[0], origin[1] + reach * rays[1]
        # One texel of background surrounds the wood, and whatever lies further out falls on it.
        row = np.clip((x + TABLE_X) * (1 / _TEXEL_M), -1, wood.shape[0] - 2).astype(np.intp) + 1
        column = np.clip((y + TABLE_Y) * (1 / _TEXEL_M), -1, wood.shape[1] - 2).astype(np.intp) + 1
        self.colour = wood.reshape(-1, 3)[row * wood.shape[1] + column]
        # A blob's depth is linear in these four numbers; off the table it is far below zero.
        self.places = np.empty((4, rays.shape[1]))
        self.places[0] = x * x + y * y
        self.places[1], self.places[2], self.places[3] = x, y, 1.0
        self.places[0, (np.abs(x) > TABLE_X) | (np.abs(y) > TABLE_Y)] = 1e6
