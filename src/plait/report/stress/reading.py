"""How the scores of a stress test are read, the same for page, terminal and sentences."""

from collections.abc import Sequence

from plait.report import text
from plait.results.stress import (
    CAMERA,
    CLEAN,
    CLOSED,
    CORRUPTION,
    LISTENING,
    MISSING,
    Condition,
    Contribution,
    Loop,
    Score,
)

MODALITIES = ("vision", "language", "proprio", "action")
MEASURES = {"closed": "success", "open": "action error"}
MODALITY_COLOURS = {
    "vision": "var(--arm-0)",
    "language": "var(--arm-1)",
    "proprio": "var(--arm-3)",
    "action": "var(--arm-2)",
}


def clean_of(loop: Loop) -> Score:
    """Return the score of the undisturbed policy."""
    return next(each for each in loop.scores if each.condition.kind == CLEAN)


def of_kind(loop: Loop, kind: str) -> list[Score]:
    """Return the scores of one kind of condition."""
    return [each for each in loop.scores if each.condition.kind == kind]


def corruptions(loop: Loop) -> dict[str, dict[str, list[Score]]]:
    """Return scores by modality and corruption, severities in order."""
    found: dict[str, dict[str, list[Score]]] = {}
    for score in of_kind(loop, CORRUPTION):
        condition = score.condition
        found.setdefault(condition.modality, {}).setdefault(condition.name, []).append(score)
    return {name: found[name] for name in sorted(found, key=_place)}


def in_order(found: Sequence[Contribution]) -> list[Contribution]:
    """Sort contributions as modalities are listed everywhere."""
    return sorted(found, key=lambda each: _place(each.modality))


def missing_modalities(loop: Loop) -> list[str]:
    """Return the modalities that were missing in some condition."""
    return sorted({n for s in of_kind(loop, MISSING) for n in s.condition.missing}, key=_place)


def _place(modality: str) -> tuple[int, str]:
    known = modality in MODALITIES
    return MODALITIES.index(modality) if known else len(MODALITIES), modality


def severities(loop: Loop) -> list[int]:
    """Return the severities that were played."""
    return sorted({score.condition.severity for score in of_kind(loop, CORRUPTION)})


def share(score: Score, loop: Loop) -> float:
    """Return performance from 0 to 1, as a heat map shades it."""
    if score.value is None:
        return 0.0
    value = score.value if loop.trivial is None else 1 - score.value / max(loop.trivial, 1e-12)
    return min(max(value, 0.0), 1.0)


def value_text(score: Score, loop: Loop) -> str:
    """Write a success rate or an action error."""
    if score.value is None:
        return "refused"
    return text.percent(score.value) if loop.loop == CLOSED else f"{score.value:.3f}"


def interval_text(low: float, high: float, loop: Loop) -> str:
    """Write the ends of an interval of success rates or action errors."""
    if loop.loop == CLOSED:
        return f"{100 * low:.0f}{text.DASH}{100 * high:.0f}%"
    return f"{low:.3f}{text.DASH}{high:.3f}"


def change_text(score: Score, loop: Loop) -> str:
    """Write what changed against the clean condition: `+3.5`, in points, or a signed error."""
    if score.value is None:
        return text.DASH
    return signed_text(score.change, loop)


def number_text(value: float, loop: Loop) -> str:
    """Write a share of success or a part of the action error."""
    written = text.percent(value) if loop.loop == CLOSED else f"{value:.3f}"
    return written.replace("-", text.MINUS)


def signed_text(value: float, loop: Loop) -> str:
    """Write a difference: `+3.5`, in points, or a signed error."""
    if loop.loop == CLOSED:
        return text.points(value)
    written = f"{abs(value):.3f}"
    return written if written == "0.000" else f"{'+' if value > 0 else text.MINUS}{written}"


def is_worse(score: Score, loop: Loop) -> bool:
    """Say whether the paired interval of the change lies on the bad side of zero."""
    if score.value is None or score.condition.kind == CLEAN:
        return False
    return score.change_high < 0 if loop.loop == CLOSED else score.change_low > 0


def missing_name(condition: Condition) -> str:
    """Name what is missing: `without vision and proprio`, `without camera wrist`."""
    if condition.kind == CAMERA:
        return f"without camera {condition.name}"
    return f"without {text.listing(condition.missing)}"


def condition_name(condition: Condition) -> str:
    """Name what is done to a policy: `occlusion, severity 3`, `without camera wrist`."""
    if condition.kind in (MISSING, CAMERA):
        return missing_name(condition)
    if condition.kind == LISTENING:
        return "told another task of the scene"
    if condition.kind == CORRUPTION:
        return f"{condition.name}, severity {condition.severity}"
    return "undisturbed" if condition.kind == CLEAN else condition.name


def missing_scores(loop: Loop) -> Sequence[Score]:
    """Return the scores with modalities or cameras missing, fewest missing first."""
    cameras = of_kind(loop, CAMERA)
    subsets = of_kind(loop, MISSING)
    return [*cameras, *sorted(subsets, key=lambda score: len(score.condition.missing))]
