"""The contract of an encoder of action chunks: normalised actions in, one token a step out."""

from abc import ABC, abstractmethod

from torch import nn

from plait.config import DataSpec
from plait.types import ActionChunk, Tokens, TokenSpec


class ChunkEncoder(nn.Module, ABC):
    """Base of every encoder of action chunks.

    A subclass takes `(data: DataSpec, action_horizon: int, width: int, ...options)`; its options
    are keyword-only with defaults. `plait.testing.check_chunk_encoder` tests the contract.

    Attributes:
        token_spec: What it produces.
    """

    token_spec: TokenSpec

    @abstractmethod
    def __init__(self, data: DataSpec, action_horizon: int, width: int) -> None:
        """Build the encoder for chunks of `action_horizon` actions as `data` describes them."""
        super().__init__()

    @abstractmethod
    def forward(self, chunk: ActionChunk) -> Tokens:
        """Encode normalised actions; steps past the end of an episode are masked and not read."""
