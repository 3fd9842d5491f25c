"""Policies for the tabletop that are quick to load, and episodes in groups."""

from typing import ClassVar

import torch
from evaluation_fakes import make_episode

from plait.config import Component, DataSpec, PolicyConfig
from plait.data.normalize import Normalizer
from plait.encoders.words import build_vocabulary
from plait.envs.tabletop.asking import suite_sentences
from plait.policy import build_policy
from plait.types import ActionChunk

GROUPS = {
    "difficulty": {"easy": ("reach", "push"), "very_hard": ("stack",)},
    "shared scene": {"puck": ("reach", "push")},
}


def save_untrained(folder, *, action_horizon=2):
    """Save a policy with random weights that knows the words of `tabletop/touch`."""
    config = PolicyConfig(fusion=Component(name="concat"), width=16, action_horizon=action_horizon)
    data = DataSpec(
        cameras=("base",),
        image_size=16,
        proprio_dim=8,
        action_dim=7,
        vocabulary=build_vocabulary(suite_sentences("touch")),
    )
    build_policy(config, data, Normalizer(proprio_dim=8, action_dim=7), 0).save(folder)
    return str(folder)


class Noting:
    """Stands still, and notes what it is shown."""

    cameras = ("base",)
    image_size = 16
    observation_window = 1
    action_horizon = 2
    seen: ClassVar[list] = []  # of all that were made

    def predict(self, observation):
        self.seen.append(observation)
        actions = torch.zeros(observation.batch_size, self.action_horizon, 7)
        return ActionChunk(actions, torch.ones(actions.shape[:2], dtype=torch.bool))


def episodes_of(successes):
    """Make the episodes of tasks, in turn, from the number of successes in ten of each."""
    return [
        make_episode(10 * place + index, index < count, task=task, num_candidates=1)
        for place, (task, count) in enumerate(successes.items())
        for index in range(10)
    ]
