"""Fusions with one planted bug each, and the sound one that they are made from."""

import math

import torch
from torch import nn

from plait.fusion.base import Fusion
from plait.layers import MLP
from plait.masks import masked_fill, masked_softmax, pooled_mean
from plait.types import PROPRIO, Fused, Tokens


def zeroed(part):
    return masked_fill(part.values, part.mask.unsqueeze(-1).expand_as(part.values))


class SoundFusion(Fusion):
    """Masked means side by side, through an MLP: every bug below overrides one line of it."""

    def __init__(self, specs, width, *, hidden_dim=16):
        nn.Module.__init__(self)
        self.linear = nn.ModuleDict({n: nn.Linear(s.width, width) for n, s in specs.items()})
        self.mlp = MLP(len(specs) * width, hidden_dim, width)

    def embed(self, name, part):
        return part.with_values(self.linear[name](zeroed(part)))

    def pool(self, part):
        return pooled_mean(part.values, part.mask)

    def names(self, tokens):  # noqa: ARG002
        return list(self.linear)

    def finish(self, fused):
        return fused

    def forward(self, tokens):
        names = self.names(tokens)
        pooled = [self.pool(self.embed(name, tokens[name])) for name in names]
        present = torch.stack([part.mask.any(dim=1) for part in tokens.values()], dim=1)
        fused = self.finish(self.mlp(torch.cat(pooled, dim=-1)))
        return Fused.single(Tokens(fused.unsqueeze(1), present.any(dim=1, keepdim=True)))


class MeanOverPadding(SoundFusion):
    def embed(self, name, part):
        return part.with_values(self.linear[name](part.values))

    def pool(self, part):
        return part.values.mean(dim=1)


class MaskThenPlainMean(SoundFusion):
    def pool(self, part):
        return zeroed(part).mean(dim=1)


class InvertedMask(SoundFusion):
    def embed(self, name, part):
        return part.with_values(self.linear[name](part.values))

    def pool(self, part):
        return pooled_mean(part.values, ~part.mask)


class MaskByProduct(SoundFusion):
    """Zero times NaN is NaN."""

    def embed(self, name, part):
        return part.with_values(self.linear[name](part.values))

    def pool(self, part):
        count = part.mask.sum(dim=1, keepdim=True).clamp(min=1)
        return (part.values * part.mask.unsqueeze(-1)).sum(dim=1) / count


class MaskNeverRead(SoundFusion):
    """Max pooling over everything, padding included."""

    def embed(self, name, part):
        return part.with_values(self.linear[name](part.values))

    def pool(self, part):
        return part.values.amax(dim=1)


class ModalitySkipped(SoundFusion):
    def names(self, tokens):  # noqa: ARG002
        return [name if name != PROPRIO else "language" for name in self.linear]


class ParametersInAList(SoundFusion):
    """The low-rank factors of MultiBench: used, and yet never trained, saved or moved."""

    def __init__(self, specs, width, *, hidden_dim=16):
        super().__init__(specs, width, hidden_dim=hidden_dim)
        self.factors = [nn.Parameter(torch.randn(width))]

    def finish(self, fused):
        return fused * self.factors[0]


class ModulesInADictionary(SoundFusion):
    def __init__(self, specs, width, *, hidden_dim=16):
        super().__init__(specs, width, hidden_dim=hidden_dim)
        self.extra = {"scale": nn.Linear(width, width)}

    def finish(self, fused):
        return self.extra["scale"](fused)


class PlainTensorAttribute(SoundFusion):
    def __init__(self, specs, width, *, hidden_dim=16):
        super().__init__(specs, width, hidden_dim=hidden_dim)
        self.scale = torch.full((width,), 1.5)

    def finish(self, fused):
        return fused * self.scale


class StatisticsOverTheBatch(SoundFusion):
    def finish(self, fused):
        return fused - fused.mean(dim=0)


class BatchNormalised(SoundFusion):
    def __init__(self, specs, width, *, hidden_dim=16):
        super().__init__(specs, width, hidden_dim=hidden_dim)
        self.norm = nn.BatchNorm1d(width)

    def finish(self, fused):
        return self.norm(fused)


class PlaceInTheBatch(SoundFusion):
    def finish(self, fused):
        return fused + torch.arange(len(fused)).unsqueeze(1).to(fused)


class AttentionPooled(SoundFusion):
    """Sound too: pools by attention, one learned query a modality."""

    def __init__(self, specs, width, *, hidden_dim=16):
        super().__init__(specs, width, hidden_dim=hidden_dim)
        self.query = nn.Parameter(torch.randn(width))

    def pool(self, part):
        logits = part.values @ self.query / math.sqrt(len(self.query))
        return torch.einsum("bt,btd->bd", self.weights(logits, part.mask), part.values)

    def weights(self, logits, mask):
        return masked_softmax(logits, mask)


class SoftmaxOverNothing(AttentionPooled):
    def weights(self, logits, mask):
        return torch.softmax(logits.masked_fill(~mask, -math.inf), dim=-1)


class SoftmaxOverNothingRepaired(AttentionPooled):
    """Finite forward; the gradient is still NaN."""

    def weights(self, logits, mask):
        closed = torch.zeros_like(logits).masked_fill(~mask, -math.inf)
        return torch.softmax(logits + closed, dim=-1).nan_to_num(0.0)


class AbsentModalityLeaks(AttentionPooled):
    """Opens a row without a real token, as it must, but keeps the outcome."""

    def embed(self, name, part):
        safe = torch.nan_to_num(part.values, 0.0, 0.0, 0.0)
        return part.with_values(self.linear[name](safe))

    def weights(self, logits, mask):
        return masked_softmax(logits, mask | ~mask.any(dim=1, keepdim=True))


class WeaklyMasked(AttentionPooled):
    """A finite penalty instead of a mask: padding still has a share, and a gradient."""

    def embed(self, name, part):
        return part.with_values(self.linear[name](part.values))

    def weights(self, logits, mask):
        return torch.softmax(logits - 3.0 * ~mask, dim=-1)


class DeadBranch(SoundFusion):
    def __init__(self, specs, width, *, hidden_dim=16):
        super().__init__(specs, width, hidden_dim=hidden_dim)
        self.unused = nn.Linear(width, width)

    def finish(self, fused):
        self.unused(fused)
        return fused


class SingleKeySoftmax(SoundFusion):
    """Attention over one pooled vector: a softmax over a single key is one, whatever the query."""

    def __init__(self, specs, width, *, hidden_dim=16):
        super().__init__(specs, width, hidden_dim=hidden_dim)
        self.query = nn.Linear(width, width)

    def finish(self, fused):
        logits = (self.query(fused) * fused).sum(dim=-1, keepdim=True)
        return fused * torch.softmax(logits, dim=-1)


class DetachedBranch(SoundFusion):
    def pool(self, part):
        pooled = super().pool(part)
        return pooled + pooled.detach().square()


class OrderOfTheDictionary(SoundFusion):
    def names(self, tokens):
        return list(tokens)


class RandomInForward(SoundFusion):
    def finish(self, fused):
        return fused + 0.01 * torch.randn_like(fused)


class InPlaceMask(SoundFusion):
    def embed(self, name, part):
        with torch.no_grad():
            part.values.masked_fill_(~part.mask.unsqueeze(-1), 0.0)
        return super().embed(name, part)


class FixedDtype(SoundFusion):
    """Constants of a fixed dtype turn bfloat16 into float32."""

    def finish(self, fused):
        return fused + torch.ones(fused.shape[-1], dtype=torch.float32)


class PositionalOption(SoundFusion):
    def __init__(self, specs, width, hidden_dim):
        super().__init__(specs, width, hidden_dim=hidden_dim)


class WrongNumberOfGroups(SoundFusion):
    num_groups = 2


class HiddenDimAddsLayers(SoundFusion):
    def __init__(self, specs, width, *, hidden_dim=16):
        super().__init__(specs, width, hidden_dim=16)
        layers = [nn.Linear(width, width) for _ in range(hidden_dim // 8)]
        self.more = nn.Sequential(*layers)

    def finish(self, fused):
        return self.more(fused)


class UnsavedState(SoundFusion):
    def __init__(self, specs, width, *, hidden_dim=16):
        super().__init__(specs, width, hidden_dim=hidden_dim)
        self.register_buffer("scale", torch.randn(width), persistent=False)

    def finish(self, fused):
        return fused * self.scale


class DecisionLevel(SoundFusion):
    """Sound too: one group a modality, weighted over those present."""

    def __init__(self, specs, width, *, hidden_dim=16):
        super().__init__(specs, width, hidden_dim=hidden_dim)
        self.mlp = nn.ModuleDict({name: MLP(width, hidden_dim, width) for name in specs})
        self.gate = nn.Parameter(torch.randn(len(specs)))
        self.num_groups = len(specs)

    def forward(self, tokens):
        groups = []
        for name, branch in self.mlp.items():
            part = self.embed(name, tokens[name])
            groups.append(part.with_values(branch(part.values)))
        present = torch.stack([group.mask.any(dim=1) for group in groups], dim=1)
        return Fused(tuple(groups), self.weights(self.gate.expand(present.shape), present))

    def weights(self, gate, present):
        return masked_softmax(gate, present)


class WeightsIgnoreAbsence(DecisionLevel):
    def weights(self, gate, present):  # noqa: ARG002
        return torch.softmax(gate, dim=-1)


class WeightsNotRenormalised(DecisionLevel):
    def weights(self, gate, present):
        return torch.softmax(gate, dim=-1) * present


class NegativeWeights(DecisionLevel):
    def weights(self, gate, present):
        shares = masked_softmax(gate, present)
        signs = torch.tensor([2.0, -1.0, 1.0]).to(shares)
        return shares * signs / (shares * signs).sum(dim=-1, keepdim=True).clamp(min=1e-9)
