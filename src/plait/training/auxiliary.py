"""Auxiliary heads: each modality must predict the actions by itself, too, while training.

A modality that is quicker to learn leaves little loss for the others to be trained by; a head of
its own keeps a gradient for each. The heads belong to the training and not to the policy: they are
kept in its checkpoint, and end with it.

Reference: Wang et al., 2020 (unimodal heads beside the joint one, there to weigh gradients).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from plait.config import TrainingConfig
from plait.encoders.base import Encoder
from plait.errors import OptionError
from plait.heads.base import HeadShape
from plait.heads.regression import RegressionHead
from plait.policy import Policy, PolicyLoss
from plait.types import ActionChunk, Batch, Fused, Tokens

PREFIX = "auxiliary_"
HIDDEN_DIM = 64
NUM_QUERIES = 4


class WithAuxiliaryHeads(nn.Module):
    """A policy in training, with a small regression head on each modality's own tokens.

    In evaluation it is the policy alone, so a validation loss means the same with and without.

    Args:
        policy: Trained in place.
        weight: Of every head's loss.
    """

    def __init__(self, policy: Policy, weight: float) -> None:
        super().__init__()
        self.policy, self.weight = policy, weight
        self.heads = nn.ModuleDict(
            {
                name: RegressionHead(
                    HeadShape(
                        encoder.token_spec.width,
                        1,
                        policy.action_horizon,
                        policy.action_transform.represented_dim,
                    ),
                    hidden_dim=HIDDEN_DIM,
                    num_queries=NUM_QUERIES,
                )
                for name, encoder in policy.encoders.items()
                if isinstance(encoder, Encoder)
            }
        )

    def forward(self, batch: Batch) -> PolicyLoss:
        """Return the policy's loss, and each head's as `auxiliary_MODALITY`, weighted."""
        tokens, target = self.policy.encode(batch.observation), self.policy.target(batch)
        loss = self.policy.loss(tokens, target)
        if not self.training:
            return loss
        auxiliary = {
            f"{PREFIX}{name}": self.weight * self._unimodal(name, part, target)
            for name, part in tokens.items()
            # A head that sees nothing has no loss, and its modality no score.
            if bool(part.mask.any())
        }
        return PolicyLoss.of({**loss.parts, **auxiliary})

    def _unimodal(self, name: str, tokens: Tokens, target: ActionChunk) -> Float[Tensor, ""]:
        """Return a head's mean loss over the samples that have its modality."""
        is_there = tokens.mask.any(dim=1, keepdim=True)
        head = self.heads[name]
        assert isinstance(head, RegressionHead)
        return head.loss(Fused.single(tokens), ActionChunk(target.actions, target.mask & is_there))


def with_auxiliary_heads(model: nn.Module, config: TrainingConfig) -> nn.Module:
    """Return what is trained: the model, or a policy with heads, whose weights follow the seed.

    Raises:
        OptionError: If heads are wanted for a model that is no policy.
    """
    if not config.robust.auxiliary_weight:
        return model
    if not isinstance(model, Policy):
        raise OptionError(f"auxiliary heads are for policies, but this is a {type(model).__name__}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return WithAuxiliaryHeads(model, config.robust.auxiliary_weight)


def unimodal_losses(loss: PolicyLoss) -> dict[str, float]:
    """Return the loss of every head that saw something, by modality."""
    return {
        name.removeprefix(PREFIX): float(part.detach())
        for name, part in loss.parts.items()
        if name.startswith(PREFIX)
    }
