"""Disturbances that last, so that demonstrations show how to recover."""

import numpy as np
from jaxtyping import Float32

Action = Float32[np.ndarray, " action_dim"]


class Gusts:
    """Pushes the hand aside for a few steps in a row, now and then.

    A disturbance of single steps averages out before it leads anywhere; one that lasts moves the
    hand by centimetres (in the sense of DART, Laskey et al., 2017).

    Args:
        share: Of the steps, that are disturbed.
        rng: Where chance comes from.
        scale: Standard deviation of the push, in units of the action.
        shortest: Fewest steps of a gust.
        longest: Most steps of a gust.
    """

    def __init__(
        self,
        share: float,
        rng: np.random.Generator,
        *,
        scale: float,
        shortest: int,
        longest: int,
    ) -> None:
        self._share, self._rng, self._scale = share, rng, scale
        self._shortest, self._longest = shortest, longest
        self._push, self._steps_left = np.zeros(3, np.float32), 0

    def __call__(self, action: Action) -> Action:
        """Return what to execute; Δ x, y and z are disturbed, the rest never is."""
        if not self._steps_left and self._rng.random() < self._start_probability:
            self._steps_left = int(self._rng.integers(self._shortest, self._longest + 1))
            self._push = (self._scale * self._rng.standard_normal(3)).astype(np.float32)
        if not self._steps_left:
            return action
        self._steps_left -= 1
        disturbed = action.copy()
        disturbed[:3] += self._push
        return np.clip(disturbed, -1.0, 1.0)

    @property
    def _start_probability(self) -> float:
        """Probability that a gust starts where there is none, for the wanted share in the long run.

        With probability p, a gust of mean length L follows (1 - p) / p calm steps.
        """
        length = (self._shortest + self._longest) / 2
        return self._share / (self._share + length * (1 - self._share))
