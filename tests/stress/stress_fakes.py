"""Policies whose every answer is known, and demonstrations small enough to count on fingers."""

from dataclasses import dataclass

import numpy as np
import torch

from plait.data.episode import EpisodeData
from plait.data.lerobot.writer import LeRobotWriter
from plait.envs import make_env
from plait.envs.tabletop.expert import Expert
from plait.envs.tabletop.rules import Referee
from plait.types import LANGUAGE, PROPRIO, VISION, ActionChunk

# What each instruction asks for; what the policies below read off their input.
COMMANDS = {"touch the red cube": 1.0, "touch the blue cube": -1.0, "touch the green ball": 0.5}
STEPS = 6


def write_demonstrations(root, instructions=tuple(COMMANDS) * 4):
    """Action = (command, brightness of the image, proprio): one number a modality."""
    with LeRobotWriter(root, fps=10) as writer:
        for index, instruction in enumerate(instructions):
            rng = np.random.default_rng(index)
            level = rng.integers(0, 256, STEPS)
            proprio = rng.normal(size=(STEPS, 8)).astype(np.float32)
            images = {
                camera: np.broadcast_to(level[:, None, None, None], (STEPS, 16, 16, 3))
                .astype(np.uint8)
                .copy()
                for camera in ("base", "wrist")
            }
            command = COMMANDS.get(instruction, 0.0)
            action = np.zeros((STEPS, 7), np.float32)
            action[:, 0] = command
            action[:, 1] = level / 255
            action[:, 2] = proprio[:, 0]
            writer.add(EpisodeData(images, proprio, action, instruction))
    return root


@dataclass
class ReadingPolicy:
    """Predicts the first recorded action of `write_demonstrations` exactly; 0 for what is masked.

    Words it was not trained on mean nothing to it.
    """

    reads: tuple[str, ...] = (VISION, LANGUAGE, PROPRIO)
    action_horizon: int = 1
    observation_window: int = 1
    cameras: tuple[str, ...] = ("base", "wrist")
    image_size: int = 16

    def predict(self, observation):
        present = {name: observation.modality_mask[name] for name in (VISION, LANGUAGE, PROPRIO)}
        words = torch.tensor([COMMANDS.get(text, 0.0) for text in observation.instruction])
        camera = self.cameras[0]
        seen = observation.images[camera][:, -1].float().mean(dim=(1, 2, 3)) / 255
        seen = torch.where(observation.camera_mask[camera] & present[VISION], seen, 0.0)
        actions = torch.zeros(observation.batch_size, self.action_horizon, 7)
        if LANGUAGE in self.reads:
            actions[..., 0] = torch.where(present[LANGUAGE], words, 0.0)[:, None]
        if VISION in self.reads:
            actions[..., 1] = seen[:, None]
        if PROPRIO in self.reads:
            sensed = torch.where(present[PROPRIO], observation.proprio[:, -1, 0], 0.0)
            actions[..., 2] = sensed[:, None]
        return ActionChunk(actions, torch.ones(actions.shape[:2], dtype=torch.bool))


class ExpertPolicy:
    """The scripted expert behind a policy's interface, in the one environment it has made.

    Args:
        obeys: Whether it does what the episode asks for, or what the scene would have asked for.
    """

    action_horizon, observation_window = 1, 1
    cameras, image_size = ("base",), 16

    def __init__(self, env_name, *, obeys):
        self.obeys, self.env_name, self.env = obeys, env_name, None

    def make_env(self):
        self.env = make_env(self.env_name, cameras=self.cameras, image_size=self.image_size)
        return self.env

    def predict(self, observation):
        assert observation.batch_size == 1
        tabletop = self.env.unwrapped
        expert = Expert(self.env)
        if not self.obeys:
            expert._env = _AnotherTask(tabletop.world, self.own_task)
        action = torch.from_numpy(expert.act())[None, None]
        return ActionChunk(action, torch.ones(1, 1, dtype=torch.bool))


@dataclass
class _AnotherTask:
    world: object
    task: object

    @property
    def referee(self):
        return Referee(self.world, self.task)
