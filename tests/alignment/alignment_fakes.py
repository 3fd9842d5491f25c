"""Small embeddings and aligners."""

import torch
import torch.nn.functional as F

from plait.aligner import build_aligner
from plait.alignment.base import Embeddings
from plait.config import AlignerConfig, Component
from plait.data.normalize import Normalizer
from plait.testing.fake import FAKE_DATA


def unit(size, width=6, *, seed=0, count=3, dtype=torch.float64):
    """Return `count` sets of `size` random unit vectors."""
    generator = torch.Generator().manual_seed(seed)
    return [
        F.normalize(torch.randn(size, width, generator=generator, dtype=dtype), dim=1)
        for _ in range(count)
    ]


def make_embeddings(values, present, groups):
    return Embeddings(values, present, groups)


def make_aligner(seed=0, objective="info_nce", options=None, **changes):
    config = AlignerConfig(
        objective=Component(name=objective, options=options or {}),
        width=24,
        embedding_dim=16,
        action_horizon=5,
        **changes,
    )
    normalizer = Normalizer(proprio_dim=FAKE_DATA.proprio_dim, action_dim=FAKE_DATA.action_dim)
    return build_aligner(config, FAKE_DATA, normalizer, seed)
