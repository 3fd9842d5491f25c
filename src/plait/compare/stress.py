"""What `plait stress` does: play a policy under every condition, sum up, write a report.

Everything goes to one folder, one file a cell; a call that finds cells done there goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from plait.compare.arm import EVALUATION_SEED
from plait.compare.cells import CELLS_FOLDER, claim_for_cells, play_jobs
from plait.compare.demonstrations import describe_dataset
from plait.compare.environment import EnvFactory, check_fit, view_of
from plait.compare.stress_against import Rival, compare_with, find_rivals
from plait.compare.stress_cells import (
    RESULTS_FILE,
    Setup,
    distinct_held_out,
    held_out,
    read_cells,
    share_out,
    training_stats,
)
from plait.compare.stress_failures import film_failures
from plait.compare.workers import worker_count
from plait.errors import (
    OptionError,
    require_at_least_one,
    require_seed,
    without_known_names,
)
from plait.evaluation.stress.grid import closed_grid, corrupted, open_grid
from plait.evaluation.stress.held_out import HeldOut
from plait.evaluation.stress.ingredients import (
    TABLETOP,
    Ingredients,
    choose_corruptions,
    has_grammar,
    suite_instructions,
)
from plait.evaluation.stress.open_loop import OpenLoop
from plait.evaluation.stress.policies import Checked, load_policy, policy_fingerprint
from plait.evaluation.stress.scores import listening, reaction, summarise_loop
from plait.report.stress import write_stress_report
from plait.report.text import counted, listing
from plait.results import (
    DatasetSummary,
    describe_machine,
    load_result,
    save_result,
)
from plait.results.stress import CLOSED, LISTENING, OPEN, Cell, Condition, Loop, StressResult

REPORT_FILE = "report.html"
DEFAULT_EXECUTION_HORIZON = 2
# With fewer scenes an interval is so wide that little can be told.
FEW_SCENES = 30
FEW_EPISODES = 10


@dataclass(frozen=True, kw_only=True)
class StressOptions:
    """What to play.

    Attributes:
        policy: Folder of a policy, or `module:function` that makes one.
        env: Environment of the closed loop; None for demonstrations alone.
        data: Demonstrations for the open loop; None for none.
        num_episodes: Scenes of the closed loop.
        severities: Which of 1 to 5.
        corruptions: Names, or modalities for all of theirs; all that fit if empty.
        execution_horizon: Steps executed before the policy looks again; 2, or fewer if the policy
            predicts fewer, where None.
        against: Policies trained otherwise to compare with, runs, comparisons, or folders of their
            finished stress tests.
        reference: Folder of another stress test that effective robustness refers to.
        seed: Of the first scene.
        num_workers: Processes; one a core where None.
    """

    policy: str
    env: str | None = "tabletop/touch"
    data: str | None = None
    num_episodes: int = 50
    severities: tuple[int, ...] = (1, 3, 5)
    corruptions: tuple[str, ...] = ()
    execution_horizon: int | None = None
    against: tuple[str, ...] = ()
    reference: Path | None = None
    seed: int = EVALUATION_SEED
    num_workers: int | None = None


def stress(
    options: StressOptions, out: Path, *, command: str = "plait.stress(...)"
) -> StressResult:
    """Put a policy under stress.

    Args:
        options: What to play.
        out: Folder of everything; a call that finds cells done there goes on from them.
        command: What was typed, for the record.

    Returns:
        The result, as saved in `out/results.json`; the report is `out/report.html`.

    Raises:
        PlaitError: Of the policy, the options, the demonstrations or the output folder.
        KeyboardInterrupt: On Ctrl-C; finished cells are kept.
    """
    num_workers = _checked(options)
    plan = Plan(options)
    cells = [*((CLOSED, each) for each in plan.closed), *((OPEN, each) for each in plan.open)]
    reference = _reference(options)
    rivals = find_rivals(options.against, out, plan.identity)
    claim_for_cells(out, plan.identity, "stress test")
    jobs = share_out(plan.setup, cells, out, num_workers)
    play_jobs(jobs, f"stress {Path(options.policy).name}")
    for rival in rivals:
        if rival.identity is None:
            alike = replace(options, policy=rival.policy, against=(), reference=None)
            stress(alike, rival.folder, command=command)
    result = _compared(_result(plan, out, reference, command), plan, rivals, out)
    save_result(out / RESULTS_FILE, result)
    write_stress_report(out / RESULTS_FILE, out / REPORT_FILE)
    return result


def _checked(options: StressOptions) -> int:
    """Refuse numbers that cannot be; return how many processes to use."""
    require_at_least_one("number of episodes", options.num_episodes)
    require_seed(options.seed)
    if options.env is None and options.data is None:
        raise OptionError("there is nothing to play: give an environment or --data")
    if not options.severities:
        raise OptionError("there is no severity to play; give one or more of 1, 2, 3, 4, 5")
    corrupted((), options.severities)
    return worker_count(options.num_workers)


class Plan:
    """What is played, decided before anything is: every name and shape that can be checked is.

    Args:
        options: What was asked for.

    Raises:
        PlaitError: Of the policy, the environment, the demonstrations or a corruption.
    """

    def __init__(self, options: StressOptions) -> None:
        self.options = options
        self.action_dim = _action_dim(options, self.plain_policy)
        data = None if self.held is None else self.held.data
        if data is not None and self.action_dim not in (None, data.action_dim):
            raise OptionError(
                f"an action of {options.env} has {self.action_dim} dimensions, but one of "
                f"{options.data} has {data.action_dim}; they are of different robots"
            )
        if data is not None:
            self.action_dim = data.action_dim
        self.closed, self.open = self._closed(), self._open()

    @cached_property
    def plain_policy(self) -> Checked:
        """The policy, before the size of its actions is known."""
        return load_policy(self.options.policy)

    @cached_property
    def held(self) -> HeldOut | None:
        """The held-out demonstrations, if any."""
        if self.options.data is None:
            return None
        return held_out(self.options.data, self.plain_policy)

    @cached_property
    def judges_language(self) -> bool:
        """Whether the held-out demonstrations have more than one instruction."""
        return self.held is not None and distinct_held_out(self.held) > 1

    @cached_property
    def setup(self) -> Setup:
        """What every process must know."""
        options = self.options
        horizon = options.execution_horizon
        if horizon is None:
            horizon = min(DEFAULT_EXECUTION_HORIZON, self.plain_policy.action_horizon)
        return Setup(
            policy=options.policy,
            env=options.env,
            data=options.data,
            seeds=tuple(range(options.seed, options.seed + options.num_episodes)),
            execution_horizon=horizon,
            action_dim=self.action_dim,
            closed=self._ingredients(CLOSED),
            open=self._ingredients(OPEN),
        )

    @property
    def identity(self) -> dict[str, Any]:
        """What makes two cells of the same name the same; corruptions may be added later."""
        options, setup = self.options, self.setup
        return {
            "policy": options.policy,
            "policy_fingerprint": policy_fingerprint(options.policy),
            "env": options.env,
            "episodes": options.num_episodes if options.env else 0,
            "seed": options.seed,
            "execution_horizon": setup.execution_horizon,
            "data": options.data,
            "data_fingerprint": self.held.data.fingerprint if self.held else "",
        }

    def _ingredients(self, loop: str) -> Ingredients:
        scale: tuple[float, ...] = ()
        instructions: tuple[str, ...] = ()
        if self.held is not None:
            scale = tuple(training_stats(self.held.data).proprio.std.tolist())
            instructions = self.held.data.instructions if self.judges_language else ()
        if loop == CLOSED and (self.options.env or "").startswith(TABLETOP):
            return Ingredients(scale, suite_instructions(self.options.env or ""), has_grammar=True)
        return Ingredients(scale, instructions, has_grammar=has_grammar(instructions))

    def _closed(self) -> list[Condition]:
        options = self.options
        if options.env is None:
            return []
        names = choose_corruptions(options.corruptions, self.setup.closed, CLOSED)
        can_listen = options.env.startswith(TABLETOP)
        cameras = self.plain_policy.cameras
        return closed_grid(names, options.severities, cameras, can_listen=can_listen)

    def _open(self) -> list[Condition]:
        options = self.options
        if self.held is None:
            return []
        wanted = options.corruptions
        if options.env is not None:
            # What was asked for by name and fits the closed loop alone is played there alone.
            wanted = tuple(name for name in wanted if not _fits_closed_alone(name, self.setup))
        is_none_left = bool(options.corruptions) and not wanted
        names = [] if is_none_left else choose_corruptions(wanted, self.setup.open, OPEN)
        return open_grid(
            names,
            options.severities,
            self.plain_policy.cameras,
            judges_language=self.judges_language,
            has_grammar=self.setup.open.has_grammar,
        )

    def notes(self, cells: Sequence[Cell]) -> list[str]:
        """Say what could not be judged, and why."""
        notes = []
        if self.held is not None and not self.judges_language:
            notes.append(
                f"The held-out demonstrations of {self.options.data} have a single instruction, "
                "so language cannot be judged on them; there is no number for it."
            )
        if self.options.env is not None and self.options.num_episodes < FEW_SCENES:
            notes.append(
                f"Only {counted(self.options.num_episodes, 'scene')} a condition: the intervals "
                "are wide, and small changes mean nothing."
            )
        if self.held is not None and len(self.held.units) < FEW_EPISODES:
            notes.append(
                f"Only {counted(len(self.held.units), 'held-out episode')}: intervals over so few "
                "say little, and are too narrow."
            )
        if len(self.plain_policy.cameras) == 1:
            notes.append("The policy has one camera: without it, vision is missing as a whole.")
        if self.options.env is not None and not self.setup.closed.proprio_scale:
            notes.append(
                "Noise and bias of the proprio were left out: their unit is how the proprio "
                "varies in demonstrations, and none were given (--data)."
            )
        return [*notes, *_refusals(cells)]


def _fits_closed_alone(name: str, setup: Setup) -> bool:
    is_name = name not in ("vision", "language", "proprio", "action")
    return is_name and bool(setup.open.obstacle(name, OPEN))


def _refusals(cells: Sequence[Cell]) -> list[str]:
    """Say which instructions the policy would not read; the reason of the first."""
    refused = [cell for cell in cells if cell.refusal]
    if not refused:
        return []
    names = list(dict.fromkeys(cell.condition.name for cell in refused))
    reason = without_known_names(refused[0].refusal)
    return [
        f"The policy refused instructions under {listing(names)}, so there is no number for "
        f"these: {reason}."
    ]


def _action_dim(options: StressOptions, policy: Checked) -> int | None:
    """Make the environment once, with the policy's cameras, and ask for the size of an action."""
    if options.env is None:
        return None
    factory = EnvFactory(options.env, policy.cameras, policy.image_size, view=view_of(policy))
    return check_fit(policy, options.policy, factory)


def _reference(options: StressOptions) -> StressResult | None:
    if options.reference is None:
        return None
    return load_result(options.reference / RESULTS_FILE, StressResult)


def _result(plan: Plan, out: Path, reference: StressResult | None, command: str) -> StressResult:
    closed, opened = read_cells(out, CLOSED, plan.closed), read_cells(out, OPEN, plan.open)
    options, cells = plan.options, [*closed, *opened]
    failures, unshown = film_failures(plan.setup, closed, out)
    heard = [cell for cell in closed if cell.condition.kind == LISTENING and cell.units]
    return StressResult(
        command=command,
        policy=options.policy,
        env=options.env,
        closed=_closed_loop(closed, reference),
        open=_open_loop(plan, opened, reference),
        listening=listening(heard[0], closed[0]) if heard else None,
        reaction=reaction(opened),
        dataset=_dataset(plan),
        reference=None if options.reference is None else str(options.reference),
        notes=(*plan.notes(cells), *unshown),
        settings={
            **plan.identity,
            "severities": list(options.severities),
            "corruptions": sorted({c.name for c in (*plan.closed, *plan.open) if c.severity}),
            "cells": CELLS_FOLDER,
        },
        total_seconds=sum(cell.seconds for cell in cells),
        machine=describe_machine(),
        failures=failures,
    )


def _compared(result: StressResult, plan: Plan, rivals: Sequence[Rival], out: Path) -> StressResult:
    """Add the comparison with other policies, in each loop that all were played in."""
    if not rivals:
        return result
    own = Rival(plan.options.policy, plan.identity["policy_fingerprint"], out, plan.identity)
    played = ((result.closed, plan.closed), (result.open, plan.open))
    found = [
        compare_with(rivals, own, conditions, loop.loop, loop.trivial)
        for loop, conditions in played
        if loop is not None
    ]
    return replace(result, options=tuple(each for each in found if each is not None))


def _dataset(plan: Plan) -> DatasetSummary | None:
    if plan.held is None:
        return None
    return describe_dataset(plan.options.data or "", plan.held.data, is_recorded_here=False)


def _closed_loop(cells: Sequence[Cell], reference: StressResult | None) -> Loop | None:
    if not cells:
        return None
    return summarise_loop(cells, reference=None if reference is None else reference.closed)


def _open_loop(plan: Plan, cells: Sequence[Cell], reference: StressResult | None) -> Loop | None:
    if not cells or plan.held is None:
        return None
    trivial = OpenLoop(plan.plain_policy, plan.held, plan.setup.open).trivial()
    other = None if reference is None else reference.open
    return summarise_loop(cells, trivial=trivial, reference=other)
