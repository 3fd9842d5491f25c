"""A rollout's observations as batches of one, and back.

A raw observation is what an environment returns: `images {camera: uint8 [height width_px 3]}`,
`proprio float32 [proprio_dim]`, `instruction str`. A corruption that takes something away adds
`camera_mask {camera: bool}` and `modality_mask {modality: bool}`; what they do not name is there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from plait.types import Observation

RawObservation = Mapping[str, Any]


def from_raw(raw: RawObservation) -> Observation:
    """Copy a raw observation into a batch of one with a window of one."""
    images = {
        camera: torch.from_numpy(np.array(image)).permute(2, 0, 1)[None, None].contiguous()
        for camera, image in raw["images"].items()
    }
    proprio = torch.from_numpy(np.array(raw["proprio"], dtype=np.float32))[None, None]
    observation = Observation.complete(images, (str(raw["instruction"]),), proprio)
    return with_raw_masks(observation, [raw])


def into_raw(observation: Observation, raw: RawObservation) -> dict[str, Any]:
    """Return a raw observation with the contents of a batch of one; further keys stay."""
    images = {
        camera: image[0, -1].permute(1, 2, 0).contiguous().numpy()
        for camera, image in observation.images.items()
    }
    return {
        **raw,
        "images": images,
        "proprio": observation.proprio[0, -1].numpy(),
        "instruction": observation.instruction[0],
        "camera_mask": {key: bool(mask) for key, mask in observation.camera_mask.items()},
        "modality_mask": {key: bool(mask) for key, mask in observation.modality_mask.items()},
    }


def with_raw_masks(observation: Observation, raws: Sequence[RawObservation]) -> Observation:
    """Mask in a batch what its raw observations say is absent.

    Args:
        observation: A batch.
        raws: For each sample, the raw observation of its present step.
    """
    return replace(
        observation,
        camera_mask=_masks(observation.camera_mask, raws, "camera_mask"),
        modality_mask=_masks(observation.modality_mask, raws, "modality_mask"),
    )


def _masks(
    masks: Mapping[str, Bool[Tensor, " batch"]], raws: Sequence[RawObservation], key: str
) -> dict[str, Bool[Tensor, " batch"]]:
    marked = {}
    for name, mask in masks.items():
        is_there = [bool(raw.get(key, {}).get(name, True)) for raw in raws]
        marked[name] = mask & torch.tensor(is_there, device=mask.device)
    return marked
