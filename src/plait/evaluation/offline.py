"""Open-loop error: how far predicted actions are from recorded ones, without an environment.

    e = Σ mask · |â - a| / Σ mask, in the environment's own action units

Cheap and smooth, so good for choosing a checkpoint; a poor judge between strategies, because it
weighs every step alike while a task is lost at a few of them. Success in closed loop is the result.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from plait.errors import PlaitError
from plait.execution import PredictsChunks, mask_modalities
from plait.masks import masked_sum
from plait.types import Batch


@dataclass(frozen=True, kw_only=True)
class ActionError:
    """Mean absolute error of predicted actions.

    Attributes:
        mean: Over all recorded steps and dimensions.
        per_dim: For each action dimension.
        per_step: For each step of the horizon; 0 where no recorded action reaches that far.
        num_steps: Recorded steps compared, each counted once for every chunk that predicts it.
    """

    mean: float
    per_dim: tuple[float, ...]
    per_step: tuple[float, ...]
    num_steps: int


def action_error(
    policy: PredictsChunks, batches: Iterable[Batch], *, masked_modalities: Sequence[str] = ()
) -> ActionError:
    """Compare predictions with the recorded actions of held-out batches.

    Args:
        policy: Anything that predicts chunks.
        batches: Observations with the actions that followed; padded steps are left out.
        masked_modalities: Withheld from the policy, as in the rollouts of a control.

    Raises:
        PlaitError: If there is not one recorded action.
    """
    totals, counts = [], []
    for batch in batches:
        chunk = batch.action_chunk
        predicted = policy.predict(mask_modalities(batch.observation, masked_modalities)).actions
        error = (predicted.to(chunk.actions.device) - chunk.actions).abs().double()
        mask = chunk.mask.unsqueeze(-1).expand_as(error)
        totals.append(masked_sum(error, mask, dim=0))  # [horizon action_dim]
        counts.append(chunk.mask.sum(dim=0))  # [horizon]
    if not any(bool(count.any()) for count in counts):
        raise PlaitError("there is no held-out action to compare with; hold out some episodes")
    total, count = torch.stack(totals).sum(dim=0), torch.stack(counts).sum(dim=0)
    return ActionError(
        mean=float(total.mean(dim=1).sum() / count.sum()),
        per_dim=tuple((total.sum(dim=0) / count.sum()).tolist()),
        per_step=tuple((total.mean(dim=1) / count.clamp(min=1)).tolist()),
        num_steps=int(count.sum()),
    )
