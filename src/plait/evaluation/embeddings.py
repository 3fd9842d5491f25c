"""Steps of a dataset in an aligner's space, with what is known of every step."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from plait.aligner import Aligner, instruction_groups
from plait.alignment.base import ALIGNED
from plait.alignment.metrics.geometry import centre
from plait.data.dataset import Demonstrations
from plait.types import Batch

STEPS_PER_CALL = 256


@dataclass(frozen=True)
class EmbeddedSteps:
    """Embeddings of steps, and what each step is.

    Attributes:
        values: By modality, unit vectors.
        groups: The same number for steps with the same instruction.
        episodes: Episode of each step.
        progress: Share of the episode that had gone by, 0 to 1.
        chunks: Normalised action chunks, flat; beyond an episode's end its last action repeats.
        steps: Steps in the dataset.
        instructions: What the robot was told.
    """

    values: dict[str, Float[Tensor, "steps width"]]
    groups: Int[Tensor, " steps"]
    episodes: Int[Tensor, " steps"]
    progress: Float[Tensor, " steps"]
    chunks: Float[Tensor, "steps chunk"]
    steps: Int[Tensor, " steps"]
    instructions: tuple[str, ...]

    def centred(self, means: dict[str, Float[Tensor, " width"]]) -> "EmbeddedSteps":
        """Subtract a mean of every modality, and bring the vectors to length 1 again."""
        return replace(self, values={k: centre(v, means[k]) for k, v in self.values.items()})

    def means(self) -> dict[str, Float[Tensor, " width"]]:
        """Return the mean of every modality."""
        return {name: values.mean(dim=0) for name, values in self.values.items()}

    def first_of_groups(self) -> Int[Tensor, " groups"]:
        """Return one step of every instruction, the first: its text has the same embedding."""
        seen: dict[int, int] = {}
        for index, group in enumerate(self.groups.tolist()):
            seen.setdefault(group, index)
        return torch.tensor(list(seen.values()), dtype=torch.int64)


@torch.no_grad()
def embed_steps(
    aligner: Aligner,
    demonstrations: Demonstrations,
    steps: Int[np.ndarray, " steps"],
    gather: Callable[[np.ndarray], Batch] | None = None,
) -> EmbeddedSteps:
    """Embed some steps of a dataset.

    Args:
        aligner: The towers.
        demonstrations: The dataset.
        steps: Which steps.
        gather: Returns the batch of some steps, where not the dataset itself does: with tokens of
            frozen encoders, for one.
    """
    gather = gather or demonstrations.gather
    was_training = aligner.training
    aligner.eval()
    parts: dict[str, list[Tensor]] = {name: [] for name in ALIGNED}
    chunks: list[Tensor] = []
    instructions: list[str] = []
    device = next(aligner.parameters()).device
    for start in range(0, len(steps), STEPS_PER_CALL):
        batch = gather(steps[start : start + STEPS_PER_CALL]).to(device)
        embeddings = aligner.embed(batch)
        for name in ALIGNED:
            parts[name].append(embeddings.values[name].cpu())
        actions = aligner.normalizer.normalize_actions(batch.action_chunk.actions)
        chunks.append(actions.flatten(1).cpu())
        instructions += batch.observation.instruction
    aligner.train(was_training)
    bounds = demonstrations.episode_bounds
    episodes = np.searchsorted(bounds[:, 0], steps, side="right") - 1
    first, length = bounds[episodes, 0], bounds[episodes, 1] - bounds[episodes, 0]
    return EmbeddedSteps(
        values={name: torch.cat(values) for name, values in parts.items()},
        groups=instruction_groups(tuple(instructions)),
        episodes=torch.from_numpy(episodes.astype(np.int64)),
        progress=torch.from_numpy(((steps - first) / np.maximum(length - 1, 1)).astype(np.float32)),
        chunks=torch.cat(chunks),
        steps=torch.from_numpy(np.asarray(steps, dtype=np.int64)),
        instructions=tuple(instructions),
    )
