"""Which training option helps most, in sentences and in a table."""

from collections.abc import Sequence
from typing import Any

from plait.report import text
from plait.results.options import (
    LESS_LOST,
    ONE_MISSING,
    UNDISTURBED,
    Effect,
    Option,
    OptionComparison,
    Verdict,
)
from plait.results.stress import CLOSED, StressResult

MEASURES = {"closed": "success", "open": "skill"}
NOT_COMPARED = (
    "Which training option would help most is not known: no policy that was trained otherwise was "
    "put under the same stress (--against)."
)
TRAINED_ONCE = (
    "What is said of training options holds for these policies: a training with another seed may "
    "come out otherwise, and not every option was trained with several."
)


def conclude_options(result: StressResult) -> list[str]:
    """Say which option helps most and at which price, as far as the scenes tell."""
    sentences = []
    for found in result.options:
        start = "" if found.loop == CLOSED else "on demonstrations, "
        priced: set[str] = set()
        for verdict in found.verdicts:
            price = "" if verdict.best in priced else f", {_price(_option(found, verdict.best))}"
            sentence = f"{start}{_judged(verdict, found, price)}"
            sentences.append(f"{sentence[0].upper()}{sentence[1:]}")
            priced.add(verdict.best)
    return sentences


def qualify_options(result: StressResult) -> list[str]:
    """Say how far that holds, and that nothing was compared where nothing was."""
    if not result.options:
        return [NOT_COMPARED]
    notes = [note for found in result.options for note in found.notes]
    if any(len(each.policies) < 2 for found in result.options for each in found.options):
        notes.insert(0, TRAINED_ONCE)
    return list(dict.fromkeys(notes))


def _judged(verdict: Verdict, found: OptionComparison, price: str) -> str:
    """Name the option that helps most, or say that none or no single one is shown to."""
    best = _option(found, verdict.best)
    effect, others = _measure(best, verdict.measure), len(found.options) - 1
    over, gain = _over(verdict, found), f"{_change(effect)} of {MEASURES[found.loop]}"
    if others == 1:
        helps = "helps" if verdict.is_better else "is not shown to help"
        if effect.high < 0:
            helps = "hurts"
        start = f"the one training option compared, “{best.name}”, {helps} {over}"
        return f"{start}: {gain}{price}."
    of = f"of {text.counted(others, 'training option')} compared"
    if not verdict.is_better:
        return f"{of}, none is shown to help {over}: the nearest is “{best.name}” with {gain}."
    if verdict.rivals:
        rivals = [f"“{name}” ({_rival(found, name, verdict)})" for name in verdict.rivals]
        return (
            f"{of}, which helps most {over} is not told: “{best.name}” is ahead with {gain}, but "
            f"not told from {text.listing(rivals)}."
        )
    return f"{of}, “{best.name}” helps most {over}: {gain}{price}."


def _rival(found: OptionComparison, name: str, verdict: Verdict) -> str:
    return _change(_measure(_option(found, name), verdict.measure))


def _over(verdict: Verdict, found: OptionComparison) -> str:
    if verdict.measure == ONE_MISSING:
        return "with one sense missing"
    severities = text.listing([str(each) for each in found.severities])
    noun = "severity" if len(found.severities) == 1 else "severities"
    return f"over {text.counted(len(found.corruptions), 'corruption')} ({noun} {severities})"


def _change(effect: Effect) -> str:
    """Write a difference with its interval: `+12.0 points (+8.0 to +16.0)`."""
    ends = f"{text.points(effect.low)} to {text.points(effect.high)}"
    return f"{text.points(effect.change)} points ({ends})"


def _price(option: Option) -> str:
    """Say what the option does where nothing is disturbed."""
    effect = _measure(option, UNDISTURBED)
    told = "" if effect.low > 0 or effect.high < 0 else ", which is not told from nothing"
    return f"at {_change(effect)} undisturbed{told}"


def _option(found: OptionComparison, name: str) -> Option:
    return next(each for each in found.options if each.name == name)


def _measure(option: Option, name: str) -> Effect:
    return next(each for each in option.measures if each.name == name)


def shown_name(option: Option, found: OptionComparison) -> str:
    """Name an option in a table or figure."""
    return "this policy" if option is found.options[0] else option.name


def option_tables(options: Sequence[OptionComparison]) -> list[dict[str, Any]]:
    """Return what the page shows of every loop: headings, and a row an option."""
    return [
        {
            "loop": found.loop,
            "measure": MEASURES[found.loop],
            "units": text.counted(
                found.num_units, "scene" if found.loop == CLOSED else "held-out episode"
            ),
            "level": text.percent(found.confidence),
            "headings": [each.name for each in found.options[0].measures],
            "rows": [_row(option, found) for option in found.options],
        }
        for found in options
    ]


def _row(option: Option, found: OptionComparison) -> dict[str, Any]:
    is_own = option is found.options[0]
    return {
        "name": shown_name(option, found),
        "changes": list(option.changes),
        "policies": text.counted(len(option.policies), "training"),
        "cells": [_cell(each, is_own=is_own) for each in option.measures],
    }


def _cell(effect: Effect, *, is_own: bool) -> dict[str, Any]:
    value = text.points(effect.value) if effect.name == LESS_LOST else _percent(effect.value)
    ends = f"{text.points(effect.low)} to {text.points(effect.high)}"
    return {
        "value": value,
        "change": "" if is_own else text.points(effect.change),
        "interval": "" if is_own else ends,
        "is_told": not is_own and (effect.low > 0 or effect.high < 0),
        "detail": effect.detail,
    }


def _percent(value: float) -> str:
    """Write a share; skill may lie below zero."""
    return text.percent(value).replace("-", text.MINUS)
