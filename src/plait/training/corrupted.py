"""Corrupt some samples of a training batch, each by a corruption and a severity of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from plait.config import Component, RobustConfig
from plait.data.corrupt import StatelessCorruption, corruption, corruption_class
from plait.errors import OptionError
from plait.types import VISION, Observation

# Seeds of what a corruption draws for a sample.
NUM_SEEDS = 2**62


class Augmentation:
    """Corruptions in every severity that is drawn.

    Args:
        robust: Which corruptions, how often, how severe.
        proprio_std: Standard deviation of the proprio in the training episodes, for those that
            need a scale.

    Raises:
        UnknownNameError: If there is no such corruption, or it lacks an option.
        OptionError: If one cannot be applied to a batch by itself, or refuses an option.
    """

    def __init__(self, robust: RobustConfig, proprio_std: Sequence[float]) -> None:
        self.probability = robust.augmentation_probability
        self.severities = range(1, robust.augmentation_severity + 1)
        self.kinds = [
            [_build(component, severity, proprio_std) for severity in self.severities]
            for component in robust.augmentation
        ]
        self.changes_images = changes_images(robust)

    def __call__(self, observation: Observation, rng: np.random.Generator) -> Observation:
        """Return the batch with some samples corrupted.

        Args:
            observation: Not changed.
            rng: Draws four numbers a sample, whatever becomes of them.
        """
        size = observation.batch_size
        is_hit = rng.random(size) < self.probability
        kinds = rng.integers(len(self.kinds), size=size)
        levels = rng.integers(len(self.severities), size=size)
        seeds = torch.from_numpy(rng.integers(NUM_SEEDS, size=size))
        if self.changes_images:
            observation = replace(observation, features={})
        groups = [np.flatnonzero(~is_hit)]
        parts = [take(observation, torch.from_numpy(groups[0]))]
        for kind, corruptions in enumerate(self.kinds):
            for level, corrupt in enumerate(corruptions):
                group = np.flatnonzero(is_hit & (kinds == kind) & (levels == level))
                if len(group):
                    rows = torch.from_numpy(group)
                    parts.append(corrupt(take(observation, rows), seeds[rows]))
                    groups.append(group)
        return take(join(parts), torch.from_numpy(np.argsort(np.concatenate(groups))))


def check_augmentation(robust: RobustConfig) -> None:
    """Refuse corruptions that cannot be applied in training.

    Raises:
        UnknownNameError: If there is no such corruption, or it lacks an option.
        OptionError: If one cannot be applied to a batch by itself, or refuses an option.
    """
    # The scale is known only with the data; any number tells whether the rest is right.
    Augmentation(robust, proprio_std=(1.0,))


def changes_images(robust: RobustConfig) -> bool:
    """Say whether some corruption changes what a camera shows."""
    return any(corruption_class(part.name).modality == VISION for part in robust.augmentation)


def take(observation: Observation, rows: Int64[Tensor, " rows"]) -> Observation:
    """Return some samples of a batch, in this order."""
    taken = observation.map_tensors(lambda tensor: tensor[rows.to(tensor.device)])
    return replace(taken, instruction=tuple(observation.instruction[row] for row in rows.tolist()))


def join(parts: Sequence[Observation]) -> Observation:
    """Put batches one after the other."""

    def joined(name: str) -> dict[str, Tensor]:
        by_part: list[Mapping[str, Tensor]] = [getattr(part, name) for part in parts]
        return {key: torch.cat([part[key] for part in by_part]) for key in by_part[0]}

    return Observation(
        images=joined("images"),
        instruction=tuple(text for part in parts for text in part.instruction),
        proprio=torch.cat([part.proprio for part in parts]),
        modality_mask=joined("modality_mask"),
        camera_mask=joined("camera_mask"),
        features=joined("features"),
    )


def _build(
    component: Component, severity: int, proprio_std: Sequence[float]
) -> StatelessCorruption:
    kind = corruption_class(component.name)
    if not issubclass(kind, StatelessCorruption):
        raise OptionError(
            f"the corruption {component.name!r} needs what came before in the episode, so it "
            "cannot augment a batch; it is for rollouts"
        )
    options = dict(component.options)
    if "scale" in {item.name for item in fields(kind)}:
        options.setdefault("scale", proprio_std)
    built = corruption(component.name, severity, **options)
    assert isinstance(built, StatelessCorruption)
    return built
