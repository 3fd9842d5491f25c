"""Mixture density: several whole chunks, how likely each is, and how sure each number is.

Idea: demonstrations that disagree are several ways, not their mean. With K components a group,

    p(a) = Σ_g w_g Σ_k π_gk Π N(a ; tanh μ_gk, σ_gk),   loss = −log p(a) per number

A component is a whole chunk, so a way once chosen is followed to its end. What is executed is the
mean of the likeliest component, without noise.

Reference: Bishop, 1994 (mixture density networks); Mandlekar et al., 2021 (robomimic's BC-RNN-GMM).
When it loses: more ways than components; and likelihood rewards being sure of easy dimensions, so
the smallest standard deviation is bounded.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from plait.heads.base import GroupPools, Head, HeadShape, share
from plait.layers import MLP
from plait.masks import masked_fill, masked_log_mixture
from plait.types import ActionChunk, Fused

FIRST_LOG_STD = -1.0
MAX_LOG_STD = 1.0


class MixtureDensityHead(Head):
    """Attention pooling and a mixture of Gaussian chunks per token group.

    Args:
        shape: What the head is built for.
        hidden_dim: Hidden size of the MLP, divided among the groups.
        num_components: Components per group.
        num_queries: Learned queries of the pooling, divided among the groups.
        query_dim: Size of each query's reading.
        min_std: Smallest standard deviation, in normalised action units.
    """

    is_bounded = True

    def __init__(
        self,
        shape: HeadShape,
        *,
        hidden_dim: int = 128,
        num_components: int = 5,
        num_queries: int = 16,
        query_dim: int = 32,
        min_std: float = 0.03,
    ) -> None:
        nn.Module.__init__(self)
        self.chunk_shape = (shape.action_horizon, shape.action_dim)
        self.num_components = num_components
        self.min_log_std = math.log(min_std)
        self.pools = GroupPools(shape, num_queries, query_dim)
        self.num_numbers = 2 * num_components * shape.action_horizon * shape.action_dim
        hidden_dim = share(hidden_dim, shape)
        self.mlps = nn.ModuleList(
            MLP(self.pools.pooled_dim, hidden_dim, num_components + self.num_numbers)
            for _ in range(shape.num_groups)
        )

    def loss(self, fused: Fused, target: ActionChunk) -> Float[Tensor, ""]:
        """Return the negative log likelihood of the real steps, averaged over their numbers."""
        weights, means, log_stds = self.mixture(fused)
        mask = target.mask[..., None].expand_as(target.actions)
        actions = masked_fill(target.actions, mask).unsqueeze(1)
        distance = (actions - means) * torch.exp(-log_stds)
        log_density = -0.5 * distance.square() - log_stds - 0.5 * math.log(2 * math.pi)
        per_chunk = masked_fill(log_density, mask.unsqueeze(1).expand_as(log_density)).sum((2, 3))
        # A sample without a real step has the likelihood Σ w = 1, and so adds nothing.
        is_real = target.mask.any(dim=1)
        log_likelihood = masked_fill(masked_log_mixture(per_chunk, weights), is_real)
        return -log_likelihood.sum() / mask.sum().clamp(min=1).to(log_likelihood.dtype)

    def predict(self, fused: Fused) -> Float[Tensor, "batch horizon action_dim"]:
        """Return the mean of the likeliest component."""
        weights, means, _ = self.mixture(fused)
        best = weights.argmax(dim=1)[:, None, None, None].expand(-1, 1, *self.chunk_shape)
        return means.gather(1, best).squeeze(1)

    def mixture(
        self, fused: Fused
    ) -> tuple[
        Float[Tensor, "batch components"],
        Float[Tensor, "batch components horizon action_dim"],
        Float[Tensor, "batch components horizon action_dim"],
    ]:
        """Return the weights, means and log standard deviations of all groups' components."""
        weights, means, log_stds = [], [], []
        for index, (mlp, pooled) in enumerate(zip(self.mlps, self.pools(fused), strict=True)):
            logits, numbers = mlp(pooled).split([self.num_components, self.num_numbers], dim=-1)
            shares = torch.softmax(logits, dim=-1)
            weights.append(shares * fused.weights[:, index, None])
            mean, log_std = numbers.unflatten(
                -1, (2, self.num_components, *self.chunk_shape)
            ).unbind(dim=1)
            means.append(torch.tanh(mean))
            log_stds.append((log_std + FIRST_LOG_STD).clamp(self.min_log_std, MAX_LOG_STD))
        return torch.cat(weights, dim=1), torch.cat(means, dim=1), torch.cat(log_stds, dim=1)
