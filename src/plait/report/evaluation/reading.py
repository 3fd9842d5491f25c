"""How the rates of an evaluation are read, the same for page, terminal and sentences."""

from plait.report import text
from plait.results import Grouping, MeanRate, Rate
from plait.results.evaluation import ConditionResult, ControlComparison, EvaluationResult

HIDDEN = {"instruction_masked": "the instruction", "images_masked": "the images"}


def own(result: EvaluationResult) -> ConditionResult:
    """Return what the policy did as it is."""
    return result.conditions[0]


def controls(result: EvaluationResult) -> tuple[ConditionResult, ...]:
    """Return what it did with something hidden."""
    return result.conditions[1:]


def rates_in(condition: ConditionResult, kind: str) -> dict[str, Rate]:
    """Return the rates of a condition by the names of its groups of a kind; empty without any."""
    return {
        group.name: group.success
        for grouping in condition.groups
        if grouping.kind == kind
        for group in grouping.groups
    }


def group_of(condition: ConditionResult) -> dict[str, str]:
    """Return the first group of every task that has one, of the first kind of group."""
    first: tuple[Grouping, ...] = condition.groups[:1]
    return {task: each.name for kind in first for each in kind.groups for task in each.tasks}


def mean_text(mean: MeanRate) -> str:
    """Write a mean as `62.5% (55.6–68.9%)`."""
    return f"{text.percent(mean.value)} ({text.interval(mean)})"


def loss(result: EvaluationResult, comparison: ControlComparison) -> tuple[float, float, float]:
    """Return by how much success falls when a control hides something, with the interval."""
    pair = comparison.pair
    if pair.first == own(result).name:
        return pair.difference, pair.low, pair.high
    return -pair.difference, -pair.high, -pair.low
