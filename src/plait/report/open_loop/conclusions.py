"""What errors on held-out demonstrations allow to be said, and what they do not.

Arms are told apart only where the paired interval of their difference leaves out 0.
"""

from collections.abc import Sequence

from plait.report import text
from plait.results import Estimate
from plait.results.open_loop import (
    BASELINE,
    CONTROL,
    STRATEGY,
    ErrorPair,
    OpenLoopArm,
    OpenLoopComparison,
)

MODALITIES = {"images_masked": "Vision", "instruction_masked": "The instruction"}


def conclude_open_loop(comparison: OpenLoopComparison) -> tuple[str, ...]:
    """Say which strategy predicts best, whether it beats what needs no network, and what it uses.

    Args:
        comparison: With its arms by error, smallest first.

    Returns:
        Sentences, the most important first; a warning alone where the numbers mean nothing.
    """
    if not comparison.is_meaningful:
        return (
            f"The {comparison.preset} preset trains too briefly to learn anything: it shows that "
            "everything runs, and these errors mean nothing.",
        )
    ranked = of_kind(comparison.arms, STRATEGY)
    sentences = _winner(comparison, ranked)
    sentences += _against_baselines(comparison, ranked[0])
    sentences += _horizon(comparison, ranked[0])
    sentences += [s for arm in of_kind(comparison.arms, CONTROL) for s in _control(comparison, arm)]
    sentences += comparison.notes
    sentences.append(
        "A small error is not success on the robot: it weighs every step alike, while a task is "
        "lost at a few. The intervals cover the choice of held-out episodes, not the training seed."
    )
    return tuple(sentences)


def of_kind(arms: Sequence[OpenLoopArm], kind: str) -> list[OpenLoopArm]:
    """Return strategies, controls or baselines, smallest error first."""
    return [arm for arm in arms if arm.kind == kind]


def error_text(error: Estimate) -> str:
    """Write an error with its interval: `0.312 (0.290–0.335)`."""
    return f"{error.value:.3f} ({error.low:.3f}{text.DASH}{error.high:.3f})"


def difference_text(difference: Estimate) -> str:
    """Write a difference with its interval: `+0.021 (+0.003 to +0.040)`."""
    return f"{_signed(difference.value)} ({_signed(difference.low)} to {_signed(difference.high)})"


def _signed(value: float) -> str:
    written = f"{abs(value):.3f}"
    if float(written) == 0:
        return written
    return f"{'+' if value > 0 else text.MINUS}{written}"


def pair_of(
    comparison: OpenLoopComparison, better: OpenLoopArm, other: OpenLoopArm
) -> ErrorPair | None:
    """Return the comparison of two arms, whichever comes first in it."""
    wanted = {better.arm, other.arm}
    return next((p for p in comparison.pairs if {p.first, p.second} == wanted), None)


def _winner(comparison: OpenLoopComparison, ranked: Sequence[OpenLoopArm]) -> list[str]:
    best = ranked[0]
    episodes = text.counted(comparison.num_held_out, "held-out episode")
    start = (
        f"{best.arm} predicts the actions of {episodes} best, with an error of "
        f"{error_text(best.error)} standard deviations"
    )
    if len(ranked) == 1:
        return [start.replace(" best,", "") + "."]
    pairs = [(arm, pair_of(comparison, best, arm)) for arm in ranked[1:]]
    tied = [arm.arm for arm, pair in pairs if pair is not None and not pair.differs]
    if not tied:
        return [f"{start}; every other strategy has a larger error."]
    return [f"{start}; not told apart from it: {text.listing(tied)}."]


def _against_baselines(comparison: OpenLoopComparison, best: OpenLoopArm) -> list[str]:
    sentences = []
    for baseline in of_kind(comparison.arms, BASELINE):
        pair = pair_of(comparison, best, baseline)
        if pair is None:
            continue
        name = f"“{baseline.arm}” ({baseline.error.value:.3f})"
        if not pair.differs:
            sentences.append(
                f"{best.arm} cannot be told from {name}, which looks at no image: these data and "
                "this budget show no use of a policy."
            )
        elif pair.first == best.arm:
            less = 1 - best.error.value / baseline.error.value
            sentences.append(
                f"The error of {best.arm} is {text.percent(less)} smaller than that of {name}."
            )
        else:
            sentences.append(
                f"{name} has a smaller error than every strategy: the state alone says more than "
                "the policies learned. Train longer, on more episodes, or on actions relative to "
                "the state."
            )
    return sentences


def _horizon(comparison: OpenLoopComparison, best: OpenLoopArm) -> list[str]:
    """Say from which step of the horizon on the policy is better than the best baseline."""
    others = of_kind(comparison.arms, BASELINE)
    if not others or len(best.per_step) < 2:
        return []
    rival = others[0]
    behind = [
        step
        for step, (ours, theirs) in enumerate(zip(best.per_step, rival.per_step, strict=True))
        if ours.value >= theirs.value
    ]
    if not behind or len(behind) == len(best.per_step):
        return []
    seconds = (behind[-1] + 1) / comparison.fps
    return [
        f"“{rival.arm}” is at least as good up to {seconds:.2f} s ahead; what {best.arm} knows "
        "shows further ahead."
    ]


def _control(comparison: OpenLoopComparison, control: OpenLoopArm) -> list[str]:
    """Say what a modality is worth: the gap to the same strategy trained without it."""
    modality = MODALITIES.get(control.control or "")
    own = _with_everything(comparison, control)
    only_task = modality == "The instruction" and len(comparison.dataset.tasks) < 2
    if modality is None or own is None or only_task:
        return []
    pair = pair_of(comparison, own, control)
    assert pair is not None
    gain = difference_text(_towards(pair, own))
    if not pair.differs:
        return [
            f"{modality} shows no use on these episodes: {own.arm} trained without cannot be told "
            f"apart ({gain})."
        ]
    if pair.first == own.arm:
        return [f"{modality} earns its keep: {own.arm} trained without errs by {gain} more."]
    return [f"{modality} does harm here: {own.arm} trained without errs by {gain}."]


def _with_everything(comparison: OpenLoopComparison, control: OpenLoopArm) -> OpenLoopArm | None:
    """Return the strategy that a control is the masked twin of."""
    arms = of_kind(comparison.arms, STRATEGY)
    return next((arm for arm in arms if pair_of(comparison, arm, control)), None)


def _towards(pair: ErrorPair, own: OpenLoopArm) -> Estimate:
    """Return the other's error minus that of `own`."""
    found = pair.difference
    if pair.first == own.arm:
        return found
    return Estimate(value=-found.value, low=-found.high, high=-found.low)
