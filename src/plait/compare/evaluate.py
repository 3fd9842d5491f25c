"""What `plait evaluate` does: one policy in closed loop, by many processes, beside its controls.

With a folder, every cell of scenes leaves a file there; a call that finds cells done goes on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from plait.compare.arm import EVALUATION_SEED
from plait.compare.cells import CELLS_FOLDER, claim_for_cells, play_jobs
from plait.compare.environment import check_fit, frame_stride, render_options, view_of
from plait.compare.evaluation_cells import CellPlan, Setup, plan_cells, share_out
from plait.compare.evaluation_films import film_evaluation
from plait.compare.settings import CONTROLS
from plait.compare.workers import worker_count
from plait.envs import family_of, groups_of
from plait.errors import (
    DataError,
    OptionError,
    UnknownNameError,
    require_at_least_one,
    require_seed,
)
from plait.evaluation.pictures import record_pictures
from plait.evaluation.rates import Groups, compare_with_controls, summarise_condition
from plait.evaluation.stress.policies import load_policy, policy_fingerprint
from plait.report.evaluation import write_evaluation_report
from plait.results import RolloutPicture, describe_machine, load_result, save_result
from plait.results.evaluation import ConditionResult, EvaluationResult
from plait.types import MODALITIES

RESULTS_FILE = "results.json"
REPORT_FILE = "report.html"


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """What is played.

    Attributes:
        policy: Folder of a policy, or `module:function` that makes one.
        env: Environment id.
        num_episodes: Scenes.
        execution_horizon: Steps executed before the policy looks again.
        masked: Modalities hidden from the policy in any case.
        has_controls: Whether the scenes are played again with the instruction, and with the
            images, hidden.
        num_films: Films of failures, and of successes, where there is a folder for them.
        render: How pictures are taken, where not as those that the policy was trained on: `opengl`
            or `raycast`.
        seed: Of the first scene.
        num_workers: Processes; one a core where None.
    """

    policy: str
    env: str = "tabletop/touch"
    num_episodes: int = 100
    execution_horizon: int = 2
    masked: tuple[str, ...] = ()
    has_controls: bool = False
    num_films: int = 2
    render: str | None = None
    seed: int = EVALUATION_SEED
    num_workers: int | None = None

    @property
    def conditions(self) -> tuple[str | None, ...]:
        """The policy as it is, then the controls."""
        return (None, *(CONTROLS if self.has_controls else ()))

    def check(self) -> None:
        """Refuse what cannot be.

        Raises:
            OptionError: Naming the number, or the two options that contradict one another.
            UnknownNameError: If there is no such modality.
        """
        require_at_least_one("number of episodes", self.num_episodes)
        require_at_least_one("execution horizon", self.execution_horizon)
        require_seed(self.seed)
        worker_count(self.num_workers)
        if self.num_films < 0:
            raise OptionError(f"the number of films is {self.num_films}, but must be 0 or more")
        for modality in self.masked:
            if modality not in MODALITIES:
                raise UnknownNameError("modality", modality, MODALITIES)
        if self.masked and self.has_controls:
            raise OptionError(
                "controls hide one modality each from a policy that has all of them; leave out "
                "either --controls or --mask"
            )


def evaluate(
    options: EvaluationOptions, out: Path | None = None, *, command: str = "plait.evaluate(...)"
) -> EvaluationResult:
    """Roll a policy out in many scenes.

    Args:
        options: What is played.
        out: Folder of everything; a call that finds cells done there goes on from them. Nothing
            is kept where None.
        command: What was typed, for the record.

    Returns:
        The result, as saved in `out/results.json`; the report is `out/report.html`.

    Raises:
        PlaitError: Of the policy, the environment, the options or the folder, before anything is
            played.
        KeyboardInterrupt: On Ctrl-C; finished cells are kept.
    """
    options.check()
    plan = Plan(options)
    plan.check()
    if out is None:
        with TemporaryDirectory(prefix="plait-evaluate-") as folder:
            return _play(plan, Path(folder), command)
    claim_for_cells(out, plan.identity, "evaluation")
    result = _play(plan, out, command)
    result = replace(result, pictures=_film(plan, result, out))
    save_result(out / RESULTS_FILE, result)
    write_evaluation_report(out / RESULTS_FILE, out / REPORT_FILE)
    return result


class Plan:
    """What is played, decided before anything is.

    Args:
        options: What was asked for.

    Raises:
        PlaitError: Of the policy or the environment, or if they do not fit one another.
    """

    def __init__(self, options: EvaluationOptions) -> None:
        self.options = options
        self.groups: Groups = groups_of(options.env)
        self.cells = plan_cells(options.seed, options.num_episodes, options.conditions)
        self.policy = load_policy(options.policy)
        setup = Setup(
            policy=options.policy,
            env=options.env,
            execution_horizon=options.execution_horizon,
            masked=options.masked,
            action_dim=None,
            view=self._view(),
        )
        action_dim = check_fit(self.policy, options.policy, setup.env_factory(self.policy))
        self.setup = replace(setup, action_dim=action_dim)

    def _view(self) -> Mapping[str, Any]:
        """Return how pictures are taken; empty where the environment knows one way alone.

        Raises:
            OptionError: If the environment knows no such way.
        """
        env, render = self.options.env, self.options.render
        usual = family_of(env).view({})
        if render is None:
            trained_on = render_options(env, view_of(self.policy)).get("render")
            return trained_on or usual
        if not usual:
            raise OptionError(f"{env} knows one way of taking pictures; leave out --render")
        return family_of(env).view({"render": render})

    @property
    def is_view_of_training(self) -> bool:
        """Whether the policy sees such pictures as it was trained on, as far as anybody knows."""
        return not self.setup.view or self.setup.view == view_of(self.policy)

    @property
    def identity(self) -> dict[str, Any]:
        """What makes two cells of the same name the same; controls may be added later."""
        options = self.options
        return {
            "policy": options.policy,
            "policy_fingerprint": policy_fingerprint(options.policy),
            "env": options.env,
            "episodes": options.num_episodes,
            "seed": options.seed,
            "execution_horizon": options.execution_horizon,
            "masked": list(options.masked),
            **({} if options.render is None else {"render": options.render}),
        }

    def check(self) -> None:
        """Refuse what would fail once it is played.

        Raises:
            OptionError: If more steps are to be executed than are predicted.
        """
        if self.options.execution_horizon > self.policy.action_horizon:
            raise OptionError(
                f"the execution horizon is {self.options.execution_horizon}, but "
                f"{self.options.policy} predicts only {self.policy.action_horizon} steps at once"
            )


def _play(plan: Plan, folder: Path, command: str) -> EvaluationResult:
    """Play what is left, and sum everything up."""
    options = plan.options
    jobs = share_out(plan.setup, plan.cells, folder, worker_count(options.num_workers))
    play_jobs(jobs, f"evaluate in {options.env}")
    conditions = [_sum_up(plan, folder, control) for control in options.conditions]
    return _result(plan, conditions, command, max(len(jobs), 1))


def _result(
    plan: Plan,
    conditions: Sequence[ConditionResult],
    command: str,
    num_processes: int,
) -> EvaluationResult:
    options = plan.options
    return EvaluationResult(
        command=command,
        policy=options.policy,
        env=options.env,
        execution_horizon=options.execution_horizon,
        first_seed=options.seed,
        num_scenes=options.num_episodes,
        conditions=tuple(conditions),
        comparisons=compare_with_controls(conditions, plan.groups),
        pictures=(),
        view=plan.setup.view,
        is_view_of_training=plan.is_view_of_training,
        settings={**plan.identity, "cells": CELLS_FOLDER},
        num_processes=num_processes,
        total_seconds=sum(each.seconds for each in conditions),
        machine=describe_machine(),
    )


def _film(plan: Plan, result: EvaluationResult, out: Path) -> tuple[RolloutPicture, ...]:
    """Film failures and successes, but for those that an earlier call filmed."""

    def film(seeds: Sequence[int]) -> tuple[RolloutPicture, ...]:
        return record_pictures(
            plan.policy,
            plan.setup.env_factory(plan.policy, has_pictures=True),
            seeds,
            out,
            execution_horizon=plan.options.execution_horizon,
            frame_stride=frame_stride(plan.options.env),
            masked_modalities=plan.options.masked,
        )

    episodes = result.conditions[0].episodes
    return film_evaluation(film, episodes, plan.options.num_films, _filmed(out))


def _filmed(out: Path) -> list[RolloutPicture]:
    """Return the films that an earlier call made."""
    try:
        before = load_result(out / RESULTS_FILE, EvaluationResult)
    except DataError:
        return []
    return [film for film in before.pictures if (out / film.file).exists()]


def _sum_up(plan: Plan, folder: Path, control: str | None) -> ConditionResult:
    """Read all cells of a condition, and put their episodes in the order of the seeds."""
    own: list[CellPlan] = [cell for cell in plan.cells if cell.control == control]
    cells = [cell.read(folder) for cell in own]
    episodes = sorted(
        (episode for cell in cells for episode in cell.episodes), key=lambda each: each.seed
    )
    return summarise_condition(
        episodes,
        plan.groups,
        control=control,
        masked=plan.setup.masked_in(control),
        seconds=sum(cell.seconds for cell in cells),
    )
