"""Cross-attention: words and state attend over all vision tokens, and vision attends back.

Idea: every word looks for what it names. Per layer, with C the words and state and V the patches:

    C ← C + Attention(C → V),   V ← V + Attention(V → C),   each followed by an MLP

Token by token: attention over one pooled vector would be a softmax over a single key, a no-op.

Reference: Lu et al., 2019 (ViLBERT co-attention); Tan & Bansal, 2019 (LXMERT).
Cost: linear in patches × words, cheaper than joint self-attention over all tokens.
When it loses: when patches must be compared with one another, which this never does directly.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from plait.fusion.base import Fusion, Projections
from plait.layers import MLP, Attention
from plait.types import LANGUAGE, PROPRIO, VISION, Fused, Tokens, TokenSpec


class CrossAttentionLayer(nn.Module):
    """One exchange in both directions."""

    def __init__(self, width: int, hidden_dim: int, num_heads: int) -> None:
        super().__init__()
        self.command_norm = nn.LayerNorm(width)
        self.vision_norm = nn.LayerNorm(width)
        self.read_vision = Attention(width, num_heads)
        self.read_command = Attention(width, num_heads)
        self.command_mlp_norm = nn.LayerNorm(width)
        self.command_mlp = MLP(width, hidden_dim, width)
        self.vision_mlp_norm = nn.LayerNorm(width)
        self.vision_mlp = MLP(width, hidden_dim // 2, width)

    def forward(self, command: Tokens, vision: Tokens) -> tuple[Tokens, Tokens, Tensor | None]:
        """Return both sequences, and in evaluation the command's attention over the patches."""
        command_in = self.command_norm(command.values)
        vision_in = self.vision_norm(vision.values)
        weights = None
        if self.training:
            # Nobody looks at the weights then, and attention that keeps none is faster.
            read = self.read_vision(command_in, vision_in, vision.mask)
        else:
            read, weights = self.read_vision.attend(command_in, vision_in, vision.mask)
        command_values = command.values + read
        vision_values = vision.values + self.read_command(vision_in, command_in, command.mask)
        command_values = command_values + self.command_mlp(self.command_mlp_norm(command_values))
        vision_values = vision_values + self.vision_mlp(self.vision_mlp_norm(vision_values))
        return command.with_values(command_values), vision.with_values(vision_values), weights


class CrossAttentionFusion(Fusion):
    """Layers of two-way cross-attention between the command and the image.

    Args:
        specs: What each modality's tokens look like.
        width: Size of the tokens.
        hidden_dim: Hidden size of the command's MLPs; the vision's have half of it.
        num_layers: Exchanges.
        num_heads: Attention heads.
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
        self.grid = specs[VISION].grid
        self.num_views = specs[VISION].num_views
        self.layers = nn.ModuleList(
            CrossAttentionLayer(width, hidden_dim, num_heads) for _ in range(num_layers)
        )

    def forward(self, tokens: Mapping[str, Tokens]) -> Fused:
        """Return words, state and patches after the exchange; in evaluation with attention maps."""
        parts = self.project(tokens)
        command = Tokens.concatenate([parts[LANGUAGE], parts[PROPRIO]])
        vision = parts[VISION]
        weights: Tensor | None = None
        for layer in self.layers:
            command, vision, weights = layer(command, vision)
        num_words = parts[LANGUAGE].mask.shape[1]
        diagnostics = {}
        if self.grid is not None and weights is not None:
            maps = weights[:, :num_words].unflatten(-1, (self.num_views, *self.grid))
            diagnostics["attention"] = maps.detach()
        fused = Tokens.concatenate([command, vision])
        return Fused.single(fused, diagnostics=diagnostics)
