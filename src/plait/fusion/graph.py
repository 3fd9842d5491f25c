"""Graph fusion: patches, words and states are nodes; who may tell whom what is built in.

Idea: nodes pass messages along typed, directed edges: patches to the patches around them, words to
the words beside them, and every modality to every other. Along an edge of type r from j to i:

    e_ij = (Q x_i)ᵀ (W_r K x_j + u_r) / √d,   x_i ← x_i + O Σ_j softmax_j(e_ij) K x_j

The softmax runs over all edges into i, whatever their type, so the types compete.

Reference: Hu et al., 2020 (HGT: projections of each node type, a bilinear form of each edge type).
Cost: few edges, but computed as masked attention over all pairs, which a CPU does faster than it
gathers neighbours; the typed keys are the dearest part.
When it loses: where far patches must be compared: they are many steps apart, or meet in a word.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from plait.fusion.base import Fusion, Projections
from plait.layers import MLP, Linear, read_keys, weigh_keys
from plait.masks import masked_fill, masked_mean
from plait.types import LANGUAGE, VISION, Fused, Tokens, TokenSpec

# Per modality, which of its nodes are neighbours.
Adjacency = Mapping[str, Bool[Tensor, "nodes nodes"]]


def grid_adjacency(rows: int, columns: int, num_views: int) -> Bool[Tensor, "nodes nodes"]:
    """Join each patch with its 3×3 neighbourhood within its view, itself included."""
    places = torch.cartesian_prod(
        torch.arange(num_views), torch.arange(rows), torch.arange(columns)
    )
    distance = (places[:, None] - places[None]).abs()
    return (distance[..., 0] == 0) & (distance[..., 1:].amax(dim=-1) <= 1)


def sequence_adjacency(length: int, device: torch.device) -> Bool[Tensor, "nodes nodes"]:
    """Join each token with the one before, itself and the one after."""
    place = torch.arange(length, device=device)
    return (place[:, None] - place).abs() <= 1


class GraphLayer(nn.Module):
    """One round of messages along every type of edge, then an MLP a node.

    Edge types are the pairs (receiver, sender) of modalities. Within a modality only neighbours
    are joined; between modalities every pair is.
    """

    def __init__(
        self, modalities: tuple[str, ...], width: int, hidden_dim: int, num_heads: int
    ) -> None:
        super().__init__()
        if width % num_heads:
            raise ValueError(f"width {width} is not a multiple of num_heads {num_heads}")
        self.num_heads = num_heads
        self.norms = nn.ModuleDict({name: nn.LayerNorm(width) for name in modalities})
        self.receive = nn.ModuleDict({name: Linear(width, width) for name in modalities})
        self.send = nn.ModuleDict({name: Linear(width, width, bias=False) for name in modalities})
        head_dim = width // num_heads
        shape = (len(modalities) ** 2, num_heads, head_dim)
        self.type_matrix = nn.Parameter(torch.eye(head_dim).repeat(*shape[:2], 1, 1))
        self.type_bias = nn.Parameter(torch.randn(shape) * 0.1)
        self.out = Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = MLP(width, hidden_dim, width)

    def forward(
        self, nodes: Mapping[str, Tokens], adjacency: Adjacency
    ) -> tuple[dict[str, Tokens], dict[str, Tensor]]:
        """Return the updated nodes, and for each receiver its weights averaged over the heads.

        The weights `[batch, receivers, senders]` go over the nodes of all modalities in order, and
        are there in evaluation mode only: training does not look at them.
        """
        normed = {name: self.norms[name](part.values) for name, part in nodes.items()}
        sent = {name: self._heads(self.send[name](normed[name])) for name in nodes}
        messages_BNJH = torch.cat(list(sent.values()), dim=2)
        updated: dict[str, Tokens] = {}
        weights: dict[str, Tensor] = {}
        for row, (receiver, part) in enumerate(nodes.items()):
            asked_BNIH = self._heads(self.receive[receiver](normed[receiver]))
            kinds = range(row * len(nodes), (row + 1) * len(nodes))
            typed = [self._type_keys(k, each) for k, each in zip(kinds, sent.values(), strict=True)]
            mask_BIJ = _edges_into(receiver, nodes, adjacency)
            keys_BNJH = torch.cat(typed, dim=2)
            if self.training:
                read = read_keys(asked_BNIH, keys_BNJH, messages_BNJH, mask_BIJ)
                hears = mask_BIJ.any(dim=-1)[:, None, :, None]
                read = masked_fill(read, hears.expand_as(read))
            else:
                read, weights[receiver] = weigh_keys(asked_BNIH, keys_BNJH, messages_BNJH, mask_BIJ)
            new = part.values + self.out(read.transpose(1, 2).flatten(-2))
            updated[receiver] = part.with_values(new + self.mlp(self.mlp_norm(new)))
        return updated, weights

    def _heads(self, values: Float[Tensor, "B I D"]) -> Float[Tensor, "B N I H"]:
        return values.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def _type_keys(
        self, edge_type: int, sent: Float[Tensor, "B N J H"]
    ) -> Float[Tensor, "B N J H"]:
        """Return W_r K x_j + u_r of an edge type."""
        return sent @ self.type_matrix[edge_type] + self.type_bias[edge_type].unsqueeze(1)


def _edges_into(
    receiver: str, nodes: Mapping[str, Tokens], adjacency: Adjacency
) -> Bool[Tensor, "B I J"]:
    """Say which nodes of all modalities each node of one modality hears."""
    batch, length = nodes[receiver].mask.shape
    parts = []
    for sender, part in nodes.items():
        is_joined = part.mask.unsqueeze(1).expand(batch, length, -1)
        parts.append(is_joined & adjacency[receiver] if sender == receiver else is_joined)
    return torch.cat(parts, dim=2)


class GraphFusion(Fusion):
    """Attention message passing over a typed graph of patches, words and states.

    Args:
        specs: What each modality's tokens look like.
        width: Size of the tokens.
        hidden_dim: Hidden size of the MLPs.
        num_layers: Rounds of messages.
        num_heads: Attention heads; must divide `width`.
    """

    def __init__(
        self,
        specs: Mapping[str, TokenSpec],
        width: int,
        *,
        hidden_dim: int = 128,
        num_layers: int = 2,
        num_heads: int = 2,
    ) -> None:
        nn.Module.__init__(self)
        self.project = Projections(specs, width)
        self.grids = {name: spec for name, spec in specs.items() if spec.grid is not None}
        for name, spec in self.grids.items():
            joined = grid_adjacency(*(spec.grid or (1, 1)), spec.num_views)
            self.register_buffer(f"{name}_adjacency", joined, persistent=False)
        modalities = tuple(specs)
        self.layers = nn.ModuleList(
            GraphLayer(modalities, width, hidden_dim, num_heads) for _ in range(num_layers)
        )

    def forward(self, tokens: Mapping[str, Tokens]) -> Fused:
        """Return all nodes; in evaluation, edge weights and where words look as diagnostics."""
        nodes = self.project(tokens)
        adjacency = {name: self._adjacency(name, part) for name, part in nodes.items()}
        weights: dict[str, Tensor] = {}
        for layer in self.layers:
            nodes, weights = layer(nodes, adjacency)
        diagnostics = self._diagnose(nodes, weights) if weights else {}
        return Fused.single(Tokens.concatenate(list(nodes.values())), diagnostics=diagnostics)

    def _diagnose(
        self, nodes: Mapping[str, Tokens], weights: Mapping[str, Float[Tensor, "B I J"]]
    ) -> dict[str, Tensor]:
        """Sum the last layer's weights by edge type, and lay out the words' over the patches."""
        sizes = [part.mask.shape[1] for part in nodes.values()]
        by_type = {name: weights[name].split(sizes, dim=-1) for name in nodes}
        shares = [
            masked_mean(part.sum(dim=2), nodes[receiver].mask, dim=1)
            for receiver, parts in by_type.items()
            for part in parts
        ]
        diagnostics = {"edge_weight": torch.stack(shares, dim=1).detach()}
        if VISION in self.grids:
            spec = self.grids[VISION]
            maps = by_type[LANGUAGE][list(nodes).index(VISION)]
            shape = (spec.num_views, *(spec.grid or (1, 1)))
            diagnostics["attention"] = maps.unflatten(-1, shape).detach()
        return diagnostics

    def _adjacency(self, name: str, part: Tokens) -> Bool[Tensor, "nodes nodes"]:
        """Return who is joined to whom within a modality."""
        if name in self.grids:
            found: Tensor = getattr(self, f"{name}_adjacency")
            return found
        return sequence_adjacency(part.mask.shape[1], part.values.device)
