"""Closed-loop evaluation: a policy acts in many environments at once, in one process.

Each scene is a seed. Environments are reused: one that has finished takes the next seed, so the
batch given to the policy stays full until the seeds run out. What happens in a scene depends on
its seed and the policy alone, never on the other scenes (apart from the last bits of a policy's
arithmetic, which may change with the batch size).
"""

from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import torch

from plait.errors import OptionError, PlaitError
from plait.execution import Action, ChunkExecutor, PredictsChunks, RawObservation
from plait.results import EpisodeResult

Environment = gymnasium.Env[Any, Any]
REQUIRED_INFO = ("success", "outcome", "task", "instruction")


@dataclass(eq=False)
class _Lane:
    """One environment and the scene it is playing."""

    env: Environment
    seed: int
    observation: RawObservation
    info: Mapping[str, Any]
    num_steps: int = 0

    @classmethod
    def start(cls, env: Environment, seed: int) -> "_Lane":
        observation, info = env.reset(seed=seed)
        return cls(env, seed, observation, info)

    def step(self, action: Action) -> bool:
        """Take a control step; return whether the episode has ended."""
        space = self.env.action_space
        if isinstance(space, gymnasium.spaces.Box):
            action = np.clip(action, space.low, space.high).astype(np.float32, copy=False)
        self.observation, _, terminated, truncated, info = self.env.step(action)
        # What a scene says of itself at its reset (its candidates) stays true at its end.
        self.info = {**self.info, **info}
        self.num_steps += 1
        return bool(terminated or truncated)

    def result(self) -> EpisodeResult:
        """Describe the episode after its last step."""
        missing = [key for key in REQUIRED_INFO if key not in self.info]
        if missing:
            raise PlaitError(
                f"the environment's info lacks {', '.join(missing)} after the last step; found "
                f"{', '.join(sorted(self.info)) or 'nothing'}. Wrap the environment to add them"
            )
        return EpisodeResult(
            seed=self.seed,
            task=str(self.info["task"]),
            instruction=str(self.info["instruction"]),
            success=bool(self.info["success"]),
            outcome=str(self.info["outcome"]),
            num_steps=self.num_steps,
            num_candidates=int(self.info.get("num_candidates", 1)),
        )


def evaluate_policy(
    policy: PredictsChunks,
    make_env: Callable[[], Environment],
    seeds: Sequence[int],
    *,
    execution_horizon: int,
    num_parallel: int = 32,
    ensemble_decay: float | None = None,
    masked_modalities: Sequence[str] = (),
    on_progress: Callable[[EpisodeResult], None] | None = None,
    on_frame: Callable[[int, Environment], None] | None = None,
) -> list[EpisodeResult]:
    """Roll the policy out once in every scene.

    Args:
        policy: Anything that predicts chunks.
        make_env: Makes one environment; called at most `num_parallel` times.
        seeds: Seeds of the scenes, all different.
        execution_horizon: Steps executed before the policy looks again.
        num_parallel: Environments that run side by side.
        ensemble_decay: Decay of the temporal ensemble; None for none.
        masked_modalities: Withheld from the policy, for control experiments.
        on_progress: Called with each result as soon as its episode has ended.
        on_frame: Called with the seed and its environment after the reset and after every step.

    Returns:
        One result a seed, in the order of `seeds`.

    Raises:
        OptionError: If seeds repeat or a count is not positive.
        PlaitError: If the policy predicts NaN, or the environment does not say how it went.
    """
    if num_parallel < 1:
        raise OptionError(f"num_parallel must be at least 1, but is {num_parallel}")
    if len(set(seeds)) != len(seeds):
        raise OptionError("the scene seeds repeat; every scene is played once")
    torch.set_flush_denormal(True)  # as in training
    executor = ChunkExecutor(
        policy,
        execution_horizon,
        ensemble_decay=ensemble_decay,
        masked_modalities=masked_modalities,
    )
    results: dict[int, EpisodeResult] = {}
    show = on_frame or _ignore_frame
    with closing(_play(executor, make_env, seeds, num_parallel, show)) as ended:
        for result in ended:
            results[result.seed] = result
            if on_progress is not None:
                on_progress(result)
    return [results[seed] for seed in seeds]


def _play(
    executor: ChunkExecutor,
    make_env: Callable[[], Environment],
    seeds: Sequence[int],
    num_parallel: int,
    show: Callable[[int, Environment], None],
) -> Generator[EpisodeResult, None, None]:
    """Play all scenes and yield each result as it is known; close the environments at the end."""
    waiting = deque(int(seed) for seed in seeds)
    with ExitStack() as environments:
        lanes: list[_Lane] = []
        for _ in range(min(num_parallel, len(seeds))):
            env = make_env()
            environments.callback(env.close)
            lanes.append(_start_next(env, waiting, show))
        while lanes:
            actions = executor.act({lane.seed: lane.observation for lane in lanes})
            ended = [lane for lane in lanes if _step(lane, actions[lane.seed], show)]
            for lane in ended:
                yield lane.result()
                executor.reset(lane.seed)
                lanes.remove(lane)
            lanes += [_start_next(lane.env, waiting, show) for lane in ended[: len(waiting)]]


def _start_next(
    env: Environment, waiting: deque[int], show: Callable[[int, Environment], None]
) -> _Lane:
    lane = _Lane.start(env, waiting.popleft())
    show(lane.seed, env)
    return lane


def _step(lane: _Lane, action: Action, show: Callable[[int, Environment], None]) -> bool:
    has_ended = lane.step(action)
    show(lane.seed, lane.env)
    return has_ended


def _ignore_frame(seed: int, env: Environment) -> None:
    """Show nothing."""
    del seed, env
