"""Demonstrations of a scripted expert, one episode a seed, ready to be recorded."""

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from plait.data.episode import EpisodeData
from plait.envs import make_env
from plait.envs.tabletop.expert import Expert, perturb


@dataclass
class ExpertEpisodes:
    """Makes the episode of a seed; picklable, so that processes can share the work.

    The expert's own action is recorded, while a disturbed one is executed now and then: the data
    shows how to recover from where mistakes lead (Laskey et al., 2017, DART).

    Args:
        env: Environment id, e.g. `tabletop/pick`.
        noise: Share of the steps whose executed action is disturbed.
        cameras: Cameras to record.
        image_size: Height and width of the images in pixels.
    """

    env: str
    noise: float = 0.3
    cameras: tuple[str, ...] = ("base", "wrist")
    image_size: int = 64

    def __post_init__(self) -> None:
        self._made: gymnasium.Env[Any, Any] | None = None

    def __getstate__(self) -> dict[str, object]:
        """Leave the simulator behind: every process makes its own."""
        return {**vars(self), "_made": None}

    def __call__(self, seed: int) -> EpisodeData | None:
        """Return the episode of a seed; None where the expert failed."""
        if self._made is None:
            self._made = make_env(self.env, cameras=self.cameras, image_size=self.image_size)
        env = self._made
        observation, info = env.reset(seed=seed)
        expert = Expert(env)
        rng = np.random.default_rng([seed, 1])
        observations, actions = [], []
        ended = False
        while not ended:
            action = expert.act()
            observations.append(observation)
            actions.append(action)
            executed = perturb(action, rng, probability=self.noise)
            observation, _, terminated, truncated, info = env.step(executed)
            ended = terminated or truncated
        if not info["success"]:
            return None
        images = {
            camera: np.stack([step["images"][camera] for step in observations])
            for camera in self.cameras
        }
        proprio = np.stack([step["proprio"] for step in observations])
        return EpisodeData(images, proprio, np.stack(actions), observations[0]["instruction"])
