"""Regression of the whole action chunk, bounded by tanh.

Idea: learned queries read each token group; an MLP turns the readings into the chunk at once:

    a = Σ_g w_g · tanh(MLP_g(pool_g(tokens_g)))

Reference: Zhao et al., 2023 (ACT, action chunks with an L1 loss).
When it loses: where demonstrations disagree about what to do; the mean of two ways is neither.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from plait.errors import OptionError
from plait.heads.base import GroupPools, Head, HeadShape, share
from plait.layers import MLP
from plait.masks import masked_fill, masked_mean_all
from plait.types import ActionChunk, Fused


class RegressionHead(Head):
    """Attention pooling and an MLP per token group.

    Args:
        shape: What the head is built for.
        hidden_dim: Hidden size of the MLP, divided among the groups.
        num_queries: Learned queries of the pooling, divided among the groups.
        query_dim: Size of each query's reading.
        loss: `huber` (quadratic below `huber_delta`, linear above) or `l1`.
        huber_delta: Where the Huber loss turns linear, in normalised action units. At 1 reaching
            for the wrong object weighs most, which grounds the instruction sooner than 0.1 does.

    Raises:
        OptionError: If `loss` is neither.
    """

    is_bounded = True

    def __init__(
        self,
        shape: HeadShape,
        *,
        hidden_dim: int = 128,
        num_queries: int = 16,
        query_dim: int = 32,
        loss: Literal["huber", "l1"] = "huber",
        huber_delta: float = 1.0,
    ) -> None:
        nn.Module.__init__(self)
        if loss not in ("huber", "l1"):
            raise OptionError(f"loss must be 'huber' or 'l1', but is {loss!r}")
        self.chunk_shape = (shape.action_horizon, shape.action_dim)
        self.huber_delta = huber_delta
        self.loss_name = loss
        out_dim = shape.action_horizon * shape.action_dim
        self.pools = GroupPools(shape, num_queries, query_dim)
        hidden_dim = share(hidden_dim, shape)
        self.mlps = nn.ModuleList(
            MLP(self.pools.pooled_dim, hidden_dim, out_dim) for _ in range(shape.num_groups)
        )

    def loss(self, fused: Fused, target: ActionChunk) -> Float[Tensor, ""]:
        """Return the mean error over the real steps and all action dimensions."""
        predicted = self.predict(fused)
        mask = target.mask.unsqueeze(-1).expand_as(predicted)
        # Filled before the error is taken: masked after it, NaN would still reach the gradient.
        actions = masked_fill(target.actions, mask)
        if self.loss_name == "l1":
            error = (predicted - actions).abs()
        else:
            error = F.huber_loss(predicted, actions, delta=self.huber_delta, reduction="none")
        return masked_mean_all(error, mask)

    def predict(self, fused: Fused) -> Float[Tensor, "batch horizon action_dim"]:
        """Return the weighted sum of the groups' bounded predictions."""
        chunks = [
            torch.tanh(mlp(pooled)).unflatten(-1, self.chunk_shape)
            for mlp, pooled in zip(self.mlps, self.pools(fused), strict=True)
        ]
        return torch.einsum("bghd,bg->bhd", torch.stack(chunks, dim=1), fused.weights)
