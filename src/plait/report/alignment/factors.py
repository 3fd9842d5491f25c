"""What was found of the parts of an instruction, as a table and as a sentence."""

from collections.abc import Sequence

from plait.report import text
from plait.report.alignment.names import direction
from plait.results.alignment import LAST_FIFTH, WHOLE_EPISODES, AlignmentMeasures, FactorRecall

ABSENT = (text.DASH,) * 3


def factor_rows(measures: AlignmentMeasures) -> list[list[str]]:
    """Return a row a factor and direction: whole episodes, then the last fifth."""
    found = {(f.query, f.target, f.factor, f.stretch): f for f in measures.factors}
    ways = dict.fromkeys((f.query, f.target, f.factor) for f in measures.factors)
    return [
        [
            f"{direction(query, target)}, {factor}",
            *_cells(found.get((query, target, factor, WHOLE_EPISODES))),
            *_cells(found.get((query, target, factor, LAST_FIFTH))),
        ]
        for query, target, factor in sorted(ways, key=lambda way: way[0] != "vision")
    ]


def _cells(each: FactorRecall | None) -> Sequence[str]:
    if each is None:
        return ABSENT
    return text.percent(each.recall), text.interval(each), text.percent(each.chance)


def factor_sentence(measures: AlignmentMeasures) -> list[str]:
    """Return one sentence on which parts are right both ways; none where nothing was measured."""
    frames = [f for f in measures.factors if f.query == "vision"]
    late = [f for f in frames if f.stretch == LAST_FIFTH]
    texts = [f for f in measures.factors if f.query != "vision" and f.stretch == WHOLE_EPISODES]
    if not frames or not texts:
        return []
    where = "a frame of the last fifth of an episode" if late else "a frame"
    return [
        f"Part by part, the text nearest to {where} is right in {_parts(late or frames)}; the "
        f"frame nearest to a text in {_parts(texts)}."
    ]


def _parts(found: Sequence[FactorRecall]) -> str:
    return text.listing([_part(each) for each in found])


def _part(each: FactorRecall) -> str:
    doubt = ": not told apart" if each.low <= each.chance else ""
    share, chance = text.percent(each.recall), text.percent(each.chance)
    return f"{each.factor} for {share} (chance {chance}{doubt})"
