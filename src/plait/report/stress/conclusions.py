"""What the numbers of a stress test say, in sentences."""

from collections.abc import Callable

from plait.report import text
from plait.report.stress.breakdown import breakdown_sentences
from plait.report.stress.options import conclude_options, qualify_options
from plait.report.stress.reading import (
    change_text,
    clean_of,
    interval_text,
    is_worse,
    missing_name,
    missing_scores,
    of_kind,
    value_text,
)
from plait.results.stress import (
    CLOSED,
    CORRUPTION,
    LOSES_THE_TASK,
    MISSING,
    Kept,
    Listening,
    Loop,
    Reaction,
    Score,
    StressResult,
)

# A reaction to another task within twice that to a paraphrase is hardly one.
FEW_TIMES = 2.0


def conclude_stress(result: StressResult) -> list[str]:
    """Return the findings, the most important first, and what could not be judged last."""
    sentences = []
    first = result.closed or result.open
    for loop in (result.closed, result.open):
        if loop is not None:
            sentences += _weakest(loop)
            if loop is first:
                sentences += conclude_options(result)
            sentences += [_clean(loop), *_worst(loop), *_missing(loop)]
            if loop is result.closed and result.listening is not None:
                sentences.append(_listening(result.listening))
            sentences += [*_lying(loop), *_contributions(loop)]
            sentences += [s for each in loop.breakdowns for s in breakdown_sentences(loop, each)]
            sentences += _perceptual(loop)
    if result.reaction is not None:
        sentences.append(_reaction(result.reaction))
    return [*sentences, *qualify_options(result), *result.notes]


def _clean(loop: Loop) -> str:
    clean = clean_of(loop)
    found = f"{value_text(clean, loop)} ({interval_text(clean.low, clean.high, loop)})"
    if loop.loop == CLOSED:
        return f"Undisturbed, it succeeds in {found} of {text.counted(loop.num_units, 'scene')}."
    trivial = "" if loop.trivial is None else f"; always the mean action: {loop.trivial:.3f}"
    episodes = text.counted(loop.num_units, "held-out episode")
    return f"On {episodes} its mean absolute action error is {found}{trivial}."


def _weakest(loop: Loop) -> list[str]:
    """Name the modality whose corruptions hurt most, with all the others beside it."""
    kept = sorted(loop.kept, key=lambda each: each.value)
    if len(kept) < 2:
        return []
    closed = loop.loop == CLOSED
    of, units = ("success", "scenes") if closed else ("skill", "episodes")
    weakest, *others = kept
    if weakest.value > 1 - 1e-9:
        return [f"No modality's corruptions cost any {of}, on average."]
    start = "Weakest" if closed else "On demonstrations, weakest"
    unsettled = "" if weakest.high < others[0].low else ", though intervals overlap,"
    rest = text.listing([f"{each.modality} {_kept(each)}" for each in others])
    return [
        f"{start}{unsettled} is {weakest.modality}: over its corruptions the policy keeps "
        f"{_kept(weakest)} of its clean {of} on average, by the area under the severity curve; "
        f"{rest}. The intervals cover the choice of {units}, not that of corruptions."
    ]


def _kept(each: Kept) -> str:
    return f"{text.percent(each.value)} ({text.percent(each.low)} to {text.percent(each.high)})"


def _worst(loop: Loop) -> list[str]:
    """Name the condition that hurts most, and count how many hurt at all."""
    judged = [
        score
        for score in of_kind(loop, CORRUPTION)
        if score.value is not None and score.condition.name not in LOSES_THE_TASK
    ]
    hurt = [score for score in judged if is_worse(score, loop)]
    if not judged:
        return []
    if not hurt:
        return [f"None of {len(judged)} corrupted conditions is told from the clean one."]
    key: Callable[[Score], float] = lambda score: score.change  # noqa: E731
    worst = min(hurt, key=key) if loop.loop == CLOSED else max(hurt, key=key)
    low, high = worst.change_low, worst.change_high
    ends = (
        f"{text.points(low)} to {text.points(high)} points"
        if loop.loop == CLOSED
        else f"{low:.3f} to {high:.3f}"
    )
    condition = worst.condition
    return [
        f"{len(hurt)} of {len(judged)} corrupted conditions are worse than the clean one, each by "
        f"its paired 95% interval; the worst is {condition.name} at severity "
        f"{condition.severity}: {value_text(worst, loop)}, {change_text(worst, loop)} ({ends})."
    ]


def _missing(loop: Loop) -> list[str]:
    shown = [
        s for s in missing_scores(loop) if len(s.condition.missing) < 2 and s.value is not None
    ]
    if not shown:
        return []
    parts = [f"{missing_name(score.condition)} {value_text(score, loop)}" for score in shown]
    start = "Of success" if loop.loop == CLOSED else "The action error becomes"
    left = " is left: " if loop.loop == CLOSED else ": "
    return [f"{start}{left}{text.listing(parts)}."]


def _contributions(loop: Loop) -> list[str]:
    if not loop.contributions:
        return []
    found = sorted(loop.contributions, key=lambda each: -each.value)
    closed = loop.loop == CLOSED
    parts = [
        f"{each.modality} {text.points(each.value) if closed else f'{each.value:.3f}'}"
        for each in found
    ]
    nothing = next(
        score for score in of_kind(loop, MISSING) if len(score.condition.missing) == len(found)
    )
    what = "points of success" if closed else "of error that is saved"
    return [
        f"Shapley values, which share out the difference between everything and nothing "
        f"({value_text(nothing, loop)} with nothing): {text.listing(parts)} {what}."
    ]


def _perceptual(loop: Loop) -> list[str]:
    if not loop.perceptual:
        return []
    found = sorted(loop.perceptual, key=lambda each: -each.value)
    parts = [f"{each.modality} {text.percent(each.value)}" for each in found]
    return [
        f"Taken from another episode, a modality costs this share of the skill (perceptual score; "
        f"above 100% it misleads): {text.listing(parts)}."
    ]


def _lying(loop: Loop) -> list[str]:
    """Say what a policy does that is given another task's instruction in every scene."""
    told = [
        score
        for score in of_kind(loop, CORRUPTION)
        if score.condition.name == "other_instruction" and score.condition.severity == 5
    ]
    if loop.loop != CLOSED or not told or told[0].value is None:
        return []
    return [
        f"Given any other task's instruction, feasible or not, it still does the scene's own in "
        f"{value_text(told[0], loop)}; the less, the better it listens."
    ]


def _listening(found: Listening) -> str:
    return (
        f"Given another feasible instruction in the same scene, it does the instructed thing in "
        f"{text.rate_with_interval(found.instructed)} of {found.instructed.trials}, the scene's "
        f"own in {text.rate_with_interval(found.original)}, neither in "
        f"{text.percent(found.neither.rate)}; told the scene's own, it does that in "
        f"{text.percent(found.told_its_own.rate)}; guessing among the tasks gives "
        f"{text.percent(found.chance)}."
    )


def _reaction(found: Reaction) -> str:
    start = (
        f"On demonstrations, another task's instruction moves the actions by {found.swapped:.2f} "
        f"standard deviations ({found.swapped_low:.2f}{text.DASH}{found.swapped_high:.2f})"
    )
    if found.paraphrased is None:
        reason = "the policy refuses it" if found.refusal else "there is none"
        return f"{start}; a paraphrase was not judged, for {reason}."
    reworded = (
        f", a paraphrase by {found.paraphrased:.2f} "
        f"({found.paraphrased_low:.2f}{text.DASH}{found.paraphrased_high:.2f})"
    )
    if found.swapped <= FEW_TIMES * found.paraphrased:
        return f"{start}{reworded}: it hardly tells another task from other words."
    if found.paraphrased <= 0:
        return f"{start}{reworded}."
    times = found.swapped / found.paraphrased
    return f"{start}{reworded}: {times:.1f} times as far."
