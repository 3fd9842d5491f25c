"""Conformance kits for your own strategies, and fake data to try a model with.

from plait.testing import check_fusion
check_fusion(MyFusion)            # AssertionError names every broken promise and its likely cause
"""

from plait.testing.chunk_encoder import check_chunk_encoder
from plait.testing.encoder import check_encoder
from plait.testing.fake import fake_batch, fake_observation
from plait.testing.fusion import check_fusion, check_fusion_compiles
from plait.testing.head import check_head

__all__ = [
    "check_chunk_encoder",
    "check_encoder",
    "check_fusion",
    "check_fusion_compiles",
    "check_head",
    "fake_batch",
    "fake_observation",
]
