"""The contract of a head: fused tokens in, a loss or an action chunk out.

Heads work in normalised action space, where every dimension lies in about [-1, 1]; the policy
owns the normaliser.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from plait.layers import AttentionPool
from plait.types import ActionChunk, Fused


@dataclass(frozen=True)
class HeadShape:
    """What a head is built for.

    Attributes:
        width: Size of the fused tokens.
        num_groups: Token groups the fusion returns.
        action_horizon: Steps per chunk.
        action_dim: Numbers of one action, as the policy represents it.
    """

    width: int
    num_groups: int
    action_horizon: int
    action_dim: int


class Head(nn.Module, ABC):
    """Base of every head; a subclass takes `(shape: HeadShape, *, ...options)`.

    Attributes:
        is_bounded: Whether it predicts nothing beyond [-1, 1].
    """

    is_bounded: ClassVar[bool] = False

    @abstractmethod
    def __init__(self, shape: HeadShape) -> None:
        """Build the head for `shape`."""
        super().__init__()

    @abstractmethod
    def loss(self, fused: Fused, target: ActionChunk) -> Float[Tensor, ""]:
        """Return the mean loss over the real steps of the normalised target chunk."""

    @abstractmethod
    def predict(self, fused: Fused) -> Float[Tensor, "batch horizon action_dim"]:
        """Return the normalised action chunk."""


class GroupPools(nn.ModuleList):
    """One attention pooling a token group; the groups share the queries among them.

    Deciding late must not mean having more parameters, so each group gets its part of the head.

    Attributes:
        pooled_dim: Size of what is read from one group.
    """

    def __init__(self, shape: HeadShape, num_queries: int, query_dim: int) -> None:
        num_queries = share(num_queries, shape)
        super().__init__(
            AttentionPool(shape.width, num_queries, query_dim) for _ in range(shape.num_groups)
        )
        self.pooled_dim = num_queries * query_dim

    def forward(self, fused: Fused) -> list[Float[Tensor, "batch pooled_dim"]]:
        """Read every group."""
        return [pool(group) for pool, group in zip(self, fused.groups, strict=True)]


def share(size: int, shape: HeadShape) -> int:
    """Return one group's part of a size."""
    return max(1, size // shape.num_groups)
