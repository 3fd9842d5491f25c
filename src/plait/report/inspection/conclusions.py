"""What an inspection says as a whole, in sentences."""

from plait.report import text
from plait.results import Estimate
from plait.results.inspection import (
    ERROR,
    NOTE,
    SEVERITIES,
    WARNING,
    Baseline,
    InspectionResult,
    count_of,
)

VERDICTS = {
    ERROR: "This dataset is not sound as it is: a training would fail on it, or learn what is "
    "wrong.",
    WARNING: "Nothing in this dataset stops a training, but something may spoil what it learns.",
    NOTE: "These checks find nothing wrong with this dataset; what they noticed is good to know.",
}
NOTHING = "These checks find nothing wrong with this dataset."


def conclude_inspection(result: InspectionResult) -> list[str]:
    """Return the verdict, then what there is in numbers."""
    return [
        _verdict(result),
        size_text(result),
        *_motion(result),
        *_copying(result),
    ]


def _verdict(result: InspectionResult) -> str:
    counts = {severity: count_of(result.findings, severity) for severity in SEVERITIES}
    there = [severity for severity, number in counts.items() if number]
    if not there:
        return NOTHING
    numbers = text.listing([text.counted(counts[severity], severity) for severity in there])
    return f"{VERDICTS[there[0]]} {numbers[0].upper()}{numbers[1:]}."


def size_text(result: InspectionResult) -> str:
    """Say how much data there is."""
    lengths, fps = result.lengths, result.fps
    cameras = text.counted(len(result.cameras), "camera")
    extent = f"{lengths.longest / fps:.1f} s"
    if lengths.shortest < lengths.longest:
        median = f"(median {lengths.median / fps:.1f} s)"
        extent = f"{lengths.shortest / fps:.1f} to {extent} {median}"
    return (
        f"{text.counted(result.num_episodes, 'episode')} of {extent}, "
        f"{text.counted(result.num_steps, 'step')} at {fps:g} a second, "
        f"{text.duration(result.num_steps / fps)} in all; {cameras}, "
        f"{text.counted(len(result.instructions), 'instruction')}."
    )


def _motion(result: InspectionResult) -> list[str]:
    motion = result.motion
    if not motion.idle:
        return []
    return [
        f"In {text.percent(motion.idle)} of the steps nothing has moved for {motion.idle_s:g} s "
        "or more."
    ]


def _copying(result: InspectionResult) -> list[str]:
    copying = result.copying
    if copying.reason:
        return [f"How well copying the state does was not measured: {copying.reason}."]
    parts = [f"{_name(each)} {explained_text(each.explained)}" for each in copying.baselines]
    return [
        "Variance of held-out actions that the state of the same step explains (R²), on "
        f"{text.counted(copying.num_test_episodes, 'episode')}: {text.listing(parts)}."
    ]


def _name(baseline: Baseline) -> str:
    return f"{baseline.target} by {'copying' if baseline.model == 'copy' else 'a linear map'}"


def explained_text(explained: Estimate) -> str:
    """Write R² with its interval as `+94.1% (+93.0 to +95.0)`."""
    low, high = text.points(explained.low), text.points(explained.high)
    return f"{text.points(explained.value)}% ({low} to {high})"
