"""What comes before any training: checks, demonstrations, and the plan."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plait.compare.console import progress_bar
from plait.compare.demonstrations import record_once
from plait.compare.environment import render_options
from plait.compare.plan import Plan, check_environment, make_plan
from plait.compare.settings import (
    Arm,
    CompareSettings,
    align_config,
    data_config,
    objective_of,
    run_config,
)
from plait.data.lerobot.format import INFO_FILE
from plait.data.lerobot.info import read_info, recorded_view
from plait.envs import make_env
from plait.policy import check_parts
from plait.training.align import check_align
from plait.training.run import check_numbers, open_demonstrations

DATA_FOLDER = "data"


def prepare(
    settings: CompareSettings, out: Path, num_workers: int, budget_seconds: float | None
) -> Plan:
    """Get the demonstrations, and settle everything that can go wrong before training."""
    for is_robust in (False, True) if settings.has_robust else (False,):
        arm = Arm(fusion="", robust=is_robust)
        check_numbers(run_config(settings, arm, settings.seed, "", settings.policy))
    check_parts(settings.policy, settings.fusions)
    for init in settings.inits:
        if objective_of(init):
            check_align(align_config(settings, init, 1.0, settings.seed, ""))
    for env in (settings.env, settings.holdout_env):
        if env is not None:
            make_env(env, **render_options(env, _recorded_view(settings.data))).close()
    data_path = out / DATA_FOLDER
    if settings.data is not None:
        data_path = Path(settings.data)
    else:
        record_once(
            settings.required_env,
            data_path,
            num_workers,
            num_episodes=settings.num_demonstrations,
            noise=settings.noise,
            cameras=settings.cameras,
            image_size=settings.image_size,
            seed=settings.seed,
        )
    with progress_bar("decode images", 1) as show:
        config = data_config(settings, str(data_path), 1.0)
        data = open_demonstrations(config, settings.policy.action_horizon, show)
    if settings.env is not None:
        check_environment(settings.env, settings, data)
    return make_plan(
        settings, out, data_path, data, num_workers=num_workers, budget_seconds=budget_seconds
    )


def _recorded_view(data: str | None) -> Mapping[str, Any]:
    """Return how the pictures of demonstrations were taken, before they are read."""
    if data is None or not (Path(data) / INFO_FILE).exists():
        return {}
    return recorded_view(read_info(Path(data)))
