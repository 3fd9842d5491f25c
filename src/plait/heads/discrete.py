"""Discrete: every number of the chunk is a token, one of a few bins.

Idea: classification does not average. Bins divide [-1, 1] evenly; for number i, with e_i learned,

    p_i = Σ_g w_g softmax(W silu(MLP_g(pool_g) + e_i)),   loss = −log p_i(bin of a_i)

What is executed is the centre of the likeliest bin.

Reference: Brohan et al., 2022 (RT-1, actions as tokens predicted side by side).
When it loses: numbers are chosen independently of one another, so where there are two ways the one
dimension may take the first and another the second; and precision ends at half a bin.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from plait.errors import OptionError
from plait.heads.base import GroupPools, Head, HeadShape, share
from plait.layers import Linear
from plait.masks import masked_fill, masked_log_mixture, masked_mean_all
from plait.types import ActionChunk, Fused


class DiscreteHead(Head):
    """Attention pooling and a classifier of bins per token group.

    Args:
        shape: What the head is built for.
        hidden_dim: Hidden size of the classifier, divided among the groups.
        num_bins: Bins over [-1, 1]; beyond them, the outermost counts.
        num_queries: Learned queries of the pooling, divided among the groups.
        query_dim: Size of each query's reading.

    Raises:
        OptionError: If there are fewer than two bins.
    """

    is_bounded = True

    def __init__(
        self,
        shape: HeadShape,
        *,
        hidden_dim: int = 128,
        num_bins: int = 64,
        num_queries: int = 16,
        query_dim: int = 32,
    ) -> None:
        nn.Module.__init__(self)
        if num_bins < 2:
            raise OptionError(f"num_bins is {num_bins}, but must be at least 2")
        self.chunk_shape = (shape.action_horizon, shape.action_dim)
        self.num_bins = num_bins
        self.pools = GroupPools(shape, num_queries, query_dim)
        hidden_dim = share(hidden_dim, shape)
        groups = range(shape.num_groups)
        self.expand = nn.ModuleList(Linear(self.pools.pooled_dim, hidden_dim) for _ in groups)
        self.slots = nn.Parameter(torch.randn(shape.num_groups, *self.chunk_shape, hidden_dim))
        self.classify = nn.ModuleList(Linear(hidden_dim, num_bins) for _ in groups)

    def loss(self, fused: Fused, target: ActionChunk) -> Float[Tensor, ""]:
        """Return the cross entropy of the right bins, averaged over the real numbers."""
        mask = target.mask.unsqueeze(-1).expand_as(target.actions)
        bins = self.to_bins(masked_fill(target.actions, mask)).unsqueeze(-1)
        right = self.log_probabilities(fused).gather(-1, bins).squeeze(-1)
        return -masked_mean_all(right, mask)

    def predict(self, fused: Fused) -> Float[Tensor, "batch horizon action_dim"]:
        """Return the centres of the likeliest bins."""
        return self.to_actions(self.log_probabilities(fused).argmax(dim=-1)).to(fused.weights.dtype)

    def log_probabilities(self, fused: Fused) -> Float[Tensor, "batch horizon action_dim num_bins"]:
        """Return the log probability of every bin, mixed over the groups."""
        opinions = [
            F.log_softmax(classify(F.silu(expand(pooled)[:, None, None] + slots)), dim=-1)
            for expand, slots, classify, pooled in zip(
                self.expand, self.slots, self.classify, self.pools(fused), strict=True
            )
        ]
        return masked_log_mixture(torch.stack(opinions, dim=1), fused.weights)

    def to_bins(self, actions: Float[Tensor, "*axes"]) -> Int[Tensor, "*axes"]:
        """Return the bin of each number."""
        return ((actions + 1) / 2 * self.num_bins).floor().clamp(0, self.num_bins - 1).long()

    def to_actions(self, bins: Int[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
        """Return the centre of each bin."""
        return (bins + 0.5) / self.num_bins * 2 - 1
