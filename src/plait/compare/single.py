"""One policy at a time: what `plait train` and `plait evaluate` do."""

from collections import Counter
from pathlib import Path
from typing import Any

from rich.table import Table

from plait.compare.console import progress_bar
from plait.compare.environment import EnvFactory, check_fit, render_options, view_of
from plait.compare.features import encode_once
from plait.compare.training_bar import training_bar
from plait.config import RunConfig
from plait.envs import family_of
from plait.errors import require_at_least_one, require_seed
from plait.evaluation.offline import action_error
from plait.evaluation.rollout import evaluate_policy
from plait.evaluation.statistics import wilson
from plait.policy import Policy
from plait.results import EpisodeResult, Rate
from plait.training.run import POLICY_FOLDER, check_numbers, open_demonstrations, train


def train_one(run: RunConfig, out: Path, *, tensorboard: bool = False) -> dict[str, Any]:
    """Train a policy with a progress bar and summarise it.

    Raises:
        PlaitError: Of the dataset, the options, the checkpoint or the output folder.
        KeyboardInterrupt: On Ctrl-C, after the checkpoint is written.
    """
    check_numbers(run)
    with progress_bar("decode images", 1) as show:
        data = open_demonstrations(run.data, run.policy.action_horizon, show)
    encode_once([run], data)
    with training_bar(f"train {run.policy.fusion.name}", run.training.num_steps) as on_progress:
        trained = train(
            run, out, demonstrations=data, on_progress=on_progress, tensorboard=tensorboard
        )
    losses = [p.validation_loss for p in trained.position.curve if p.validation_loss is not None]
    summary: dict[str, Any] = {
        "policy": str(out / POLICY_FOLDER),
        "parameters": trained.policy.num_parameters(),
        "steps": trained.position.step,
        "seconds": round(trained.position.seconds, 1),
        "validation loss": losses[-1] if losses else None,
    }
    if trained.validation:
        offline = action_error(trained.policy, trained.validation, masked_modalities=run.masked)
        summary["validation action error"] = offline.mean
        summary["by action dimension"] = [round(error, 6) for error in offline.per_dim]
    return summary


def evaluate_one(
    folder: Path,
    env: str,
    *,
    num_episodes: int,
    execution_horizon: int,
    masked: tuple[str, ...],
    seed: int,
) -> dict[str, Any]:
    """Roll out a saved policy and return rates per task and all episodes."""
    require_at_least_one("number of episodes", num_episodes)
    require_seed(seed)
    policy = Policy.load(folder)
    view = view_of(policy)
    factory = EnvFactory(env, policy.cameras, policy.image_size, view=view)
    check_fit(policy, str(folder), factory)
    with progress_bar(f"evaluate in {env}", num_episodes) as show:
        done: list[EpisodeResult] = []

        def on_progress(result: EpisodeResult) -> None:
            done.append(result)
            show(len(done))

        episodes = evaluate_policy(
            policy,
            factory,
            range(seed, seed + num_episodes),
            execution_horizon=execution_horizon,
            masked_modalities=masked,
            on_progress=on_progress,
        )
    tasks = sorted({episode.task for episode in episodes})
    groups = {task: [e for e in episodes if e.task == task] for task in tasks}
    return {
        "policy": str(folder),
        "env": env,
        "masked": list(masked),
        "view": dict(render_options(env, view).get("render") or family_of(env).view({})),
        "is_view_of_training": bool(view) or not family_of(env).view({}),
        "success": vars(_rate(episodes)),
        "per_task": {task: vars(_rate(group)) for task, group in groups.items()},
        "outcomes": dict(Counter(episode.outcome for episode in episodes).most_common()),
        "episodes": [vars(episode) for episode in episodes],
    }


def evaluation_table(summary: dict[str, Any]) -> Table:
    """Lay an evaluation out for a person."""
    table = Table(title=f"{summary['policy']} in {summary['env']}")
    for column in ("task", "success", "95 % interval", "episodes"):
        table.add_column(column, justify="left" if column == "task" else "right")
    for task, rate in [*summary["per_task"].items(), ("all", summary["success"])]:
        interval = f"{rate['low']:.0%} to {rate['high']:.0%}"
        table.add_row(task, f"{rate['rate']:.0%}", interval, str(rate["trials"]))
    if not summary["is_view_of_training"]:
        table.caption = (
            "The policy does not say how the pictures that it was trained on were taken; these "
            f"were taken by {summary['view']['renderer']}, and may look otherwise."
        )
    return table


def _rate(episodes: list[EpisodeResult]) -> Rate:
    return wilson(sum(episode.success for episode in episodes), len(episodes))
