"""Demonstrations of a scripted expert, one episode a seed, ready to be recorded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np

from plait.data.episode import EpisodeData
from plait.envs import family_of, make_env
from plait.envs.pictures import can_wait


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
        """Let the expert try once; pictures are taken of what succeeded alone, where that can be.

        Where pictures cannot wait for the end, the episode is played twice: a picture costs ten
        times what a step does, and a failure lasts up to the limit.
        """
        is_lazy, env = family_of(self.env).has_lazy_pictures, self._environment()
        is_played_twice = is_lazy and not can_wait(env)
        if is_played_twice and self._play(seed, are_seen=False) is None:
            return None
        return self._play(seed, are_seen=True)

    def _play(self, seed: int, *, are_seen: bool) -> EpisodeData | None:
        """Play the episode of a seed, the same every time, with or without taking pictures."""
        family, env = family_of(self.env), self._environment()
        observation, info = env.reset(seed=seed)
        expert = family.expert(env)
        disturb = family.disturbance(self.noise, np.random.default_rng([seed, 1]))
        pictures_wait = can_wait(env)
        looks: list[Mapping[str, np.ndarray]] = []
        states, actions = [], []
        instruction, ended = observation["instruction"], False
        while not ended:
            action = expert.act()
            if are_seen:
                seen = observation["images"]
                looks.append(seen if pictures_wait else {c: seen[c] for c in self.cameras})
            states.append(observation["proprio"])
            actions.append(action)
            observation, _, terminated, truncated, info = env.step(disturb(action))
            ended = terminated or truncated
        if not info["success"]:
            return None
        images = {c: np.stack([look[c] for look in looks]) for c in self.cameras if looks}
        return EpisodeData(images, np.stack(states), np.stack(actions), instruction)

    def _environment(self) -> gymnasium.Env[Any, Any]:
        """Return this process's environment."""
        if self._made is None:
            family = family_of(self.env)
            options: dict[str, Any] = {"cameras": self.cameras, "image_size": self.image_size}
            options.update(family.recording_options())
            if self.view:
                options["render"] = self.view
            if family.has_lazy_pictures:
                options["are_pictures_lazy"] = True
            self._made = make_env(self.env, **options)
        return self._made
