"""Graph fusion: patches, words and states are nodes; who may tell whom what is built in.

Idea: nodes pass messages along typed, directed edges: patches to the patches around them, words to
the words beside them, and every modality to every other. Along an edge of type r from j to i:

    e_ij = a_r · leaky_relu(Q x_i + K x_j + b_r),   x_i ← x_i + W Σ_j softmax_j(e_ij) K x_j

The softmax runs over all edges into i, whatever their type, so the types compete.

Reference: Brody et al., 2022 (GATv2, whose attention may rank neighbours differently for every
node); Schlichtkrull et al., 2018 (relation types).
Cost: linear in the patches; per edge a vector operation instead of the dot product of attention.
When it loses: where far patches must be compared: they are many steps apart, or meet in a word.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from plait.fusion.base import Fusion, Projections
from plait.layers import MLP, Linear
from plait.masks import masked_mean, masked_softmax
from plait.types import LANGUAGE, VISION, Fused, Tokens, TokenSpec

# Per node the indices of its neighbours, and which of them exist.
Neighbours = tuple[Int[Tensor, "nodes near"], Bool[Tensor, "nodes near"]]


def grid_neighbours(rows: int, columns: int, num_views: int) -> Neighbours:
    """Return each patch's 3×3 neighbourhood within its view, itself included, and which exist."""
    offsets = torch.cartesian_prod(torch.arange(-1, 2), torch.arange(-1, 2))
    places = torch.cartesian_prod(torch.arange(rows), torch.arange(columns))
    near = places[:, None] + offsets
    size = torch.tensor([rows, columns])
    exists = ((near >= 0) & (near < size)).all(dim=-1)
    near = near.clamp(min=torch.zeros(2, dtype=torch.int64), max=size - 1)
    index = near[..., 0] * columns + near[..., 1]
    views = torch.arange(num_views)[:, None, None] * (rows * columns)
    return (views + index).flatten(0, 1), exists.repeat(num_views, 1)


def sequence_neighbours(length: int, device: torch.device) -> Neighbours:
    """Return the token before, itself and the token after, and which of them exist."""
    near = torch.arange(length, device=device)[:, None] + torch.arange(-1, 2, device=device)
    return near.clamp(0, length - 1), (near >= 0) & (near < length)


class GraphLayer(nn.Module):
    """One round of messages along every type of edge, then an MLP a node.

    Edge types are the pairs (receiver, sender) of modalities. Within a modality only neighbours
    are joined; between modalities every pair is.
    """

    def __init__(
        self, modalities: tuple[str, ...], width: int, hidden_dim: int, num_heads: int
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norms = nn.ModuleDict({name: nn.LayerNorm(width) for name in modalities})
        self.receive = nn.ModuleDict({name: Linear(width, width) for name in modalities})
        self.send = nn.ModuleDict({name: Linear(width, width, bias=False) for name in modalities})
        head_dim = width // num_heads
        num_types = len(modalities) ** 2
        self.type_bias = nn.Parameter(torch.randn(num_types, num_heads, head_dim) * 0.1)
        self.type_attention = nn.Parameter(
            torch.randn(num_types, num_heads, head_dim) * head_dim**-0.5
        )
        self.out = Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = MLP(width, hidden_dim, width)

    def forward(
        self, nodes: Mapping[str, Tokens], neighbours: Mapping[str, Neighbours]
    ) -> tuple[dict[str, Tokens], dict[tuple[str, str], Tensor]]:
        """Return the updated nodes, and per edge type the weights averaged over the heads."""
        normed = {name: self.norms[name](part.values) for name, part in nodes.items()}
        sent = {name: self._heads(self.send[name](normed[name])) for name in nodes}
        updated: dict[str, Tokens] = {}
        weights: dict[tuple[str, str], Tensor] = {}
        for row, (receiver, part) in enumerate(nodes.items()):
            asked = self._heads(self.receive[receiver](normed[receiver]))
            keys, masks, logits = [], [], []
            for column, (sender, source) in enumerate(nodes.items()):
                near = neighbours[sender] if sender == receiver else None
                key, mask = _edges(sent[sender], source.mask, near)
                keys.append(key)
                logits.append(self._score(asked, key, row * len(nodes) + column))
                masks.append(mask.expand(logits[-1].shape[:3]))
            shares = _softmax_over_edges(logits, masks)
            read = sum((_weighted(*pair) for pair in zip(shares, keys, strict=True)), 0 * asked)
            new = part.values + self.out(read.flatten(-2))
            updated[receiver] = part.with_values(new + self.mlp(self.mlp_norm(new)))
            for sender, share in zip(nodes, shares, strict=True):
                weights[receiver, sender] = share.mean(dim=-1)
        return updated, weights

    def _heads(self, values: Float[Tensor, "B I D"]) -> Float[Tensor, "B I N H"]:
        return values.unflatten(-1, (self.num_heads, -1))

    def _score(
        self,
        asked: Float[Tensor, "B I N H"],
        key: Float[Tensor, "B _ K N H"],
        edge_type: int,
    ) -> Float[Tensor, "B I K N"]:
        """Score every edge of a type, before the softmax over all edges into a node."""
        met = asked.unsqueeze(2) + key + self.type_bias[edge_type]
        return (F.leaky_relu(met, 0.2) * self.type_attention[edge_type]).sum(dim=-1)


def _edges(
    sent: Float[Tensor, "B J N H"], mask: Bool[Tensor, "B J"], near: Neighbours | None
) -> tuple[Float[Tensor, "B _ K N H"], Bool[Tensor, "B _ K"]]:
    """Lay out the senders of every receiver: all of them, or each one's neighbours."""
    if near is None:
        return sent.unsqueeze(1), mask.unsqueeze(1)
    index, exists = near
    return sent[:, index], mask[:, index] & exists


def _softmax_over_edges(
    logits: Sequence[Float[Tensor, "B I _ N"]], masks: Sequence[Bool[Tensor, "B I _"]]
) -> tuple[Float[Tensor, "B I _ N"], ...]:
    """Let the edges into a node compete, whatever their type; return the shares by type."""
    joined = torch.cat(list(logits), dim=2)
    mask = torch.cat(list(masks), dim=2).unsqueeze(-1).expand_as(joined)
    return masked_softmax(joined, mask, dim=2).split([part.shape[2] for part in logits], dim=2)


def _weighted(
    share: Float[Tensor, "B I K N"], value: Float[Tensor, "B _ K N H"]
) -> Float[Tensor, "B I N H"]:
    """Add up messages; the same senders for every receiver where the second axis is 1."""
    if value.shape[1] == 1:
        return torch.einsum("bikn,bknh->binh", share, value[:, 0])
    return torch.einsum("bikn,biknh->binh", share, value)


class GraphFusion(Fusion):
    """Attention message passing over a typed graph of patches, words and states.

    Args:
        specs: What each modality's tokens look like.
        width: Size of the tokens.
        hidden_dim: Hidden size of the MLPs.
        num_layers: Rounds of messages.
        num_heads: Attention heads.
    """

    def __init__(
        self,
        specs: Mapping[str, TokenSpec],
        width: int,
        *,
        hidden_dim: int = 128,
        num_layers: int = 2,
        num_heads: int = 4,
    ) -> None:
        nn.Module.__init__(self)
        self.project = Projections(specs, width)
        self.grids = {name: spec for name, spec in specs.items() if spec.grid is not None}
        for name, spec in self.grids.items():
            index, exists = grid_neighbours(*(spec.grid or (1, 1)), spec.num_views)
            self.register_buffer(f"{name}_index", index, persistent=False)
            self.register_buffer(f"{name}_exists", exists, persistent=False)
        modalities = tuple(specs)
        self.layers = nn.ModuleList(
            GraphLayer(modalities, width, hidden_dim, num_heads) for _ in range(num_layers)
        )

    def forward(self, tokens: Mapping[str, Tokens]) -> Fused:
        """Return all nodes; edge weights and where words look come out as diagnostics."""
        nodes = self.project(tokens)
        neighbours = {name: self._neighbours(name, part) for name, part in nodes.items()}
        for layer in self.layers:
            nodes, weights = layer(nodes, neighbours)
        shares = [
            masked_mean(weights[receiver, sender].sum(dim=2), nodes[receiver].mask, dim=1)
            for receiver in nodes
            for sender in nodes
        ]
        diagnostics = {"edge_weight": torch.stack(shares, dim=1).detach()}
        if VISION in self.grids:
            spec = self.grids[VISION]
            maps = weights[LANGUAGE, VISION]
            diagnostics["attention"] = maps.unflatten(
                -1, (spec.num_views, *(spec.grid or (1, 1)))
            ).detach()
        return Fused.single(Tokens.concatenate(list(nodes.values())), diagnostics=diagnostics)

    def _neighbours(self, name: str, part: Tokens) -> Neighbours:
        """Return who is joined to whom within a modality."""
        if name in self.grids:
            return getattr(self, f"{name}_index"), getattr(self, f"{name}_exists")
        return sequence_neighbours(part.mask.shape[1], part.values.device)
