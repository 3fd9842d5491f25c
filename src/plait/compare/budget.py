"""Turn a budget of wall time into a number of optimiser steps, the same for every strategy."""

import time
from collections.abc import Mapping
from pathlib import Path

import torch

from plait.compare.settings import CONTROLS, Arm, CompareSettings, run_config
from plait.config import PolicyConfig
from plait.data.action_statistics import fit_normalizer
from plait.data.actions import ActionTransform
from plait.data.dataset import Demonstrations
from plait.errors import OptionError
from plait.policy import build_policy
from plait.training.batches import BatchSource, describe_data
from plait.training.loop import Trainer
from plait.training.run import prepare_features

WARMUP_STEPS = 2
TIMED_STEPS = 5
# What is left of the budget for start-up, validation and evaluation.
TRAINING_SHARE = 0.8


def steps_within(
    budget_seconds: float,
    settings: CompareSettings,
    policies: Mapping[str, PolicyConfig],
    data_path: Path,
    data: Demonstrations,
    num_workers: int,
) -> int:
    """Time a few steps of every strategy and return how many fit into the budget.

    Raises:
        OptionError: If not even the warm-up fits.
    """
    seconds = {
        name: _seconds_per_step(settings, name, policy, data_path, data)
        for name, policy in policies.items()
    }
    # The controls repeat the best strategy, which is not known yet: count the dearest.
    num_controls = len(CONTROLS) if settings.has_controls else 0
    num_starts = len(settings.inits) * len(settings.fractions)
    per_step = num_starts * sum(seconds.values()) + num_controls * max(seconds.values())
    per_step *= settings.num_seeds / num_workers
    num_steps = int(TRAINING_SHARE * budget_seconds / per_step)
    if num_steps <= settings.training.warmup_steps:
        needed = per_step * (settings.training.warmup_steps + 1) / TRAINING_SHARE
        raise OptionError(
            f"a budget of {budget_seconds:.0f} s is {num_steps} steps for every strategy, less "
            f"than the warm-up of {settings.training.warmup_steps}; it takes at least "
            f"{needed:.0f} s here"
        )
    return num_steps


def _seconds_per_step(
    settings: CompareSettings,
    name: str,
    policy_config: PolicyConfig,
    data_path: Path,
    data: Demonstrations,
) -> float:
    run = run_config(settings, Arm(fusion=name), settings.seed, str(data_path), policy_config)
    episodes, _ = data.split(run.data.validation_fraction, run.data.split_seed)
    spec = describe_data(data, settings.image_size)
    normalizer = fit_normalizer(ActionTransform.of(policy_config.actions, spec), data, episodes)
    policy = build_policy(policy_config, spec, normalizer, 0)
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        features = prepare_features(policy, data, run)
        trainer = Trainer(policy, run.training)
        batches = BatchSource(data, episodes, run.training, run.masked, features)
        for index in range(WARMUP_STEPS):
            trainer.step(index, batches(index))
        start = time.perf_counter()
        for index in range(WARMUP_STEPS, WARMUP_STEPS + TIMED_STEPS):
            trainer.step(index, batches(index))
        return (time.perf_counter() - start) / TIMED_STEPS
    finally:
        torch.set_num_threads(num_threads)
