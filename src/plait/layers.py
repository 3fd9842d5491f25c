"""Small layers shared by encoders, fusions and heads. All attention here is mask-safe.

Shape suffixes in the code: B batch, Q queries, T tokens (keys), N heads, D width, Y X grid.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from plait.masks import is_all_real, masked_fill, masked_softmax
from plait.types import Tokens, TokenSpec


class Linear(nn.Linear):
    """A linear layer that starts out keeping the variance of its input (LeCun et al., 1998).

    PyTorch's own start keeps a third of it. Over the layers between a word and the action that
    leaves too little of what the word and a patch have in common for the gradient to find.
    """

    def reset_parameters(self) -> None:
        """Draw weights of variance 1 / in_features; biases are zero."""
        nn.init.kaiming_uniform_(self.weight, nonlinearity="linear")
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class MLP(nn.Module):
    """Linear, SiLU, linear.

    SiLU (Elfwing et al., 2018) rather than GELU: as good here, and its exponential costs a CPU two
    thirds of what the error function does.
    """

    def __init__(self, in_dim: int, hidden_dim: int, out_dim: int) -> None:
        super().__init__()
        self.expand = Linear(in_dim, hidden_dim)
        self.contract = Linear(hidden_dim, out_dim)

    def forward(self, values: Float[Tensor, "*axes in_dim"]) -> Float[Tensor, "*axes out_dim"]:
        """Map the last axis."""
        return self.contract(F.silu(self.expand(values)))


def read_keys(
    query: Float[Tensor, "B N Q H"],
    key: Float[Tensor, "B N T H"],
    value: Float[Tensor, "B N T H"],
    mask: Bool[Tensor, "B _ T"],
) -> Float[Tensor, "B N Q H"]:
    """Let every query read the keys of its mask; one without any reads what means nothing.

    The mask's second axis has one entry a query, or one for all. A softmax over nothing would be
    NaN, so such a row is opened, and the caller drops the outcome.
    """
    open_mask = (mask | ~mask.any(dim=-1, keepdim=True)).unsqueeze(1)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=open_mask)


def weigh_keys(
    query: Float[Tensor, "B N Q H"],
    key: Float[Tensor, "B N T H"],
    value: Float[Tensor, "B N T H"],
    mask: Bool[Tensor, "B _ T"],
) -> tuple[Float[Tensor, "B N Q H"], Float[Tensor, "B Q T"]]:
    """Do the same, and also return the weights averaged over the heads; zeros for no key."""
    logits = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    weights = masked_softmax(logits, mask.unsqueeze(1).expand_as(logits))
    return weights @ value, weights.mean(dim=1)


class Attention(nn.Module):
    """Multi-head scaled dot-product attention over real keys only.

    `softmax(QKᵀ/√d)V` (Vaswani et al., 2017). A query with no real key receives zero, and masked
    keys receive exactly zero gradient. Masked keys must be finite, which `Projection` sees to: a
    weight of zero does not stop NaN.

    Args:
        width: Size of the token axis.
        num_heads: Heads; must divide `width`.
    """

    def __init__(self, width: int, num_heads: int = 4) -> None:
        super().__init__()
        if width % num_heads:
            raise ValueError(f"width {width} is not a multiple of num_heads {num_heads}")
        self.num_heads = num_heads
        self.query = Linear(width, width)
        self.key_value = Linear(width, 2 * width)
        self.out = Linear(width, width)

    def _heads(self, values: Float[Tensor, "B T D"]) -> Float[Tensor, "B N T H"]:
        return values.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def forward(
        self,
        queries: Float[Tensor, "batch query width"],
        keys: Float[Tensor, "batch key width"],
        key_mask: Bool[Tensor, "batch key"],
    ) -> Float[Tensor, "batch query width"]:
        """Let every query read the real keys."""
        key_BNTH, value_BNTH = (self._heads(part) for part in self.key_value(keys).chunk(2, -1))
        query_BNQH = self._heads(self.query(queries))
        if is_all_real(key_mask):
            mixed = F.scaled_dot_product_attention(query_BNQH, key_BNTH, value_BNTH)
            return self.out(mixed.transpose(1, 2).flatten(-2))
        mixed = read_keys(query_BNQH, key_BNTH, value_BNTH, key_mask.unsqueeze(1))
        out = self.out(mixed.transpose(1, 2).flatten(-2))
        # A product, which is cheaper than a fill: what stands here is finite.
        return out * key_mask.any(dim=-1)[:, None, None].to(out.dtype)

    def attend(
        self,
        queries: Float[Tensor, "batch query width"],
        keys: Float[Tensor, "batch key width"],
        key_mask: Bool[Tensor, "batch key"],
    ) -> tuple[Float[Tensor, "batch query width"], Float[Tensor, "batch query key"]]:
        """Do the same, and also return the attention weights averaged over the heads."""
        key_BNTH, value_BNTH = (self._heads(part) for part in self.key_value(keys).chunk(2, -1))
        query_BNQH = self._heads(self.query(queries))
        mixed, weights_BQT = weigh_keys(query_BNQH, key_BNTH, value_BNTH, key_mask.unsqueeze(1))
        out = self.out(mixed.transpose(1, 2).flatten(-2))
        has_key = key_mask.any(dim=-1)[:, None, None].to(out.dtype)
        return out * has_key, weights_BQT


class SelfAttentionBlock(nn.Module):
    """Pre-norm transformer block over one sequence (Xiong et al., 2020)."""

    def __init__(self, width: int, hidden_dim: int, num_heads: int = 4) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, num_heads)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = MLP(width, hidden_dim, width)

    def forward(self, tokens: Tokens) -> Tokens:
        """Mix the real tokens; values at masked positions are never read by others."""
        normed = self.attention_norm(tokens.values)
        values = tokens.values + self.attention(normed, normed, tokens.mask)
        return tokens.with_values(values + self.mlp(self.mlp_norm(values)))


class ResidualConv(nn.Module):
    """3×3 convolution with a residual, optionally scaled and shifted by a condition.

    `x + silu((1 + γ)·conv(norm(x)) + β)`; γ and β are FiLM's (Perez et al., 2018).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, width)
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(
        self,
        grid: Float[Tensor, "batch width rows columns"],
        scale: Float[Tensor, "batch width"] | None = None,
        shift: Float[Tensor, "batch width"] | None = None,
    ) -> Float[Tensor, "batch width rows columns"]:
        """Convolve; without a condition γ = β = 0."""
        inner = self.conv(self.norm(grid))
        if scale is not None:
            inner = inner * (1 + scale)[:, :, None, None]
        if shift is not None:
            inner = inner + shift[:, :, None, None]
        return grid + F.silu(inner)


class AttentionPool(nn.Module):
    """Read a token sequence with learned queries: masked softmax over the tokens per query.

    With tokens that carry their position this is the spatial softmax of visuomotor policies
    (Levine et al., 2016): each query reports where its feature is.

    Args:
        width: Size of the token axis.
        num_queries: Learned queries.
        query_dim: Size of keys and values per query.
    """

    def __init__(self, width: int, num_queries: int = 8, query_dim: int = 32) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(num_queries, query_dim))
        # Without a bias: it would add the same to every logit, which a softmax does not see.
        self.key = Linear(width, query_dim, bias=False)
        self.value = Linear(width, query_dim)
        self.out_dim = num_queries * query_dim

    def forward(self, tokens: Tokens) -> Float[Tensor, "batch out_dim"]:
        """Return all queries' readings side by side; zero where no token is real."""
        # Filled first: a weight of zero does not stop NaN.
        values = _filled(tokens)
        logits_BQT = self.queries @ self.key(values).transpose(-1, -2)
        logits_BQT = logits_BQT / math.sqrt(self.queries.shape[-1])
        weights = masked_softmax(logits_BQT, tokens.mask.unsqueeze(1).expand_as(logits_BQT))
        return (weights @ self.value(values)).flatten(1)


class Projection(nn.Module):
    """Bring the tokens of one modality to the shared width and mark them with their modality.

    Masked tokens are zeroed first, so that whatever stands in padding, NaN included, stops here.
    """

    def __init__(self, spec: TokenSpec, width: int) -> None:
        super().__init__()
        self.linear = Linear(spec.width, width)
        self.modality_embedding = nn.Parameter(torch.randn(width) * 0.02)

    def forward(self, tokens: Tokens) -> Tokens:
        """Map `[batch, tokens, spec.width]` to `[batch, tokens, width]`."""
        values = self.linear(_filled(tokens))
        # In the values' own type, so that what is computed in half precision stays there.
        return tokens.with_values(values + self.modality_embedding.to(values.dtype))


def _filled(tokens: Tokens) -> Float[Tensor, "batch tokens width"]:
    """Return the values with zeros for what is not real."""
    if is_all_real(tokens.mask):
        return tokens.values
    return masked_fill(tokens.values, tokens.mask.unsqueeze(-1).expand_as(tokens.values))


def sinusoidal_grid(rows: int, columns: int, width: int) -> Float[Tensor, "tokens width"]:
    """Two-dimensional sine-cosine positions: half of the width for rows, half for columns.

    Raises:
        ValueError: If `width` is not a multiple of 4.
    """
    if width % 4:
        raise ValueError(f"width {width} is not a multiple of 4")
    # Frequencies span half a period to `rows` periods over the grid, so neighbours stay distinct.
    frequency = torch.logspace(0, math.log2(max(rows, columns, 2)), width // 4, base=2) * math.pi

    def encode(size: int) -> Tensor:
        phase = (torch.arange(size) + 0.5)[:, None] / size * frequency
        return torch.cat([phase.sin(), phase.cos()], dim=-1)

    row_axis = encode(rows)[:, None].expand(-1, columns, -1)
    column_axis = encode(columns)[None].expand(rows, -1, -1)
    return torch.cat([row_axis, column_axis], dim=-1).flatten(0, 1)


def tokens_to_grid(
    values: Float[Tensor, "batch tokens width"], spec: TokenSpec
) -> Float[Tensor, "batch_views width rows columns"]:
    """Lay image tokens out as feature maps, one per view.

    Raises:
        ValueError: If the tokens are not image tokens.
    """
    if spec.grid is None:
        raise ValueError("tokens without a grid cannot be laid out as an image")
    rows, columns = spec.grid
    maps = values.unflatten(1, (spec.num_views, rows, columns)).flatten(0, 1)
    # A channels-last view: no copy, and the layout CPU convolutions prefer.
    return maps.permute(0, 3, 1, 2)


def grid_to_tokens(
    grid: Float[Tensor, "batch_views width rows columns"], num_views: int
) -> Float[Tensor, "batch tokens width"]:
    """Undo `tokens_to_grid`."""
    return grid.permute(0, 2, 3, 1).unflatten(0, (-1, num_views)).flatten(1, 3)
