"""The figures of a transfer test: from what was trained to what was not, and how episodes end."""

from collections.abc import Sequence
from statistics import fmean

from plait.report import text
from plait.report.figures.base import (
    MUTED,
    ROOMY_MARGIN_PX,
    TIGHT_MARGIN_PX,
    Figure,
    Json,
    chance_label,
    chance_line,
    dot_with_interval,
    layout_of,
    name_axis,
    name_labels,
    rows_of,
    share_axis,
)
from plait.report.figures.outcomes import outcome_bars
from plait.report.markup import plotly_text
from plait.report.style import ArmStyle, sort_outcomes, styles_of
from plait.report.transfer.reading import (
    LABELS,
    ends_text,
    judged,
    score_of,
    suite,
    trained,
)
from plait.results.transfer import (
    COMBINATIONS,
    PARAPHRASES,
    ArmTransfer,
    Challenge,
    TransferResult,
    TransferScore,
)

OFFSET = 0.15


def transfer_figures(result: TransferResult) -> dict[str, Figure]:
    """Return how episodes end in every challenge, and dumbbells of what was never shown."""
    styles, figures = styles_of(result.arms), {}
    for challenge in result.challenges:
        arms = judged(result, challenge)
        if not arms:
            continue
        if challenge.relation in (COMBINATIONS, PARAPHRASES):
            figures[f"lost-{challenge.key}"] = dumbbell(challenge, arms, styles)
        figures[f"outcomes-{challenge.key}"] = _outcomes(result, challenge, arms, styles)
    return figures


def dumbbell(
    challenge: Challenge, arms: Sequence[ArmTransfer], styles: dict[str, ArmStyle]
) -> Figure:
    """Show success on what was trained (hollow) and here (filled), with intervals and chance.

    Args:
        challenge: Any but the trained one.
        arms: At least one, all judged in it.
        styles: Look of every arm.
    """
    rows = rows_of(arms)
    data: list[Json] = []
    for arm, row in zip(arms, rows, strict=True):
        before, here, style = trained(arm), score_of(arm, challenge), styles[arm.arm]
        data.append(_line(before, here, row))
        data.append(_dot(arm, before, row - OFFSET, style, is_hollow=True))
        data.append(_dot(arm, here, row + OFFSET, style, is_hollow=False))
    chance = fmean(score_of(arm, challenge).chance for arm in arms)
    by_words = score_of(arms[0], challenge).chance_by_words
    levels = [chance] if by_words is None else [chance, by_words]
    marks = [chance_label(chance)]
    if by_words is not None:
        marks.append(chance_label(by_words, "shown words alone"))
    roomy = name_labels(arms, rows, styles, margin_px=ROOMY_MARGIN_PX)
    tight = name_labels(arms, rows, styles, margin_px=TIGHT_MARGIN_PX)
    return Figure(
        data=data,
        layout=layout_of(
            margin={"l": ROOMY_MARGIN_PX, "r": 190, "t": 28, "b": 34},
            xaxis=share_axis(),
            yaxis=name_axis(rows),
            shapes=[chance_line(level) for level in levels],
            annotations=[*marks, *roomy, *_numbers(challenge, arms, rows)],
        ),
        narrow={
            "margin": {"l": TIGHT_MARGIN_PX, "r": 24, "t": 28, "b": 34},
            "annotations": [*marks, *tight],
        },
        height=int(48 * (rows[-1] + 1)) + 74,
        summary=f"Success of each arm on what was trained and in {challenge.env}, with 95% "
        f"intervals and chance at {text.percent(chance)}. The table below holds the numbers.",
    )


def _line(before: TransferScore, here: TransferScore, row: float) -> Json:
    assert before.success is not None
    assert here.success is not None
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [before.success.rate, here.success.rate],
        "y": [row - OFFSET, row + OFFSET],
        "line": {"color": MUTED, "width": 1.5},
        "hoverinfo": "skip",
    }


def _dot(
    arm: ArmTransfer, score: TransferScore, row: float, style: ArmStyle, *, is_hollow: bool
) -> Json:
    rate = score.success
    assert rate is not None
    return dot_with_interval(
        *(rate.rate, rate.low, rate.high),
        row,
        style.colour,
        f"<b>{plotly_text(arm.arm)}</b><br>{suite(score.challenge)} "
        f"({LABELS[score.challenge.relation]}): {text.rate_with_interval(rate)}"
        f"<br>{rate.successes} of {rate.trials} episodes",
        is_open=is_hollow,
        is_small=is_hollow,
    )


def _numbers(
    challenge: Challenge, arms: Sequence[ArmTransfer], rows: Sequence[float]
) -> list[Json]:
    """Write how success changes, with its interval, to the right of the figure."""
    labels = []
    for arm, row in zip(arms, rows, strict=True):
        lost = score_of(arm, challenge).lost
        if lost is None:
            continue
        labels.append(
            {
                "x": 1,
                "xref": "paper",
                "y": row,
                "xanchor": "left",
                "xshift": 14,
                "showarrow": False,
                "align": "left",
                "text": f"<b>{text.points(-lost.value)}</b>  {ends_text(-lost.high, -lost.low)}",
                "font": {"size": 13, "color": MUTED},
            }
        )
    return labels


def _outcomes(
    result: TransferResult,
    challenge: Challenge,
    arms: Sequence[ArmTransfer],
    styles: dict[str, ArmStyle],
) -> Figure:
    every = sort_outcomes(name for arm in result.arms for s in arm.scores for name in s.outcomes)
    return outcome_bars(arms, [score_of(arm, challenge).outcomes for arm in arms], every, styles)
