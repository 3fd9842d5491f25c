"""Meta-World: every figure of the README and of docs/metaworld.md, each part by one command.

python benchmarks/metaworld.py MT10          # record, train, evaluate: about an hour on two cores
python benchmarks/metaworld.py MT50          # the same with all tasks: about three hours
python benchmarks/metaworld.py speed         # steps a second, with and without the policy
python benchmarks/metaworld.py fusions       # ten strategies with equal budgets on MT10
python benchmarks/metaworld.py stress        # what breaks the policy of MT10

`--ready models` plays the policies that are in this repository, instead of training them again.
Everything can be stopped and goes on when called again. Figures go to
`benchmarks/results/metaworld/PART.json`, with machine, versions, seeds and duration.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from recipe_runs import Part, demonstrations, obtain, played, run_parts, without_episodes

from plait.compare import CompareSettings, compare
from plait.compare.environment import EnvFactory
from plait.compare.stress import StressOptions, stress
from plait.config import Component
from plait.envs import make_env
from plait.envs.metaworld.tasks import TASKS, suite_tasks
from plait.evaluation.rollout import evaluate_policy
from plait.policy import Policy
from plait.recipes.base import POLICY, TRAINING
from plait.recipes.metaworld import MT10, RECIPES

RESULTS = Path(__file__).parent / "results" / "metaworld"
PARTS = ("speed", "MT10", "MT50", "fusions", "stress")
# The papers play ten scenes a task; fifty make intervals less than half as wide.
TRIALS = (10, 50)
# The equal budget of the ten strategies: a smaller network and fewer samples than the recipe's, so
# that twelve trainings are done in an hour and a half.
FUSION_POLICY = replace(
    POLICY,
    width=48,
    fusion=Component(name="film", options={"num_blocks": 3, "hidden_dim": 160}),
)
FUSION_TRAINING = replace(
    TRAINING, num_steps=2400, batch_size=64, warmup_steps=200, ema_decay=0.998
)


def benchmark(name: str, ready: Path | None, out: Path) -> dict[str, Any]:
    """Record, train and evaluate a recipe as the papers do, and with intervals worth the name."""
    recipe = RECIPES[name]
    policy, figures = obtain(recipe, out, ready)
    num_tasks = len(suite_tasks(name))
    for trials in TRIALS:
        figures[f"evaluation_{trials}"] = played(
            recipe,
            policy,
            out / f"{name}-evaluation-{trials}",
            num_episodes=trials * num_tasks,
            has_controls=trials == TRIALS[0],
            command=f"python benchmarks/metaworld.py {name}",
        )
    return figures


def speed(_: Path, num_steps: int = 400) -> dict[str, float]:
    """Measure control steps a second of one process: one camera of 96 pixels; then the policy's."""
    torch.set_num_threads(1)
    figures = {}
    env = make_env("metaworld/push-v3", image_size=96)
    figures["pictures_every_step"] = _rate(lambda: _play_randomly(env, num_steps))
    lazy = make_env("metaworld/push-v3", image_size=96, are_pictures_lazy=True)
    figures["no_pictures"] = _rate(lambda: _play_randomly(lazy, num_steps))
    policy = _sketch()
    for horizon in (1, MT10.execution_horizon):
        make = EnvFactory("metaworld/MT10", policy.cameras, policy.image_size)
        figures[f"policy_and_pictures_every_{horizon}"] = _rate(
            lambda horizon=horizon, make=make: sum(
                episode.num_steps
                for episode in evaluate_policy(
                    policy, make, range(10), execution_horizon=horizon, num_parallel=10
                )
            )
        )
    return {name: round(value, 1) for name, value in figures.items()}


def _sketch() -> Policy:
    """Make an untrained policy of the recipe's size."""
    from plait.config import DataSpec
    from plait.policy import build_policy

    spec = DataSpec(
        cameras=MT10.cameras,
        image_size=MT10.image_size,
        proprio_dim=4,
        action_dim=4,
        vocabulary=_words(),
    )
    return build_policy(POLICY, spec, None, 0).eval()


def _words() -> tuple[str, ...]:
    from plait.encoders.words import build_vocabulary

    return build_vocabulary(tuple(task.instruction for task in TASKS.values()))


def _play_randomly(env: Any, num_steps: int) -> int:
    """Take random actions; scenes are made beforehand."""
    rng = np.random.default_rng(0)
    env.reset(seed=0)
    for step in range(num_steps):
        if step and step % 400 == 0:
            env.reset(seed=step)
        env.step(rng.uniform(-1, 1, 4).astype(np.float32))
    return num_steps


def _rate(play: Callable[[], int]) -> float:
    """Play once to warm up, then again by the processor's clock: machines are shared."""
    play()
    start = time.process_time()
    num_steps = play()
    return num_steps / (time.process_time() - start)


def fusions(out: Path) -> dict[str, Any]:
    """Compare the ten strategies on MT10 with equal budgets."""
    data = demonstrations(MT10, out)
    settings = CompareSettings(
        env=MT10.env,
        data=str(data),
        num_evaluation_episodes=100,
        policy=FUSION_POLICY,
        training=FUSION_TRAINING,
        execution_horizon=MT10.execution_horizon,
        cameras=MT10.cameras,
        image_size=MT10.image_size,
        frame_storage="raw",
    )
    result = compare(settings, out / "fusions", num_workers=2)
    return {"settings": asdict(settings), **without_episodes(asdict(result))}


def stressed(ready: Path | None, out: Path) -> dict[str, Any]:
    """Take senses away from the policy of MT10, or disturb them."""
    policy, _ = obtain(MT10, out, ready)
    data = demonstrations(MT10, out)
    options = StressOptions(
        policy=str(policy),
        env=MT10.env,
        data=str(data),
        num_episodes=50,
        # A condition takes a minute and more on two cores, and one severity is some forty of them.
        severities=(3,),
        execution_horizon=MT10.execution_horizon,
    )
    command = "python benchmarks/metaworld.py stress"
    return without_episodes(asdict(stress(options, out / "stress", command=command)))


def main(
    parts: Annotated[tuple[str, ...], tyro.conf.Positional] = PARTS,
    out: Path = Path("outputs/metaworld"),
    ready: Path | None = None,
) -> None:
    """Run the parts named; all of them by default.

    Args:
        parts: Which.
        out: Folder of everything but the figures.
        ready: Folder of policies that were made before; without it they are recorded and trained.
    """
    known: dict[str, Part] = {
        "speed": speed,
        **{name: partial(benchmark, name, ready) for name in RECIPES},
        "fusions": fusions,
        "stress": partial(stressed, ready),
    }
    run_parts(parts, known, out, RESULTS)


if __name__ == "__main__":
    tyro.cli(main)
