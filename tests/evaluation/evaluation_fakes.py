"""A world on a line, and policies simple enough that everything they do is known."""

from dataclasses import dataclass, field

import gymnasium
import numpy as np
import torch

from plait.results import Cost, EpisodeResult, Machine, RunResult
from plait.types import LANGUAGE, ActionChunk, Observation

STEP = 0.25
CAMERAS = ("base", "wrist")


class LineEnv(gymnasium.Env):
    """Reach the end of [-1, 1] that the instruction names.

    Odd seeds say left, even seeds right; the start is `(seed % 5) / 10`. Images of the base camera
    are filled with the seed, those of the wrist camera with the number of steps taken.
    """

    def __init__(self, *, step_limit=12, render_mode=None, info_keys=None):
        self.action_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
        self.step_limit = step_limit
        self.render_mode = render_mode
        self.info_keys = info_keys
        self.is_closed = False
        self.num_resets = 0
        self.actions = []

    def reset(self, *, seed=None):
        self.scene, self.position, self.steps = seed, (seed % 5) / 10, 0
        self.side = -1 if seed % 2 else 1
        self.actions, self.num_resets = [], self.num_resets + 1
        return self._observe(), {"num_candidates": 2 + seed % 2}

    def step(self, action):
        assert action.dtype == np.float32
        self.actions.append(action)
        self.position += STEP * float(action[0])
        self.steps += 1
        has_arrived = abs(self.position) >= 1
        success = has_arrived and np.sign(self.position) == self.side
        is_over = self.steps == self.step_limit
        outcome = "success" if success else "wrong_place" if has_arrived else "timeout"
        info = {
            "success": np.bool_(success),
            "outcome": outcome,
            "task": "left" if self.side < 0 else "right",
            "instruction": self.instruction,
        }
        if self.info_keys is not None:
            info = {key: info[key] for key in self.info_keys}
        return self._observe(), 0.0, has_arrived, is_over, info

    @property
    def instruction(self):
        return "Go left!" if self.side < 0 else "Go right!"

    def render(self):
        if self.render_mode is None:
            return None
        frame = np.full((24, 32, 3), 40, np.uint8)
        column = int((self.position + 1.5) / 3 * 28)
        frame[8:16, column : column + 4] = (220, 60, 60)
        return frame

    def close(self):
        self.is_closed = True

    def _observe(self):
        shape = (4, 4, 3)
        return {
            "images": {
                "base": np.full(shape, self.scene % 256, np.uint8),
                "wrist": np.full(shape, self.steps, np.uint8),
            },
            "proprio": np.array([self.position, self.steps, self.scene], np.float32),
            "instruction": self.instruction,
        }


@dataclass
class ObeyingPolicy:
    """Goes where the instruction says; stands still without one. Notes what it was shown."""

    action_horizon: int = 4
    observation_window: int = 1
    cameras: tuple[str, ...] = CAMERAS
    seen: list[Observation] = field(default_factory=list)

    def predict(self, observation):
        self.seen.append(observation)
        sign = {"Go left!": -1.0, "Go right!": 1.0, "": 0.0}
        direction = torch.tensor([sign[text] for text in observation.instruction])
        direction = torch.where(observation.modality_mask[LANGUAGE], direction, 0.0)
        return chunk_of(torch.stack([direction, torch.zeros_like(direction)], -1), self)


@dataclass
class EchoPolicy:
    """Predicts `[100 · scene + step of the look, h]` for the h-th action of its chunk."""

    action_horizon: int = 5
    observation_window: int = 1
    cameras: tuple[str, ...] = CAMERAS
    batch_sizes: list[int] = field(default_factory=list)
    seen: list[Observation] = field(default_factory=list)

    def predict(self, observation):
        self.seen.append(observation)
        self.batch_sizes.append(observation.batch_size)
        newest = observation.proprio[:, -1]
        look = 100 * newest[:, 2] + newest[:, 1]
        ahead = torch.arange(self.action_horizon, dtype=torch.float32)
        look, ahead = torch.broadcast_tensors(look[:, None], ahead[None])
        actions = torch.stack([look, ahead], dim=-1)
        return ActionChunk(actions, torch.ones(actions.shape[:2], dtype=torch.bool))


def chunk_of(action, policy):
    """Repeat one action over the horizon."""
    actions = action[:, None].expand(-1, policy.action_horizon, -1).contiguous()
    return ActionChunk(actions, torch.ones(actions.shape[:2], dtype=torch.bool))


def make_cost(seconds=1.0):
    return Cost(
        num_parameters=11,
        flops_per_action_chunk=13,
        latency_ms_median=seconds,
        latency_ms_p99=2 * seconds,
        train_seconds=100 * seconds,
        train_samples_per_second=7.0,
    )


def make_episode(seed, success, *, task="touch", outcome=None, num_candidates=2):
    return EpisodeResult(
        seed=seed,
        task=task,
        instruction=f"{task} it",
        success=success,
        outcome=outcome or ("success" if success else "timeout"),
        num_steps=5,
        num_candidates=num_candidates,
    )


def make_run(arm, successes, *, seed=0, fusion=None, control=None, error=0.1, seconds=1.0):
    machine = Machine(platform="p", processor="c", num_cores=2, python="3", packages={})
    return RunResult(
        arm=arm,
        fusion=fusion or arm,
        control=control,
        seed=seed,
        cost=make_cost(seconds),
        curve=(),
        episodes=tuple(make_episode(1000 + i, bool(s)) for i, s in enumerate(successes)),
        validation_action_error=error,
        machine=machine,
    )
