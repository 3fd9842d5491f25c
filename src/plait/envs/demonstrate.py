"""Demonstrations of a scripted expert, one episode a seed, ready to be recorded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np

from plait.data.episode import EpisodeData
from plait.envs import family_of, make_env


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
        view: How pictures are taken, as the family says it; empty for the one way there is.
    """

    env: str
    noise: float = 0.3
    cameras: tuple[str, ...] = ("base", "wrist")
    image_size: int = 64
    view: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._made: gymnasium.Env[Any, Any] | None = None

    def __getstate__(self) -> dict[str, object]:
        """Leave the simulator behind: every process makes its own."""
        return {**vars(self), "_made": None}

    def __call__(self, seed: int) -> EpisodeData | None:
        """Return the episode of a seed; None where the expert failed."""
        for attempt in family_of(self.env).attempts(seed):
            episode = self._attempt(attempt)
            if episode is not None:
                return episode
        return None

    def _attempt(self, seed: int) -> EpisodeData | None:
        """Let the expert try once."""
        family = family_of(self.env)
        if self._made is None:
            options = {"cameras": self.cameras, "image_size": self.image_size}
            more = {"render": self.view} if self.view else {}
            self._made = make_env(self.env, **options, **more)
        env = self._made
        observation, info = env.reset(seed=seed)
        expert = family.expert(env)
        disturb = family.disturbance(self.noise, np.random.default_rng([seed, 1]))
        observations, actions = [], []
        ended = False
        while not ended:
            action = expert.act()
            observations.append(observation)
            actions.append(action)
            observation, _, terminated, truncated, info = env.step(disturb(action))
            ended = terminated or truncated
        if not info["success"]:
            return None
        images = {
            camera: np.stack([step["images"][camera] for step in observations])
            for camera in self.cameras
        }
        proprio = np.stack([step["proprio"] for step in observations])
        return EpisodeData(images, proprio, np.stack(actions), observations[0]["instruction"])
