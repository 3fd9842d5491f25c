"""Dropout of whole modalities and cameras, through masks alone: what is hidden stays where it is.

Reference: Neverova et al., 2016 (ModDrop); Octo Model Team, 2024, which drops one of two ways to be
told the task and never both.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from plait.types import MODALITIES, VISION, Observation

# Stands for all names that have no probability of their own.
EVERY = "every"


def probability_of(name: str, given: Mapping[str, float]) -> float:
    """Return the probability that was given for a name, or for every one; 0 for neither."""
    return given.get(name, given.get(EVERY, 0.0))


def drop_modalities(
    observation: Observation, given: Mapping[str, float], rng: np.random.Generator
) -> Observation:
    """Hide at most one modality of each sample, and never the last that is there.

    Args:
        observation: Not changed.
        given: Probability of each modality; together below 1.
        rng: Draws one number a sample.
    """
    mask = observation.modality_mask
    draws = torch.from_numpy(rng.random(observation.batch_size)).to(mask[VISION].device)
    is_seen = [_is_seen(observation, modality) for modality in MODALITIES]
    has_others = torch.stack(is_seen).sum(dim=0) > 1
    dropped, low = {}, 0.0
    for modality in MODALITIES:
        # Neighbouring intervals: a draw lies in one of them at most.
        high = low + probability_of(modality, given)
        is_hit = (draws >= low) & (draws < high) & has_others
        dropped[modality] = mask[modality] & ~is_hit
        low = high
    return replace(observation, modality_mask={**mask, **dropped})


def drop_cameras(
    observation: Observation, given: Mapping[str, float], rng: np.random.Generator
) -> Observation:
    """Hide cameras of each sample, each drawn by itself; one of those that are there stays.

    Args:
        observation: Not changed.
        given: Probability of each camera.
        rng: Draws one number a sample and camera.
    """
    cameras = list(observation.camera_mask)
    is_there = torch.stack([observation.camera_mask[camera] for camera in cameras], dim=1)
    draws = torch.from_numpy(rng.random(is_there.shape)).to(is_there.device)
    limits = draws.new_tensor([probability_of(camera, given) for camera in cameras])
    kept = _keep_one(is_there & (draws >= limits), is_there, draws)
    masks = dict(zip(cameras, kept.unbind(dim=1), strict=True))
    return replace(observation, camera_mask=masks)


def _keep_one(
    kept: Bool[Tensor, "batch cameras"], is_there: Bool[Tensor, "batch cameras"], draws: Tensor
) -> Bool[Tensor, "batch cameras"]:
    """Where no camera is left, keep the one that was farthest from being dropped."""
    last = draws.masked_fill(~is_there, -1.0).argmax(dim=1, keepdim=True)
    is_last = torch.zeros_like(kept).scatter(1, last, value=True)
    return kept | (is_last & is_there & ~kept.any(dim=1, keepdim=True))


def _is_seen(observation: Observation, modality: str) -> Bool[Tensor, " batch"]:
    """Say where a modality is there; vision is where one of its cameras is."""
    present = observation.modality_mask[modality]
    if modality != VISION:
        return present
    return present & torch.stack(list(observation.camera_mask.values())).any(dim=0)


def names_without_source(given: Mapping[str, float], known: Iterable[str]) -> list[str]:
    """Return the names with a probability that nothing answers to."""
    return sorted(set(given) - {EVERY, *known})
