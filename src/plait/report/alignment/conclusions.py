"""What the numbers of an alignment say, in sentences."""

from plait.report import text
from plait.report.alignment.factors import factor_sentence
from plait.report.alignment.names import NAMES, direction
from plait.results.alignment import (
    AlignmentMeasures,
    AlignmentResult,
    PairGeometry,
    RetrievalScore,
    RetrievedAction,
)

# A recall that grows by more than this along the episodes is worth a sentence.
NOTABLE_GROWTH = 0.1


def conclude_alignment(result: AlignmentResult) -> list[str]:
    """Return the findings, the most important first, and what the data cannot show last."""
    after = result.after
    sentences = [
        _found(score)
        for score in after.retrieval
        if "language" in (score.query, score.target) and "vision" in (score.query, score.target)
    ]
    sentences += _along_the_episodes(after)
    sentences += factor_sentence(after)
    at_chance = [s for s in after.retrieval if s.low <= s.chance["1"]]
    if at_chance:
        listed = text.listing([direction(s.query, s.target) for s in at_chance])
        sentences.append(
            f"Not told from chance, by the interval of recall at 1: {listed}. What one side says "
            "cannot be read off the other here, or was not learned."
        )
    sentences += [_retrieved(after.retrieved_action)] if after.retrieved_action else []
    sentences += [_gap(result, pair) for pair in after.pairs if pair.first == "vision"][:1]
    sentences += _textbook(after)
    return [*sentences, *result.notes]


def _found(score: RetrievalScore) -> str:
    return (
        f"{direction(score.query, score.target).capitalize()}: the first of "
        f"{score.gallery_size:,} is right for {text.percent(score.recall['1'])} "
        f"({text.interval(score)}) of the queries; chance is "
        f"{text.percent(score.chance['1'])}."
    )


def _along_the_episodes(after: AlignmentMeasures) -> list[str]:
    if len(after.progress) < 2:
        return []
    first, last = after.progress[0], after.progress[-1]
    if last.recall - first.recall < NOTABLE_GROWTH:
        return []
    return [
        f"Which instruction is carried out shows late: from a frame of the first fifth of an "
        f"episode the text is found in {text.percent(first.recall)}, of the last fifth in "
        f"{text.percent(last.recall)}. Before the robot has moved, a frame shows what could be "
        "asked, not what was."
    ]


def _retrieved(found: tuple[RetrievedAction, ...]) -> str:
    best = min(found, key=lambda each: each.error)
    others = "; ".join(f"{each.query} {each.error:.2f}" for each in found if each is not best)
    verdict = "better than" if best.high < 1 else "no better than"
    return (
        f"The action chunk found by {best.query} is off by {best.error:.2f} "
        f"({best.low:.2f}{text.DASH}{best.high:.2f}) of the actions' variance, {verdict} "
        f"predicting their mean (1.00); {others}."
    )


def _gap(result: AlignmentResult, pair: PairGeometry) -> str:
    def distance(measures: AlignmentMeasures) -> float:
        return next(
            p.centroid_distance
            for p in measures.pairs
            if (p.first, p.second) == (pair.first, pair.second)
        )

    return (
        f"The gap between {NAMES[pair.first]} and {NAMES[pair.second]}, as the distance of their "
        f"centroids: {distance(result.before):.2f} before, {pair.centroid_distance:.2f} after, "
        f"{distance(result.centred):.2f} with the means subtracted."
    )


def _textbook(after: AlignmentMeasures) -> list[str]:
    found = [d for d in after.diagonal if (d.query, d.target) == ("vision", "language")]
    return [
        f"The textbook's alignment score, which takes every repeat of an instruction for a "
        f"mistake, is {each.score:.4f}; no model can have more than {each.ceiling:.4f} here."
        for each in found
    ]
