"""LIBERO: every figure of docs/libero.md, each part by one command.

python benchmarks/libero.py expert           # does the scripted expert succeed? minutes
python benchmarks/libero.py speed            # a step, a picture, a demonstration
python benchmarks/libero.py object spatial   # record, train, evaluate, also in LIBERO-PRO: hours

`--ready models` plays the policies that are in this repository, instead of training them again.
Everything but `expert` and `speed` can be stopped and goes on when called again. Figures go to
`benchmarks/results/libero/PART.json`, with machine, versions, seeds and duration.
"""

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import numpy as np
import tyro
from recipe_runs import Part, obtain, played, run_parts

from plait.envs import demonstrate, family_of, make_env
from plait.envs.demonstrate import ExpertEpisodes
from plait.envs.libero.simulator import NO_OPERATION
from plait.envs.libero.suites import CHANGES
from plait.evaluation.statistics import wilson
from plait.recipes.libero import RECIPES

RESULTS = Path(__file__).parent / "results" / "libero"
PARTS = ("expert", "speed", *RECIPES)
NUM_TASKS = 10
# Of a suite; LIBERO-PRO's variants of it get half as many each.
NUM_EPISODES = 100


def expert(_: Path, states_per_task: int = 5) -> dict[str, Any]:
    """Let the expert play, without pictures, from the benchmark's initial states."""
    figures = {}
    for suite in RECIPES:
        played_out = list(_play(f"libero/{suite}", states_per_task * NUM_TASKS))
        successes = [is_success for is_success, _ in played_out]
        steps = [num_steps for is_success, num_steps in played_out if is_success]
        figures[suite] = {
            **asdict(wilson(sum(successes), len(successes))),
            "mean_steps_to_success": round(sum(steps) / max(len(steps), 1), 1),
            "most_steps_to_success": max(steps, default=0),
            "failed_seeds": [seed for seed, is_success in enumerate(successes) if not is_success],
        }
    return figures


def _play(env_name: str, num_episodes: int) -> Iterator[tuple[bool, int]]:
    """Play the first seeds; yield whether each succeeded, and its steps."""
    family = family_of(env_name)
    env = make_env(env_name, are_pictures_lazy=True)
    for seed in range(num_episodes):
        env.reset(seed=seed)
        acting, has_ended, num_steps, info = family.expert(env), False, 0, {}
        while not has_ended:
            _, _, terminated, truncated, info = env.step(acting.act())
            has_ended, num_steps = terminated or truncated, num_steps + 1
        yield bool(info["success"]), num_steps
    env.close()


def speed(_: Path, num_steps: int = 100, num_demonstrations: int = 4) -> dict[str, float]:
    """Measure a step, pictures, and demonstrations: played twice, as of old, and once.

    Where pictures cannot wait for the end of an episode, a demonstration is played twice.
    """
    recipe, looks = RECIPES["object"], []
    env = make_env("libero/object/0", image_size=recipe.image_size, are_pictures_lazy=True)
    dict(env.reset(seed=0)[0]["images"])  # the first one takes a second

    def step(_: object) -> None:
        looks.append(env.step(NO_OPERATION.astype(np.float32))[0]["images"])

    figures = {"ms_a_step": 1000 * _seconds(step, range(num_steps))}
    for camera in recipe.cameras:
        took = _seconds(lambda look, camera=camera: look[camera], looks)
        figures[f"ms_a_picture_{camera}"] = 1000 * took
    env.close()
    for times, is_late in {"twice": False, "once": True}.items():
        with patch.object(demonstrate, "can_wait", lambda _, is_late=is_late: is_late):
            record = ExpertEpisodes(
                "libero/object/0", recipe.noise, recipe.cameras, recipe.image_size
            )
            record(0)  # builds the scene
            took = _seconds(record, range(1, 1 + num_demonstrations))
        figures[f"seconds_a_demonstration_played_{times}"] = took
    return {name: round(value, 2) for name, value in figures.items()}


def _seconds(do: Callable[[Any], object], over: Collection[Any]) -> float:
    """Return the mean time of the processor that something takes: machines are shared."""
    start = time.process_time()
    for each in over:
        do(each)
    return (time.process_time() - start) / len(over)


def benchmark(out: Path, *, suite: str, ready: Path | None, has_controls: bool) -> dict[str, Any]:
    """Record, train, and evaluate in the suite and in what LIBERO-PRO made of it."""
    recipe = RECIPES[suite]
    policy, figures = obtain(recipe, out, ready)
    command = f"python benchmarks/libero.py {suite}{'' if has_controls else ' --no-controls'}"
    figures["evaluation"] = played(
        recipe,
        policy,
        out / f"{suite}-evaluation",
        num_episodes=NUM_EPISODES,
        has_controls=has_controls,
        command=command,
    )
    for change in CHANGES:
        figures[f"evaluation_{change}"] = played(
            recipe,
            policy,
            out / f"{suite}-{change}-evaluation",
            env=f"{recipe.env}-{change}",
            num_episodes=NUM_EPISODES // 2,
            num_films=0,  # one takes as long as four episodes
            command=command,
        )
    return figures


def main(
    parts: Annotated[tuple[str, ...], tyro.conf.Positional] = PARTS,
    out: Path = Path("outputs/libero"),
    ready: Path | None = None,
    *,
    controls: bool = True,
) -> None:
    """Run the parts named; all of them by default.

    Args:
        parts: Which.
        out: Folder of everything but the figures.
        ready: Folder of policies that were made before; without it they are recorded and trained.
        controls: Whether the suite's scenes are played again with the instruction, and with the
            images, masked: more than half of the time.
    """
    known: dict[str, Part] = {
        "expert": expert,
        "speed": speed,
        **{
            suite: partial(benchmark, suite=suite, ready=ready, has_controls=controls)
            for suite in RECIPES
        },
    }
    run_parts(parts, known, out, RESULTS)


if __name__ == "__main__":
    tyro.cli(main)
