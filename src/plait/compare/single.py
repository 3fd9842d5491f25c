"""One policy at a time: what `plait train` does."""

from pathlib import Path
from typing import Any

from plait.compare.console import progress_bar
from plait.compare.features import encode_once
from plait.compare.training_bar import training_bar
from plait.config import RunConfig
from plait.evaluation.offline import action_error
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
