"""One page that holds everything of a transfer test; see `plait.report.page` for its rules."""

from pathlib import Path
from typing import Any

from plait.report import markup, text
from plait.report.page import environment, parts_with_figures
from plait.report.style import outcome_colours, sort_outcomes, styles_of
from plait.report.transfer.conclusions import conclude_transfer
from plait.report.transfer.figures import transfer_figures
from plait.report.transfer.reading import (
    LABELS,
    ends_text,
    is_above_chance,
    is_told_from_nothing,
    judged,
    never_seen,
    score_of,
    suite,
    trained,
)
from plait.report.transfer.table import chances
from plait.report.views import made_with
from plait.results import Rate, load_result, write_text_atomically
from plait.results.transfer import (
    BESIDE,
    COMBINATIONS,
    PARAPHRASES,
    ArmTransfer,
    Challenge,
    Difference,
    LossComparison,
    TransferResult,
)

TITLES = {COMBINATIONS: "Combinations never seen", PARAPHRASES: "Paraphrases never seen"}


def write_transfer_report(results_file: Path, output: Path) -> Path:
    """Write the page of a transfer test.

    Args:
        results_file: Its `results.json`.
        output: Where the page goes; replaced whole or not at all.

    Returns:
        `output`.

    Raises:
        DataError: If the result is missing or unreadable.
        OutputError: If the page cannot be written.
    """
    result = load_result(results_file, TransferResult)
    write_text_atomically(output, render_transfer(result))
    return output


def render_transfer(result: TransferResult) -> str:
    """Return the page as HTML."""
    figures, names = transfer_figures(result), [arm.arm for arm in result.arms]
    content: dict[str, Any] = {
        "result": result,
        "conclusions": [markup.with_names(s, names) for s in conclude_transfer(result)],
        "styles": styles_of(result.arms),
        "sections": [
            _section(result, challenge)
            for challenge in never_seen(result, COMBINATIONS, PARAPHRASES)
            if judged(result, challenge)
        ],
        "columns": [
            {"suite": suite(challenge), "label": LABELS[challenge.relation], "chance": chance}
            for challenge, chance in zip(result.challenges, chances(result), strict=True)
        ],
        "rows": [_heat_row(arm) for arm in result.arms],
        "endings": [
            {
                "title": f"{suite(challenge)} ({LABELS[challenge.relation]})",
                "figure": f"outcomes-{challenge.key}",
            }
            for challenge in result.challenges
            if f"outcomes-{challenge.key}" in figures
        ],
        "legend_entries": _outcome_legend(result),
        "setup": _setup(result),
        "settings": text.flatten(result.settings),
        **parts_with_figures(figures),
    }
    return environment().get_template("transfer.html.jinja").render(content)


def _section(result: TransferResult, challenge: Challenge) -> dict[str, Any]:
    arms = judged(result, challenge)
    pairs = [pair for pair in result.comparisons if pair.challenge == challenge]
    return {
        "title": TITLES[challenge.relation],
        "env": challenge.env,
        "name": challenge.key,
        "figure": f"lost-{challenge.key}",
        "is_paired": any(_lost(arm, challenge).is_paired for arm in arms if _has(arm, challenge)),
        "has_words": any(score_of(arm, challenge).chance_by_words for arm in arms),
        "has_control": any(score_of(arm, challenge).lost_beside for arm in arms),
        "rows": [_row(arm, challenge) for arm in arms],
        "pairs": [_pair(pair) for pair in sorted(pairs, key=lambda each: -each.difference)],
    }


def _has(arm: ArmTransfer, challenge: Challenge) -> bool:
    return score_of(arm, challenge).lost is not None


def _lost(arm: ArmTransfer, challenge: Challenge) -> Difference:
    lost = score_of(arm, challenge).lost
    assert lost is not None
    return lost


def _row(arm: ArmTransfer, challenge: Challenge) -> dict[str, Any]:
    """Return a line of the table of losses."""
    here = score_of(arm, challenge)
    beside = next(
        (
            score.success
            for score in arm.scores
            if (score.challenge.env, score.challenge.relation) == (challenge.env, BESIDE)
        ),
        None,
    )
    return {
        "arm": arm.arm,
        "is_control": arm.control is not None,
        "before": _rate(trained(arm).success),
        "here": _rate(here.success),
        "is_above_chance": is_above_chance(here),
        "chance": text.percent(here.chance),
        "by_words": "" if here.chance_by_words is None else text.percent(here.chance_by_words),
        "lost": _points(here.lost),
        "beside": _rate(beside),
        "lost_beside": _points(here.lost_beside),
        "seeds": " · ".join(text.percent(rate) for rate in here.seed_rates),
    }


def _rate(rate: Rate | None) -> dict[str, Any]:
    if rate is None:
        return {"value": text.DASH, "interval": "", "is_told": False}
    return {"value": text.percent(rate.rate), "interval": text.interval(rate), "is_told": False}


def _points(lost: Difference | None) -> dict[str, Any]:
    if lost is None:
        return {"value": text.DASH, "interval": "", "is_told": False}
    return {
        "value": text.points(-lost.value),
        "interval": ends_text(-lost.high, -lost.low),
        "is_told": is_told_from_nothing(lost),
    }


def _pair(pair: LossComparison) -> dict[str, Any]:
    return {
        "first": pair.first,
        "second": pair.second,
        "difference": f"{100 * pair.difference:.1f}",
        "interval": ends_text(pair.low, pair.high),
        "differs": pair.differs,
    }


def _heat_row(arm: ArmTransfer) -> dict[str, Any]:
    cells = [
        None
        if score.success is None
        else {
            "value": text.percent(score.success.rate),
            "interval": text.interval(score.success),
            "share": round(score.success.rate, 4),
            "is_above_chance": is_above_chance(score),
        }
        for score in arm.scores
    ]
    return {"arm": arm.arm, "is_control": arm.control is not None, "cells": cells}


def _outcome_legend(result: TransferResult) -> list[dict[str, str]]:
    names = sort_outcomes(name for arm in result.arms for s in arm.scores for name in s.outcomes)
    colours = outcome_colours(names)
    return [{"label": text.words(name), "colour": colours[name]} for name in names]


def _setup(result: TransferResult) -> dict[str, str]:
    shown = (
        f"{text.counted(result.num_shown, 'instruction')} in the demonstrations"
        if result.num_shown
        else "the demonstrations were not at hand"
    )
    rows = {
        "policies": ", ".join(result.sources),
        "trained on": f"{result.env}, {shown}",
        "scenes": f"{result.num_scenes:,} a challenge and training seed",
        "computing time": text.duration(result.total_seconds),
    }
    return rows | made_with(result.machine)
