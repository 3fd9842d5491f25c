"""Random observations, batches and tokens of the right form: any model can be tried without data.

Every size is a different prime where it can be, so that two axes in the wrong order do not fit.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from plait.config import DataSpec
from plait.types import (
    LANGUAGE,
    PROPRIO,
    VISION,
    ActionChunk,
    Batch,
    Observation,
    Tokens,
    TokenSpec,
)

BATCH_SIZE = 3
ACTION_HORIZON = 5
# Head counts divide the shared width, so it cannot be a prime: 24 suits 1, 2, 3, 4, 6, 8 and 12.
WIDTH = 24
FAKE_DATA = DataSpec(
    cameras=("base", "wrist"),
    image_size=16,
    proprio_dim=7,
    action_dim=11,
    vocabulary=("blue", "bowl", "cube", "lift", "near", "push", "red", "the", "to"),
    observation_window=3,
)
FAKE_SPECS: Mapping[str, TokenSpec] = {
    VISION: TokenSpec(17, grid=(5, 7), num_views=2),
    LANGUAGE: TokenSpec(19),
    PROPRIO: TokenSpec(23),
}
FAKE_LENGTHS = {LANGUAGE: 11, PROPRIO: 13}


def fake_observation(
    data: DataSpec = FAKE_DATA, *, batch_size: int = BATCH_SIZE, seed: int = 0
) -> Observation:
    """Build a complete observation: random pixels and state, instructions of the vocabulary.

    Args:
        data: Cameras, sizes and words.
        batch_size: Number of samples; each has an instruction of another length.
        seed: Of everything random.
    """
    generator = torch.Generator().manual_seed(seed)
    window, size = data.observation_window, data.image_size
    image_shape = (batch_size, window, 3, size, size)
    images = {
        camera: torch.randint(0, 256, image_shape, dtype=torch.uint8, generator=generator)
        for camera in data.cameras
    }
    proprio = torch.randn(batch_size, window, data.proprio_dim, generator=generator)
    words = data.vocabulary or ("wait",)
    order = torch.randint(len(words), (batch_size, 8), generator=generator).tolist()
    instruction = tuple(
        " ".join(words[index] for index in row[: 2 + sample % 6])
        for sample, row in enumerate(order)
    )
    return Observation.complete(images, instruction, proprio)


def fake_batch(
    data: DataSpec = FAKE_DATA,
    *,
    batch_size: int = BATCH_SIZE,
    action_horizon: int = ACTION_HORIZON,
    seed: int = 0,
) -> Batch:
    """Build a batch: a complete observation and actions in [-1, 1], padded at an episode's end.

    Args:
        data: Cameras, sizes and words.
        batch_size: Number of samples; every second one ends within its chunk.
        action_horizon: Steps per chunk.
        seed: Of everything random.
    """
    generator = torch.Generator().manual_seed(seed + 1)
    shape = (batch_size, action_horizon, data.action_dim)
    actions = torch.rand(shape, generator=generator) * 2 - 1
    mask = torch.ones(batch_size, action_horizon, dtype=torch.bool)
    mask[1::2, -1] = action_horizon == 1
    observation = fake_observation(data, batch_size=batch_size, seed=seed)
    return Batch(observation, ActionChunk(actions, mask))


def fake_tokens(
    specs: Mapping[str, TokenSpec] = FAKE_SPECS,
    lengths: Mapping[str, int] = FAKE_LENGTHS,
    *,
    batch_size: int = BATCH_SIZE,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> dict[str, Tokens]:
    """Build random tokens of every modality, each sample with padding of another length.

    Args:
        specs: What each modality's tokens look like.
        lengths: Tokens of the modalities without a grid.
        batch_size: Number of samples.
        seed: Of the values.
        dtype: Of the values.
    """
    generator = torch.Generator().manual_seed(seed)
    tokens = {}
    for name, spec in specs.items():
        mask = _padded_mask(batch_size, spec, lengths.get(name, 1))
        shape = (*mask.shape, spec.width)
        tokens[name] = Tokens(torch.randn(shape, generator=generator).to(dtype), mask)
    return tokens


def _padded_mask(batch_size: int, spec: TokenSpec, length: int) -> Tensor:
    """The first sample is whole; images lack whole views, sequences end early."""
    sample = torch.arange(batch_size).unsqueeze(1)
    if spec.grid is None:
        return torch.arange(length) < (length - 3 * (sample % 4)).clamp(min=1)
    per_view = spec.grid[0] * spec.grid[1]
    has_view = torch.arange(spec.num_views) < (spec.num_views - sample % 2).clamp(min=1)
    return has_view.repeat_interleave(per_view, dim=1)
