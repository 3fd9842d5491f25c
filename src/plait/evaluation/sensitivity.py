"""How much a policy's actions depend on each modality: the same question for every strategy.

    s_m = mean over samples and steps of mean over d of |â_d - â_d without m| / std(a_d)

â is the predicted chunk and std that of the recorded actions: s = 1 means that losing the modality
moves the actions as far as the actions themselves vary. A policy that ignores its instruction has
s = 0 for it, whatever its success. Dimensions that never vary in the recordings are left out.

Absence is something the policy may not have been trained for, so a large s can also be surprise.
Swapping the instruction for another sample's keeps the policy on familiar ground.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from plait.errors import PlaitError
from plait.execution import PredictsChunks, mask_modalities
from plait.masks import masked_sum
from plait.results import Diagnostic
from plait.types import MODALITIES, ActionChunk, Batch, Observation

INSTRUCTION_SWAPPED = "instruction swapped"
SMALLEST_STD = 1e-6

# A change of the input, and the samples in which it changed something.
Changed = tuple[Observation, Bool[Tensor, " batch"]]
Change = Callable[[Observation], Changed]


def ablation_sensitivity(policy: PredictsChunks, batches: Iterable[Batch]) -> dict[str, float]:
    """Return how far the predicted actions move when each modality is masked out, in stds.

    Raises:
        PlaitError: If there are no recorded actions, or they never vary.
    """
    return _measure(policy, batches, _ablations())


def instruction_sensitivity(policy: PredictsChunks, batches: Iterable[Batch]) -> float:
    """Return how far they move when the instruction is another sample's, in stds.

    Zero where no batch holds two different instructions.

    Raises:
        PlaitError: If there are no recorded actions, or they never vary.
    """
    return _measure(policy, batches, {INSTRUCTION_SWAPPED: swap_instructions})[INSTRUCTION_SWAPPED]


def sensitivity_diagnostic(policy: PredictsChunks, batches: Iterable[Batch]) -> Diagnostic:
    """Measure all of the above in one pass, as bars for the report.

    Raises:
        PlaitError: If there are no recorded actions, or they never vary.
    """
    changes = {**_ablations(), INSTRUCTION_SWAPPED: swap_instructions}
    moved = _measure(policy, batches, changes)
    return Diagnostic(
        name="modality_sensitivity",
        kind="bars",
        labels=tuple(moved),
        values=tuple(round(value, 4) for value in moved.values()),
        note=(
            "Mean change of the predicted actions, in standard deviations of the recorded "
            "actions, when a modality is withheld or the instruction is another sample's; 0 means "
            "that the policy does not use it."
        ),
    )


def swap_instructions(observation: Observation) -> Changed:
    """Give every sample the next different instruction of the batch, and mark where there is one.

    Where all instructions are the same, nothing changes and nothing is marked.
    """
    given = observation.instruction
    swapped = []
    for index, instruction in enumerate(given):
        others = given[index + 1 :] + given[:index]
        swapped.append(next((other for other in others if other != instruction), instruction))
    has_changed = torch.tensor([new != old for new, old in zip(swapped, given, strict=True)])
    return replace(observation, instruction=tuple(swapped)), has_changed


def _ablations() -> dict[str, Change]:
    return {modality: partial(_without, modality=modality) for modality in MODALITIES}


def _without(observation: Observation, *, modality: str) -> Changed:
    present = observation.modality_mask[modality]
    return mask_modalities(observation, (modality,)), present.cpu()


@dataclass
class _Spread:
    """Standard deviation of every action dimension, gathered batch by batch."""

    parts: list[Float[Tensor, "steps action_dim"]] = field(default_factory=list)

    def add(self, chunk: ActionChunk) -> None:
        # The first step alone: the later ones are first steps of other samples.
        self.parts.append(chunk.actions[chunk.mask[:, 0], 0].double().cpu())

    def std(self) -> Float[Tensor, " action_dim"]:
        actions = torch.cat(self.parts) if self.parts else torch.zeros(0, 1)
        std = actions.std(dim=0, correction=0) if len(actions) else torch.zeros(1)
        if not bool((std > SMALLEST_STD).any()):
            raise PlaitError(
                f"the {len(actions)} held-out actions never vary, so a change of the predictions "
                "has no scale; hold out more episodes"
            )
        return std


def _measure(
    policy: PredictsChunks, batches: Iterable[Batch], changes: Mapping[str, Change]
) -> dict[str, float]:
    spread = _Spread()
    moved: dict[str, list[Tensor]] = {name: [] for name in changes}
    for batch in batches:
        spread.add(batch.action_chunk)
        usual = policy.predict(batch.observation).actions
        for name, change in changes.items():
            observation, has_changed = change(batch.observation)
            distance = (policy.predict(observation).actions - usual).abs().double().cpu()
            moved[name].append(distance.mean(dim=1)[has_changed])  # [samples action_dim]
    std = spread.std()
    varies = (std > SMALLEST_STD).unsqueeze(0)
    means = {}
    for name, parts in moved.items():
        distance = torch.cat(parts)
        in_stds = masked_sum(distance / std, varies.expand_as(distance), dim=1) / varies.sum()
        means[name] = float(in_stds.mean()) if len(in_stds) else 0.0
    return means
