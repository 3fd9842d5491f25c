"""Early fusion: one transformer over raw patches, words and state, before any unimodal encoding.

Idea: no modality has an encoder of its own. Patch, word and state embeddings form one sequence
and every layer may mix everything:

    z = Transformer([patches ; words ; state])

Reference: Gadre/Chameleon-style early fusion; Bao et al., 2022 (VLMo) and Reed et al., 2022 (Gato)
put raw embeddings of all modalities into one transformer.
Cost: attention quadratic in all tokens, in every layer.
When it loses: with little data, since nothing of what each modality is like is built in.
"""

from collections.abc import Mapping

from torch import nn

from plait.fusion.base import Fusion, Projections
from plait.layers import SelfAttentionBlock
from plait.types import MODALITIES, Fused, Tokens, TokenSpec


class EarlyFusion(Fusion):
    """A transformer over the stems of all modalities.

    Args:
        specs: What each modality's tokens look like.
        width: Size of the tokens.
        hidden_dim: Hidden size of the blocks' MLPs.
        num_layers: Transformer blocks.
        num_heads: Attention heads.
    """

    level = dict.fromkeys(MODALITIES, "stem")

    def __init__(
        self,
        specs: Mapping[str, TokenSpec],
        width: int,
        *,
        hidden_dim: int = 128,
        num_layers: int = 3,
        num_heads: int = 2,
    ) -> None:
        nn.Module.__init__(self)
        self.project = Projections(specs, width)
        blocks = [SelfAttentionBlock(width, hidden_dim, num_heads) for _ in range(num_layers)]
        self.blocks = nn.Sequential(*blocks)

    def forward(self, tokens: Mapping[str, Tokens]) -> Fused:
        """Return the whole sequence after the last block."""
        sequence = Tokens.concatenate(list(self.project(tokens).values()))
        return Fused.single(self.blocks(sequence))
