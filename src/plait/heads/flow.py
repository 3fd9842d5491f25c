"""Flow matching: a chunk is noise that a learned velocity has carried to where actions are.

Idea: on the straight line from noise x₀ to the demonstrated chunk a the velocity is a − x₀. Learn
its mean at every point and time, given what was seen, and follow it:

    x_t = (1 − t) x₀ + t a,   loss = ‖Σ_g w_g v_g(x_t, t, pool_g) − (a − x₀)‖²
    x ← x + v(x, t) / N  for t = 0, 1/N, …, from noise to the chunk

The end is *a* sample, not the mean, so of two ways one is taken. Prediction starts from noise that
is drawn once, when the head is built, and kept with the weights: the same observation gives the
same actions, and one way is kept to from one look to the next.

Reference: Lipman et al., 2023 (flow matching); Black et al., 2024 (π0).
When it loses: N evaluations for one chunk, if of a small network; and a loss that stays large even
for a perfect model, so losses of different heads do not compare.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from plait.errors import OptionError
from plait.heads.base import GroupPools, Head, HeadShape, share
from plait.layers import MLP, Linear
from plait.masks import masked_fill, masked_mean_all
from plait.types import ActionChunk, Fused


class VelocityField(nn.Module):
    """The velocity of a chunk, given its place, the time and what was read from the tokens."""

    def __init__(self, chunk_size: int, hidden_dim: int, num_times: int) -> None:
        super().__init__()
        self.place = Linear(chunk_size, hidden_dim, bias=False)
        self.time = Linear(num_times, hidden_dim, bias=False)
        self.mlp = MLP(hidden_dim, hidden_dim, hidden_dim)
        self.out = Linear(hidden_dim, chunk_size)

    def forward(
        self,
        condition: Float[Tensor, "batch hidden_dim"],
        chunk: Float[Tensor, "batch chunk_size"],
        times: Float[Tensor, "batch num_times"],
    ) -> Float[Tensor, "batch chunk_size"]:
        """Return the velocity; `condition` is what was read from the tokens."""
        hidden = F.silu(condition + self.place(chunk) + self.time(times))
        return self.out(F.silu(hidden + self.mlp(hidden)))


class FlowHead(Head):
    """Attention pooling and a velocity field per token group.

    Args:
        shape: What the head is built for.
        hidden_dim: Hidden size of the fields, divided among the groups.
        num_steps: Euler steps from noise to chunk.
        num_queries: Learned queries of the pooling, divided among the groups.
        query_dim: Size of each query's reading.
        num_frequencies: Sine and cosine pairs that tell the time.

    Raises:
        OptionError: If there is no step.
    """

    start: Float[Tensor, " chunk_size"]

    def __init__(
        self,
        shape: HeadShape,
        *,
        hidden_dim: int = 128,
        num_steps: int = 10,
        num_queries: int = 16,
        query_dim: int = 32,
        num_frequencies: int = 8,
    ) -> None:
        nn.Module.__init__(self)
        if num_steps < 1:
            raise OptionError(f"num_steps is {num_steps}, but must be at least 1")
        self.chunk_shape = (shape.action_horizon, shape.action_dim)
        self.num_steps = num_steps
        self.num_frequencies = num_frequencies
        self.pools = GroupPools(shape, num_queries, query_dim)
        chunk_size = shape.action_horizon * shape.action_dim
        groups, hidden_dim = range(shape.num_groups), share(hidden_dim, shape)
        self.read = nn.ModuleList(Linear(self.pools.pooled_dim, hidden_dim) for _ in groups)
        self.fields = nn.ModuleList(
            VelocityField(chunk_size, hidden_dim, 2 * num_frequencies) for _ in groups
        )
        self.register_buffer("start", torch.randn(chunk_size))

    def loss(self, fused: Fused, target: ActionChunk) -> Float[Tensor, ""]:
        """Return the squared error of the velocity, averaged over the real numbers."""
        mask = target.mask.unsqueeze(-1).expand_as(target.actions)
        actions = masked_fill(target.actions, mask).flatten(1)
        noise = torch.randn_like(actions)
        time = torch.rand_like(actions[:, :1])
        chunk = (1 - time) * noise + time * actions
        velocity = self._velocity(self._conditions(fused), fused, chunk, time)
        error = (velocity - (actions - noise)).square()
        return masked_mean_all(error, mask.flatten(1))

    def predict(self, fused: Fused) -> Float[Tensor, "batch horizon action_dim"]:
        """Return the chunk that the head's own noise is carried to, bounded to [-1, 1]."""
        return self.sample(fused, self.start.to(fused.weights.dtype).expand(len(fused.weights), -1))

    def sample(
        self, fused: Fused, noise: Float[Tensor, "batch chunk_size"]
    ) -> Float[Tensor, "batch horizon action_dim"]:
        """Return the chunks that given noise is carried to."""
        conditions = self._conditions(fused)
        chunk = noise
        for step in range(self.num_steps):
            time = torch.full_like(chunk[:, :1], step / self.num_steps)
            chunk = chunk + self._velocity(conditions, fused, chunk, time) / self.num_steps
        return chunk.clamp(-1, 1).unflatten(-1, self.chunk_shape)

    def _conditions(self, fused: Fused) -> list[Tensor]:
        """Read the tokens once; the steps only repeat the small field."""
        pooled = self.pools(fused)
        return [layer(read) for layer, read in zip(self.read, pooled, strict=True)]

    def _velocity(
        self, conditions: list[Tensor], fused: Fused, chunk: Tensor, time: Tensor
    ) -> Tensor:
        """Add up the groups' velocities."""
        powers = torch.arange(self.num_frequencies, device=time.device, dtype=time.dtype)
        phase = time * torch.exp2(powers) * (torch.pi / 2)
        times = torch.cat([phase.sin(), phase.cos()], dim=-1)
        velocities = [
            field(condition, chunk, times)
            for field, condition in zip(self.fields, conditions, strict=True)
        ]
        return torch.einsum("bgc,bg->bc", torch.stack(velocities, dim=1), fused.weights)
