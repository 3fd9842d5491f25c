"""Closed loop under one condition: the same scenes for every condition, so that cells are paired.

A corruption stands between the environment and the policy; what it draws in a scene follows from
the scene's seed.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import gymnasium

from plait.data.corrupt import Corruption
from plait.errors import OptionError
from plait.evaluation.rollout import Environment, evaluate_policy
from plait.evaluation.stress.ingredients import Ingredients
from plait.evaluation.stress.listening import OtherInstruction, listenable
from plait.evaluation.stress.policies import Checked, RefusedError, Withheld
from plait.evaluation.stress.progress import Progress
from plait.execution import PredictsChunks
from plait.results import EpisodeResult
from plait.results.stress import CAMERA, CLEAN, CLOSED, CORRUPTION, LISTENING, Cell, Condition
from plait.types import LANGUAGE

MakeEnv = Callable[[], Environment]
OnEpisode = Callable[[EpisodeResult], None]


class CorruptedEnv(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment seen, and acted upon, through a corruption.

    Args:
        env: The environment.
        corruption: What goes wrong; seeded by the seed of each scene.
    """

    def __init__(self, env: Environment, corruption: Corruption) -> None:
        super().__init__(env)
        self._corruption = corruption

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start a scene."""
        given = {} if options is None else {"options": options}
        observation, info = self.env.reset(seed=seed, **given)
        self._corruptor = self._corruption.start_episode(seed or 0)
        return self._shown(observation, info)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Act, and see what is left of what there is to see."""
        acted = self._corruptor.act(action)
        observation, reward, terminated, truncated, info = self.env.step(acted)
        shown, info = self._shown(observation, info)
        return shown, reward, terminated, truncated, info

    def _shown(
        self, observation: Mapping[str, Any], info: dict[str, Any]
    ) -> tuple[Mapping[str, Any], dict[str, Any]]:
        """Corrupt an observation; the record holds what the policy was told."""
        shown = self._corruptor.observe(observation)
        return shown, {**info, "instruction": shown["instruction"]}


def play(
    policy: Checked,
    make_env: MakeEnv,
    condition: Condition,
    seeds: Sequence[int],
    ingredients: Ingredients,
    *,
    execution_horizon: int,
    on_episode: OnEpisode | None = None,
    num_parallel: int = 32,
) -> Cell:
    """Play all scenes under one condition.

    Args:
        policy: Anything that predicts chunks, checked.
        make_env: Makes one environment.
        condition: What is done.
        seeds: Of the scenes.
        ingredients: What corruptions need.
        execution_horizon: Steps executed before the policy looks again.
        on_episode: Called when a scene has ended.
        num_parallel: Environments that run side by side.

    Raises:
        PlaitError: Of the policy or the environment. What it does not understand of a corrupted
            instruction is not an error, but the cell's refusal.
    """
    start = time.monotonic()
    if condition.kind == LISTENING:
        seeds = listenable(make_env, seeds)
    refusal, episodes, progress = "", [], Progress()
    try:
        episodes = roll_out(
            policy,
            make_env,
            condition,
            seeds,
            ingredients,
            execution_horizon=execution_horizon,
            on_progress=on_episode,
            num_parallel=num_parallel,
            on_frame=progress,
        )
    except RefusedError as error:
        if condition.modality != LANGUAGE:
            raise
        refusal = str(error)
    furthest = tuple(progress.furthest[e.seed] for e in episodes if e.seed in progress.furthest)
    return _cell(condition, episodes, furthest, refusal, time.monotonic() - start)


def roll_out(
    policy: PredictsChunks,
    make_env: MakeEnv,
    condition: Condition,
    seeds: Sequence[int],
    ingredients: Ingredients,
    **options: Any,
) -> list[EpisodeResult]:
    """Roll the policy out once in every scene under one condition.

    Args:
        policy: Anything that predicts chunks.
        make_env: Makes one environment.
        condition: What is done.
        seeds: Of the scenes.
        ingredients: What corruptions need.
        options: Those of `evaluate_policy`.

    Raises:
        RefusedError: If the policy refuses an instruction.
        PlaitError: Of the policy or the environment.
    """
    return evaluate_policy(
        _blindfolded(policy, condition),
        partial(_environment, make_env, condition, ingredients),
        seeds,
        **options,
    )


def _blindfolded(policy: PredictsChunks, condition: Condition) -> PredictsChunks:
    cameras = (condition.name,) if condition.kind == CAMERA else ()
    return Withheld(policy, condition.missing, cameras)


def _environment(make_env: MakeEnv, condition: Condition, ingredients: Ingredients) -> Environment:
    env = make_env()
    if condition.kind == CORRUPTION:
        return CorruptedEnv(env, ingredients.make(condition.name, condition.severity))
    if condition.kind == LISTENING:
        return OtherInstruction(env)
    if condition.kind == CLEAN or condition.missing or condition.kind == CAMERA:
        return env
    env.close()
    raise OptionError(f"{condition.kind} is not a condition of the closed loop")


def _cell(
    condition: Condition,
    episodes: Sequence[EpisodeResult],
    furthest: tuple[str, ...],
    refusal: str,
    seconds: float,
) -> Cell:
    return Cell(
        condition=condition,
        loop=CLOSED,
        units=tuple(episode.seed for episode in episodes),
        values=tuple(float(episode.success) for episode in episodes),
        outcomes=tuple(episode.outcome for episode in episodes),
        num_candidates=tuple(episode.num_candidates for episode in episodes),
        tasks=tuple(episode.task for episode in episodes),
        instructions=tuple(episode.instruction for episode in episodes),
        furthest=furthest,
        refusal=refusal,
        seconds=seconds,
    )
