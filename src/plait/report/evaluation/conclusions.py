"""What the numbers of an evaluation say, in sentences, and what they do not."""

from collections.abc import Iterator

from plait.report import text
from plait.report.evaluation.reading import HIDDEN, controls, loss, mean_text, own
from plait.results import Grouping, Rate
from plait.results.evaluation import ControlComparison, EvaluationResult
from plait.wording import few

# With fewer episodes the interval of a task is so wide that two tasks can hardly be told apart.
FEW_EPISODES = 20


def conclude_evaluation(result: EvaluationResult) -> list[str]:
    """Return the findings, the most important first, and what to doubt last."""
    sentences = [_overall(result)]
    for grouping in own(result).groups:
        sentences += _groups(result, grouping)
    sentences += _extremes(result)
    for comparison in result.comparisons:
        sentences.append(_control(result, comparison))
    return [*sentences, _speed(result), *_doubts(result)]


def _overall(result: EvaluationResult) -> str:
    condition = own(result)
    sentence = (
        f"The policy succeeds in {text.rate_with_interval(condition.success)} of "
        f"{text.counted(condition.success.trials, 'episode')} of {result.env}"
    )
    num_tasks = len(condition.per_task)
    if num_tasks == 1:
        return f"{sentence}."
    return (
        f"{sentence}; the mean over its {num_tasks} tasks, each counted alike, is "
        f"{text.percent(condition.task_mean)}."
    )


def _groups(result: EvaluationResult, grouping: Grouping) -> list[str]:
    if len(grouping.groups) == 1:
        return []
    listed = text.listing(
        [f"{text.words(each.name)} {text.percent(each.success.rate)}" for each in grouping.groups]
    )
    if grouping.together.trials == own(result).success.trials:
        return [
            f"By {grouping.kind}: {listed}. The mean of these {len(grouping.groups)} groups, each "
            f"counted alike, is {mean_text(grouping.mean)}; papers report either this or the mean "
            "over tasks."
        ]
    return [
        f"On tasks with a {grouping.kind}, success is "
        f"{text.rate_with_interval(grouping.together)} of "
        f"{text.counted(grouping.together.trials, 'episode')}: {listed}."
    ]


def _extremes(result: EvaluationResult) -> list[str]:
    """Name the tasks that never, and count those that always succeed."""
    rates = own(result).per_task
    if len(rates) == 1:
        return []
    never = [task for task, rate in rates.items() if rate.successes == 0]
    always = [task for task, rate in rates.items() if rate.successes == rate.trials]
    sentences = []
    if never:
        sentences.append(f"Never solved: {few(never)} ({len(never)} of {len(rates)} tasks).")
    if always:
        sentences.append(f"Solved in every episode: {len(always)} of {len(rates)} tasks.")
    return sentences


def _control(result: EvaluationResult, comparison: ControlComparison) -> str:
    hidden = HIDDEN.get(comparison.control, "what the control hides")
    where = f"On tasks with a {comparison.kind}, without" if comparison.kind else "Without"
    value, low, high = loss(result, comparison)
    told = text.p_value(comparison.pair.p_value)
    rate = _control_rate(result, comparison)
    level = f"{where} {hidden} it succeeds in {text.rate_with_interval(rate)}"
    if not comparison.pair.differs:
        return (
            f"{level}, which is not told from what it does with everything ({told}): that it uses "
            f"{hidden} is not shown."
        )
    if value < 0:
        return (
            f"{level}, {100 * -value:.1f} points more (95% interval {_ends(-high, -low)}, {told}): "
            f"{hidden} misleads it."
        )
    return f"{level}, {100 * value:.1f} points less (95% interval {_ends(low, high)}, {told})."


def _ends(low: float, high: float) -> str:
    return f"{100 * low:.1f} to {100 * high:.1f}"


def _control_rate(result: EvaluationResult, comparison: ControlComparison) -> Rate:
    condition = next(each for each in controls(result) if each.control == comparison.control)
    if not comparison.kind:
        return condition.success
    return next(each.together for each in condition.groups if each.kind == comparison.kind)


def _speed(result: EvaluationResult) -> str:
    condition = own(result)
    sentence = f"An episode takes {condition.mean_steps:.0f} control steps on average"
    if condition.mean_steps_to_success is not None:
        sentence += f", {condition.mean_steps_to_success:.0f} where it succeeds"
    return (
        f"{sentence}; a process does {text.significant(condition.steps_per_second)} control steps "
        "a second, pictures and policy included."
    )


def _doubts(result: EvaluationResult) -> Iterator[str]:
    if not result.is_view_of_training:
        yield (
            "The pictures that the policy was trained on were taken otherwise, or nobody knows "
            f"how; these were taken by {result.view.get('renderer', 'another renderer')}."
        )
    fewest = min(rate.trials for rate in own(result).per_task.values())
    if fewest < FEW_EPISODES:
        yield (
            f"Some task was asked for in {text.counted(fewest, 'episode')} only: the intervals of "
            "single tasks are wide, and their order means little."
        )
    if controls(result):
        yield (
            "The controls hide a modality from a policy that was trained with it, which says what "
            "this policy relies on; a network trained without it might do better (plait compare "
            "trains such controls)."
        )
    yield (
        "One policy was evaluated: how far another training would move these numbers is unknown, "
        "and the intervals do not cover it."
    )
