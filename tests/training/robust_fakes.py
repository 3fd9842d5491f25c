"""Demonstrations that need no files: every step is a sample of its own making."""

from types import SimpleNamespace

import numpy as np
import torch

from plait.data.dataset import Demonstrations
from plait.testing import fake_batch
from plait.testing.fake import FAKE_DATA
from plait.training.corrupted import join
from plait.types import ActionChunk, Batch

NUM_STEPS = 40


class FakeDemonstrations(Demonstrations):
    """One batch of random samples, gathered by index."""

    def __init__(self):
        self.cameras = FAKE_DATA.cameras
        self._all = fake_batch(batch_size=NUM_STEPS)

    def steps_of(self, _episodes):
        return np.arange(NUM_STEPS)

    def norm_stats(self, _episodes):
        return SimpleNamespace(proprio=SimpleNamespace(std=np.full(FAKE_DATA.proprio_dim, 0.5)))

    def gather(self, steps):
        rows = [self._all.select(slice(step, step + 1)) for step in steps.tolist()]
        return joined(rows)


def joined(batches):
    chunks = [batch.action_chunk for batch in batches]
    actions, masks = ([getattr(c, name) for c in chunks] for name in ("actions", "mask"))
    chunk = ActionChunk(torch.cat(actions), torch.cat(masks))
    return Batch(join([batch.observation for batch in batches]), chunk)
