"""Rates of episodes by task and by group of tasks, and of a policy beside its controls."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import sqrt
from statistics import fmean

from plait.evaluation.statistics import (
    SIGNIFICANCE,
    mcnemar_exact,
    paired_difference_interval,
    wilson,
)
from plait.results import (
    ArmSummary,
    EpisodeResult,
    Grouping,
    GroupRate,
    MeanRate,
    PairedComparison,
    Rate,
    RunResult,
)
from plait.results.evaluation import ConditionResult, ControlComparison

# Kind of group → name of the group → its tasks; see `plait.envs.family.Family.groups`.
Groups = Mapping[str, Mapping[str, tuple[str, ...]]]


def rate_of(episodes: Sequence[EpisodeResult]) -> Rate:
    """Return the success rate of some episodes with its Wilson interval."""
    return wilson(sum(episode.success for episode in episodes), len(episodes))


def task_rates(episodes: Sequence[EpisodeResult]) -> dict[str, Rate]:
    """Return the rate of every task that was asked for, by name."""
    by_task: dict[str, list[EpisodeResult]] = {}
    for episode in episodes:
        by_task.setdefault(episode.task, []).append(episode)
    return {task: rate_of(by_task[task]) for task in sorted(by_task)}


def mean_rate(rates: Sequence[Rate]) -> MeanRate:
    """Return the unweighted mean of independent rates with its interval.

    The distances of the single intervals' ends from their rates, added in quadrature: MOVER.

    Args:
        rates: At least one.

    Reference: Zou & Donner, 2008, Statistics in Medicine 27.
    """
    value = fmean(rate.rate for rate in rates)
    below = sqrt(sum((rate.rate - rate.low) ** 2 for rate in rates)) / len(rates)
    above = sqrt(sum((rate.high - rate.rate) ** 2 for rate in rates)) / len(rates)
    return MeanRate(value=value, low=max(value - below, 0.0), high=min(value + above, 1.0))


def group_rates(episodes: Sequence[EpisodeResult], groups: Groups) -> tuple[Grouping, ...]:
    """Sum episodes up by groups of tasks.

    Args:
        episodes: Any.
        groups: By kind; groups, and kinds, without an episode are left out.
    """
    found = []
    for kind, members in groups.items():
        rates = []
        for name, tasks in members.items():
            own = [episode for episode in episodes if episode.task in tasks]
            if own:
                rates.append(GroupRate(name=name, tasks=tasks, success=rate_of(own)))
        if rates:
            together = rate_of(members_only(episodes, members))
            mean = mean_rate([group.success for group in rates])
            found.append(Grouping(kind=kind, groups=tuple(rates), together=together, mean=mean))
    return tuple(found)


def with_groups(
    arms: Sequence[ArmSummary], runs: Sequence[RunResult], groups: Groups
) -> tuple[ArmSummary, ...]:
    """Add success by groups of tasks to the arms of a comparison."""
    episodes: dict[str, list[EpisodeResult]] = {}
    for run in runs:
        episodes.setdefault(run.arm, []).extend(run.episodes)
    return tuple(replace(arm, groups=group_rates(episodes[arm.arm], groups)) for arm in arms)


def members_only(
    episodes: Sequence[EpisodeResult], members: Mapping[str, tuple[str, ...]]
) -> list[EpisodeResult]:
    """Return the episodes of tasks that are in some group."""
    tasks = {task for group in members.values() for task in group}
    return [episode for episode in episodes if episode.task in tasks]


def summarise_condition(
    episodes: Sequence[EpisodeResult],
    groups: Groups,
    *,
    control: str | None,
    masked: tuple[str, ...],
    seconds: float,
) -> ConditionResult:
    """Sum up what a policy did in all scenes under one condition.

    Args:
        episodes: At least one.
        groups: Tasks that are summed up together.
        control: Name of the condition; None for the policy as it is.
        masked: Modalities hidden from the policy.
        seconds: Wall time of all, added up over processes.
    """
    per_task = task_rates(episodes)
    steps = sum(episode.num_steps for episode in episodes)
    to_success = [episode.num_steps for episode in episodes if episode.success]
    return ConditionResult(
        control=control,
        masked=masked,
        success=rate_of(episodes),
        per_task=per_task,
        groups=group_rates(episodes, groups),
        task_mean=fmean(rate.rate for rate in per_task.values()),
        outcomes=dict(Counter(episode.outcome for episode in episodes).most_common()),
        mean_steps=steps / len(episodes),
        mean_steps_to_success=fmean(to_success) if to_success else None,
        seconds=seconds,
        steps_per_second=steps / seconds if seconds > 0 else 0.0,
        episodes=tuple(episodes),
    )


def compare_episodes(
    first: str,
    episodes: Sequence[EpisodeResult],
    second: str,
    others: Sequence[EpisodeResult],
    num_tests: int = 1,
) -> PairedComparison:
    """Compare two conditions in the scenes that both were played in.

    Args:
        first: Name of one of them.
        episodes: Its episodes.
        second: Name of the other.
        others: Its episodes; at least one scene is shared.
        num_tests: Tests that are looked at together; the p-value is multiplied by it (Bonferroni).

    Returns:
        The comparison, the better one first; `first` where neither is.
    """
    solved = {episode.seed: episode.success for episode in others}
    pairs = [(each.success, solved[each.seed]) for each in episodes if each.seed in solved]
    only = sum(one and not other for one, other in pairs)
    other_only = sum(other and not one for one, other in pairs)
    if other_only > only:
        first, second, only, other_only = second, first, other_only, only
    low, high = paired_difference_interval(only, other_only, len(pairs))
    p_value = min(num_tests * mcnemar_exact(only, other_only), 1.0)
    return PairedComparison(
        first=first,
        second=second,
        first_only=only,
        second_only=other_only,
        difference=(only - other_only) / len(pairs),
        low=low,
        high=high,
        p_value=p_value,
        differs=p_value < SIGNIFICANCE,
    )


def compare_with_controls(
    conditions: Sequence[ConditionResult], groups: Groups
) -> tuple[ControlComparison, ...]:
    """Compare a policy with each of its controls: in all scenes, and in those of a kind of group.

    Args:
        conditions: The policy as it is, then the controls.
        groups: Tasks that are summed up together.
    """
    own, *controls = conditions
    members: dict[str, Mapping[str, tuple[str, ...]] | None] = {"": None}
    for kind, tasks in groups.items():
        # A kind of group that all tasks are in would say the same again.
        if 0 < len(members_only(own.episodes, tasks)) < len(own.episodes):
            members[kind] = tasks
    num_tests = len(controls) * len(members)
    found = []
    for control in controls:
        for kind, chosen in members.items():
            mine, other = (
                each.episodes if chosen is None else members_only(each.episodes, chosen)
                for each in (own, control)
            )
            pair = compare_episodes(own.name, mine, control.name, other, num_tests)
            found.append(ControlComparison(control=control.control or "", kind=kind, pair=pair))
    return tuple(found)
