"""Which steps make up the batch of step k: a pure function of (seed, k), so resuming is exact.

Nothing else decides: not the number of workers, nor that of ranks. What W ranks take together in
step k is what one process with W times the batch size would take.
"""

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from plait.errors import OptionError


class StepSampler:
    """Shuffled epochs over a set of dataset steps, without keeping a position.

    Batches run across the ends of epochs, so that all have the same size.

    Args:
        steps: Indices to draw from.
        batch_size: Indices per batch.
        seed: Decides the order of every epoch.
        rank: Which of the processes that train together this one is.
        world_size: How many they are.

    Raises:
        OptionError: If there is nothing to draw from, the batch size is below 1, or there is no
            such rank.
    """

    def __init__(
        self,
        steps: Int64[ndarray, " steps"],
        batch_size: int,
        seed: int,
        *,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if not len(steps):
            raise OptionError("there is no step to draw batches from")
        if batch_size < 1:
            raise OptionError(f"the batch size is {batch_size}, but must be at least 1")
        if not 0 <= rank < world_size:
            raise OptionError(f"the rank is {rank}, but must be below {world_size}, and 0 or more")
        self.rank, self.world_size = rank, world_size
        self.steps = np.asarray(steps)
        self.batch_size = batch_size
        self.seed = seed
        self._epochs: dict[int, ndarray] = {}

    def batch(self, index: int) -> Int64[ndarray, " batch"]:
        """Return the dataset steps of batch `index`, of this rank."""
        start = (index * self.world_size + self.rank) * self.batch_size
        size = len(self.steps)
        parts = []
        missing = self.batch_size
        while missing:
            epoch, offset = divmod(start, size)
            part = self._epoch(epoch)[offset : offset + missing]
            parts.append(part)
            start += len(part)
            missing -= len(part)
        return np.concatenate(parts)

    def _epoch(self, epoch: int) -> ndarray:
        if epoch not in self._epochs:
            # Only the newest epochs are needed again.
            self._epochs = {k: v for k, v in self._epochs.items() if k >= epoch - 1}
            order = np.random.default_rng([self.seed, epoch]).permutation(len(self.steps))
            self._epochs[epoch] = self.steps[order]
        return self._epochs[epoch]
