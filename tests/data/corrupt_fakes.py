"""Corruptions with their options, smooth pictures and raw observations, for their tests."""

import math

import numpy as np
import torch

from plait.data.corrupt import all_corruptions, corruption, corruption_class
from plait.data.corrupt.base import StatelessCorruption
from plait.testing.fake import FAKE_DATA, fake_observation
from plait.types import Observation

INSTRUCTIONS = (
    "push the blue cube near the bowl",
    "lift the bowl",
    "push the cube to the blue bowl",
)


def say_otherwise(instruction, rng):
    return f"please {instruction} {rng.integers(100)} times"


OPTIONS = {
    "proprio_noise": {"scale": (1.0,) * FAKE_DATA.proprio_dim},
    "proprio_bias": {"scale": (1.0,) * FAKE_DATA.proprio_dim},
    "paraphrase": {"paraphrase": say_otherwise},
    "synonyms": {"synonyms": {"cube": ("block", "die"), "bowl": ("dish",), "push": ("shove",)}},
    "other_instruction": {"others": ("wave", "dance", "jump", "sing")},
}
NAMES = [name for names in all_corruptions().values() for name in names]
STATELESS = [name for name in NAMES if issubclass(corruption_class(name), StatelessCorruption)]
OF_IMAGES = [name for name in STATELESS if corruption_class(name).modality == "vision"]


def build(name, severity=5):
    return corruption(name, severity, **OPTIONS.get(name, {}))


def smooth_pictures(num=8, size=32, seed=0):
    """Waves of a few periods in every channel: uint8 `[num, 1, 3, size, size]`."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size] / size
    pictures = np.zeros((num, 1, 3, size, size))
    for _ in range(4):
        waves = rng.uniform(-3, 3, (2, num, 1, 3, 1, 1))
        phase = rng.uniform(0, 2 * math.pi, (num, 1, 3, 1, 1))
        pictures += np.sin(2 * math.pi * (waves[0] * rows + waves[1] * columns) + phase)
    return torch.from_numpy(np.clip(127.5 + 30 * pictures, 0, 255).astype(np.uint8))


def observe(images, instruction="lift the bowl", proprio_dim=7):
    """An observation of one camera, `base`."""
    batch, window = images.shape[:2]
    proprio = torch.randn(batch, window, proprio_dim, generator=torch.Generator().manual_seed(0))
    return Observation.complete({"base": images}, (instruction,) * batch, proprio)


def samples():
    """Three samples of two cameras and a window of 3, all different."""
    observation = fake_observation()
    return Observation.complete(observation.images, INSTRUCTIONS, observation.proprio)


def raw_observation(step=0, size=8):
    """What an environment returns at a step; every step is another."""
    rng = np.random.default_rng(step)
    return {
        "images": {
            camera: rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
            for camera in FAKE_DATA.cameras
        },
        "proprio": rng.standard_normal(FAKE_DATA.proprio_dim).astype(np.float32),
        "instruction": INSTRUCTIONS[0],
        "extra": step,
    }


def parts(observation):
    """Everything in an observation, by a name that begins with its modality."""
    found = {"language": observation.instruction, "proprio": observation.proprio}
    found |= {f"vision {camera}": image for camera, image in observation.images.items()}
    found |= {f"vision mask {key}": mask for key, mask in observation.camera_mask.items()}
    return found | {f"{key} mask": mask for key, mask in observation.modality_mask.items()}


def is_same(first, second):
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second) and first.dtype == second.dtype
    return first == second


def differences(first, second):
    """Names of the parts in which two observations differ."""
    first, second = parts(first), parts(second)
    assert first.keys() == second.keys()
    return {name for name in first if not is_same(first[name], second[name])}
