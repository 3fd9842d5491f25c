"""What is recorded of an expert, and how: with a family of environments made for the purpose."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

import plait.envs
from plait.envs.demonstrate import ExpertEpisodes
from plait.envs.family import ActsByItself, Disturb, Environment, Family
from plait.envs.pictures import Pictures

NUM_STEPS = 5
RETRY = 1000


class Corridor(gymnasium.Env[dict[str, Any], np.ndarray]):
    """Ends after a few steps, with success for even seeds; counts the pictures it takes."""

    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
    made_with: ClassVar[list[Mapping[str, Any]]] = []
    photographed: ClassVar[list[tuple[int, int]]] = []
    stepped: ClassVar[list[int]] = []

    def __init__(self, **options: Any) -> None:
        self.made_with.append(options)
        self.time = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:  # noqa: ARG002
        self.seed, self.num_steps, self.executed = seed or 0, 0, []
        self.time += 1
        return self._observe(), {"success": False}

    def step(self, action: np.ndarray) -> Any:
        self.executed.append(float(action[0]))
        self.stepped.append(self.seed)
        self.num_steps, self.time = self.num_steps + 1, self.time + 1
        ended = self.num_steps == NUM_STEPS
        return self._observe(), 0.0, ended, False, {"success": ended and self.seed % 2 == 0}

    def take_picture(self, camera: str) -> np.ndarray:  # noqa: ARG002
        self.photographed.append((self.seed, self.num_steps))
        return np.full((8, 8, 3), self.num_steps, np.uint8)

    def _observe(self) -> dict[str, Any]:
        proprio = np.array([self.num_steps], np.float32)
        images = Pictures(self, ("front",))
        return {"images": images, "proprio": proprio, "instruction": f"walk {self.seed}"}


class RememberedCorridor(Corridor):
    """Keeps moments: its pictures can wait until the episode is over."""

    def moment(self) -> int:
        return self.num_steps

    def take_picture_of(self, moment: int, camera: str) -> np.ndarray:  # noqa: ARG002
        self.photographed.append((self.seed, moment))
        return np.full((8, 8, 3), moment, np.uint8)


class Walker:
    """Walks, and says how far it has come."""

    def __init__(self, env: Environment) -> None:
        self.env = env.unwrapped

    def act(self) -> np.ndarray:
        return np.array([0.1 * self.env.num_steps], np.float32)


class CorridorFamily(Family):
    name, fps, robot_type, has_lazy_pictures = "corridor", 10, "walker", True
    kind: type[Corridor] = Corridor

    def suites(self) -> tuple[str, ...]:
        return ("short",)

    def make(self, suite: str, options: Mapping[str, Any]) -> Environment:  # noqa: ARG002
        self.made = self.kind(**options)
        return self.made

    def expert(self, env: Environment) -> ActsByItself:
        return Walker(env)

    def disturbance(self, share: float, rng: np.random.Generator) -> Disturb:
        return lambda action: action + share * rng.uniform(1, 2)

    def attempts(self, seed: int) -> Iterable[int]:
        return seed, seed + RETRY, seed + RETRY + 1

    def recording_options(self) -> Mapping[str, Any]:
        return {"are_states_fixed": False}


@pytest.fixture
def family(monkeypatch):
    made = CorridorFamily()
    monkeypatch.setattr(plait.envs, "FAMILIES", (made,))
    monkeypatch.setattr(Corridor, "made_with", [])
    monkeypatch.setattr(Corridor, "photographed", [])
    monkeypatch.setattr(Corridor, "stepped", [])
    return made


def episodes(**changes: Any) -> ExpertEpisodes:
    return ExpertEpisodes("corridor/short", 0.5, ("front",), 8, **changes)


def test_demonstrations_start_where_evaluations_do_not(family):
    episodes(view={"renderer": "pencil"})(0)
    (options,) = Corridor.made_with
    assert options["are_states_fixed"] is False
    assert options["render"] == {"renderer": "pencil"}
    assert (options["cameras"], options["image_size"]) == (("front",), 8)
    assert options["are_pictures_lazy"]


def test_the_experts_own_actions_are_recorded_and_disturbed_ones_executed(family):
    made = episodes()(0)
    np.testing.assert_allclose(made.action[:, 0], 0.1 * np.arange(NUM_STEPS), rtol=1e-6)
    assert (np.array(family.made.executed) > made.action[:, 0] + 0.4).all()
    # Every picture and state is of the moment before its action.
    assert made.images["front"][:, 0, 0, 0].tolist() == made.proprio[:, 0].tolist() == [*range(5)]
    again = episodes()
    again(2)
    np.testing.assert_array_equal(again(0).action, made.action)


def test_another_scene_is_tried_where_the_expert_fails_and_no_picture_is_taken_of_failures(family):
    made = episodes()(7)
    assert made.instruction == f"walk {8 + RETRY}"
    assert Corridor.photographed == [(8 + RETRY, step) for step in range(NUM_STEPS)]


@pytest.mark.parametrize(("kind", "times_played"), [(Corridor, 2), (RememberedCorridor, 1)])
def test_an_episode_is_played_twice_only_where_its_pictures_cannot_wait(family, kind, times_played):
    family.kind = kind
    made = episodes()(7)
    # A failure is played once, in any case, and no picture is taken of it.
    first, second = 7 + RETRY, 8 + RETRY
    times = [Corridor.stepped.count(seed) / NUM_STEPS for seed in (7, first, second)]
    assert times == [1, 1, times_played]
    assert Corridor.photographed == [(second, step) for step in range(NUM_STEPS)]
    assert made.images["front"][:, 0, 0, 0].tolist() == [*range(NUM_STEPS)]


def test_where_all_attempts_fail_there_is_no_episode(family, monkeypatch):
    monkeypatch.setattr(family, "attempts", lambda seed: (seed, seed + RETRY))
    assert episodes()(7) is None
    assert Corridor.photographed == []
