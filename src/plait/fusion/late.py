"""Late (decision-level) fusion: each modality predicts its own actions; the predictions are added.

Idea: one opinion a modality, combined by learned weights that renormalise over what is present:

    a = Σ_m w_m · a_m,   w = softmax over present m of g_m(mean(tokens_m))

Reference: Baltrušaitis et al., 2019, §7 (model-agnostic late fusion); gated as in Arevalo et al.,
2017 (GMU).
Cost: no exchange at all between modalities; each branch could run on another machine.
When it loses: whenever one modality is needed to understand another, as an instruction is to know
which object in the image is meant. What it has is robustness: a missing modality loses its vote.
"""

from collections.abc import Mapping

import torch
from torch import nn

from plait.fusion.base import Fusion, Projections
from plait.layers import MLP, Linear
from plait.masks import masked_softmax, pooled_mean
from plait.types import Fused, Tokens, TokenSpec


class LateFusion(Fusion):
    """One token group a modality, weighted by a gate over the modalities present.

    Args:
        specs: What each modality's tokens look like.
        width: Size of the tokens.
        hidden_dim: Hidden size of each modality's MLP.
    """

    def __init__(self, specs: Mapping[str, TokenSpec], width: int, *, hidden_dim: int = 64) -> None:
        nn.Module.__init__(self)
        self.project = Projections(specs, width)
        self.num_groups = len(specs)
        self.branches = nn.ModuleDict({name: MLP(width, hidden_dim, width) for name in specs})
        self.norms = nn.ModuleDict({name: nn.LayerNorm(width) for name in specs})
        self.gates = nn.ModuleDict({name: Linear(width, 1) for name in specs})

    def forward(self, tokens: Mapping[str, Tokens]) -> Fused:
        """Return every modality's tokens as a group of its own, with its weight."""
        groups, logits = [], []
        for name, part in self.project(tokens).items():
            values = part.values + self.branches[name](self.norms[name](part.values))
            groups.append(part.with_values(values))
            logits.append(self.gates[name](pooled_mean(values, part.mask)))
        present = torch.stack([group.mask.any(dim=1) for group in groups], dim=1)
        weights = masked_softmax(torch.cat(logits, dim=-1), present)
        return Fused(tuple(groups), weights, diagnostics={"modality_usage": weights.detach()})
