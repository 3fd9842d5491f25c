"""Averages of what is kept, against drawing scenes again one by one, and where nothing is drawn."""

from dataclasses import replace

import numpy as np
import pytest

from plait.evaluation.stress.averages import kept_by_modality
from plait.evaluation.stress.scores import summarise_loop
from plait.results.stress import Cell, Condition

NUM_UNITS = 30
CORRUPTIONS = {"jpeg": "vision", "blur": "vision", "typos": "language", "empty": "language"}


def corrupted(name, severity):
    return Condition(kind="corruption", name=name, severity=severity, modality=CORRUPTIONS[name])


def cells_of(loop, draw):
    """Make a clean cell and each corruption at severities 2 and 5."""
    rng = np.random.default_rng(3)
    conditions = [Condition(kind="clean", name="clean")]
    conditions += [corrupted(name, severity) for name in CORRUPTIONS for severity in (2, 5)]
    return [
        Cell(
            condition=condition,
            loop=loop,
            units=tuple(range(NUM_UNITS)),
            values=tuple(map(float, draw(rng, condition.severity))),
        )
        for condition in conditions
    ]


def closed_cells():
    return cells_of("closed", lambda rng, severity: rng.random(NUM_UNITS) < 0.9 - 0.1 * severity)


def open_cells():
    return cells_of(
        "open", lambda rng, severity: 0.1 + 0.02 * severity + 0.05 * rng.random(NUM_UNITS)
    )


def drawn(cell, chosen):
    values = tuple(cell.values[unit] for unit in chosen)
    return replace(cell, values=values)


def with_values(cell, value):
    return replace(cell, values=(value,) * NUM_UNITS)


def relative(cells, trivial):
    """Average what the whole summary says of each corruption, by modality."""
    groups = {}
    worst = None if trivial is None else with_values(cells[0], trivial)
    for each in summarise_loop(cells, trivial=worst).robustness:
        if each.name != "empty" and each.relative is not None:
            groups.setdefault(each.modality, []).append(each.relative)
    return {modality: np.mean(values) for modality, values in groups.items()}


@pytest.mark.parametrize(
    ("cells", "trivial"), [(closed_cells(), None), (open_cells(), 0.4)], ids=["closed", "open"]
)
def test_averages_and_intervals_are_those_of_summing_up_scenes_drawn_again(cells, trivial):
    found = {each.modality: each for each in kept_by_modality(cells, trivial)}
    whole = relative(cells, trivial)
    assert set(found) == set(whole) == {"vision", "language"}
    rng = np.random.default_rng(77)
    draws = []
    for _ in range(300):
        chosen = rng.integers(NUM_UNITS, size=NUM_UNITS)
        draws.append(relative([drawn(cell, chosen) for cell in cells], trivial))
    for modality, each in found.items():
        assert each.value == pytest.approx(whole[modality])
        values = [draw[modality] for draw in draws]
        low, high = np.percentile(values, [2.5, 97.5])
        # 300 draws know an end of the interval to about a fifth of the standard deviation.
        assert each.low == pytest.approx(low, abs=0.5 * np.std(values))
        assert each.high == pytest.approx(high, abs=0.5 * np.std(values))
        assert each.high - each.low > 2 * np.std(values)


def test_where_nothing_is_lost_all_is_kept_and_nothing_varies():
    cells = [with_values(cell, 1.0) for cell in closed_cells()]
    for each in kept_by_modality(cells, None):
        assert (each.value, each.low, each.high) == (1, 1, 1)


def test_a_scene_by_scene_loss_in_proportion_has_no_spread_although_scenes_differ():
    clean, *others = open_cells()
    halved = [replace(c, values=tuple(0.2 + v / 2 for v in clean.values)) for c in others]
    # Skill 1 - e / 0.4 is halved at both severities: the area is 1/5·(2·0.75 + 3·0.5) = 0.6.
    for each in kept_by_modality([clean, *halved], 0.4):
        assert (each.value, each.low, each.high) == pytest.approx((0.6, 0.6, 0.6))


def test_a_refused_corruption_counts_for_nothing():
    cells = closed_cells()
    refused = [
        replace(cell, units=(), values=(), refusal="unknown word")
        if (cell.condition.name, cell.condition.severity) == ("typos", 5)
        else cell
        for cell in cells
    ]
    assert {each.modality for each in kept_by_modality(refused, None)} == {"vision"}
    without_blur = [cell for cell in cells if cell.condition.name != "blur"]
    refused_blur = [
        replace(cell, units=(), values=(), refusal="no") if cell.condition.name == "blur" else cell
        for cell in cells
    ]
    assert kept_by_modality(refused_blur, None) == kept_by_modality(without_blur, None)


def test_there_is_no_average_without_clean_performance_or_of_a_single_scene():
    clean, *others = closed_cells()
    assert kept_by_modality([with_values(clean, 0.0), *others], None) == []
    assert kept_by_modality([with_values(clean, 0.5), *open_cells()[1:]], 0.4) == []
    single = [replace(cell, units=(0,), values=(1.0,)) for cell in (clean, *others)]
    assert kept_by_modality(single, None) == []
