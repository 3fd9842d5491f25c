"""Comparisons of untrained policies as `plait compare` leaves them, and an expert that is picky."""

import numpy as np
import torch

from plait.config import (
    Component,
    DataConfig,
    DataSpec,
    PolicyConfig,
    RunConfig,
    TrainingConfig,
    to_json,
)
from plait.data.normalize import Normalizer
from plait.encoders.words import build_vocabulary
from plait.envs import make_env
from plait.envs.tabletop.asking import suite_sentences
from plait.envs.tabletop.expert import Expert
from plait.envs.tabletop.rules import Referee
from plait.envs.tabletop.tasks import is_held_out
from plait.evaluation.statistics import compare_pairs, summarise_arms
from plait.policy import build_policy
from plait.results import (
    Comparison,
    Cost,
    DatasetSummary,
    EpisodeResult,
    Machine,
    RunResult,
    save_result,
)
from plait.types import ActionChunk

MACHINE = Machine(platform="Linux", processor="p", num_cores=2, python="3.11", packages={})
COST = Cost(
    num_parameters=1,
    flops_per_action_chunk=1,
    latency_ms_median=1.0,
    latency_ms_p99=1.0,
    train_seconds=1.0,
    train_samples_per_second=1.0,
)
TRAINED_ON = "tabletop/touch"
SHOWN = suite_sentences("touch")


def episode(seed, success, *, num_candidates=4, outcome=None, instruction="touch the red ball"):
    return EpisodeResult(
        seed=seed,
        task="touch",
        instruction=instruction,
        success=success,
        outcome=outcome or ("success" if success else "wrong_object"),
        num_steps=5,
        num_candidates=num_candidates,
    )


def save_untrained(folder, *, fusion="concat", language="words", seed=0, cameras=("base",)):
    """Save a policy with random weights that knows the words of `tabletop/touch`."""
    config = PolicyConfig(
        fusion=Component(name=fusion), language=Component(name=language), width=16, action_horizon=2
    )
    data = DataSpec(
        cameras=cameras,
        image_size=16,
        proprio_dim=8,
        action_dim=7,
        vocabulary=build_vocabulary(SHOWN),
    )
    build_policy(config, data, Normalizer(proprio_dim=8, action_dim=7), seed).save(folder)
    return folder


def save_training(folder, data, **policy):
    """Save a policy and, beside it, how it was trained: on the demonstrations in `data`."""
    save_untrained(folder / "policy", **policy)
    run = RunConfig(
        data=DataConfig(path=str(data)),
        policy=PolicyConfig(fusion=Component(name=policy.get("fusion", "concat"))),
        training=TrainingConfig(seed=policy.get("seed", 0)),
    )
    (folder / "config.json").write_text(to_json(run))
    return folder / "policy"


def write_comparison(folder, arms=(("concat", None), ("film", None)), *, seeds=(0,), shown=SHOWN):
    """Write a finished comparison on `tabletop/touch`."""
    runs, places = [], []
    for fusion, control in arms:
        name = fusion if control is None else f"{fusion}, {control.replace('_', ' ')}"
        for seed in seeds:
            place = f"runs/{name.replace(', ', '-').replace(' ', '-')}/seed-{seed}"
            save_untrained(folder / place / "policy", fusion=fusion, seed=seed)
            run = RunResult(
                arm=name,
                fusion=fusion,
                control=control,
                seed=seed,
                cost=COST,
                curve=(),
                episodes=(episode(1_000_000, success=True),),
                validation_action_error=0.1,
                machine=MACHINE,
            )
            save_result(folder / place / "result.json", run)
            runs.append(run)
            places.append(place)
    comparison = Comparison(
        title="t",
        command="plait compare",
        env=TRAINED_ON,
        preset="default",
        is_meaningful=True,
        dataset=DatasetSummary(
            path="data",
            fingerprint="f",
            num_episodes=len(shown),
            num_steps=10,
            cameras=("base",),
            tasks=tuple(shown),
            is_recorded_here=True,
        ),
        arms=summarise_arms(runs),
        comparisons=compare_pairs(runs),
        runs=tuple(places),
        settings={"execution_horizon": 1},
        total_seconds=1.0,
        machine=MACHINE,
    )
    save_result(folder / "results.json", comparison)
    return folder


class PickyExpert:
    """The scripted expert, which takes another object where the one meant is a held-out one.

    It acts in the one environment that it has made, so scenes are played one at a time.
    """

    action_horizon, observation_window = 1, 1
    cameras, image_size = ("base",), 16

    def __init__(self, env_name):
        self.env_name, self.env = env_name, None

    def make_env(self):
        self.env = make_env(self.env_name, cameras=self.cameras, image_size=self.image_size)
        return self.env

    def predict(self, observation):
        assert observation.batch_size == 1
        tabletop = self.env.unwrapped
        expert = Expert(self.env)
        if is_held_out(tabletop.task.verb, tabletop.task.thing):
            others = [task for task in tabletop.feasible_tasks() if task != tabletop.task]
            expert._env = _AnotherTask(tabletop.world, others[0])
        action = torch.from_numpy(np.asarray(expert.act(), np.float32))[None, None]
        return ActionChunk(action, torch.ones(1, 1, dtype=torch.bool))


class _AnotherTask:
    def __init__(self, world, task):
        self.world, self._task = world, task

    @property
    def referee(self):
        return Referee(self.world, self._task)
