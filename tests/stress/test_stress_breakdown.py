"""Contributions by group: against all orders of the modalities, and claims that must hold."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from plait.evaluation.stress.breakdown import break_down, breakdowns
from plait.evaluation.stress.contributions import subsets
from plait.evaluation.stress.groups import Group, task_names, tasks
from plait.evaluation.stress.scores import summarise_loop
from plait.results.stress import Cell, Condition

NAMES = ("language", "proprio", "vision")
TASKS = ("pick up the red ball", "touch the red ball", "push the red ball left")


def cells_of(loop, num_units, measure, **options):
    """Make the clean cell, then one for each set of missing modalities.

    `measure` gives the values of all units from the modalities that are there.
    """
    cells = []
    for present in reversed(subsets(NAMES)):
        gone = tuple(name for name in NAMES if name not in present)
        kind, name = ("missing", "+".join(gone)) if gone else ("clean", "clean")
        more = {key: value(present) for key, value in options.items()}
        cells.append(
            Cell(
                condition=Condition(kind=kind, name=name, missing=gone),
                loop=loop,
                units=tuple(range(100, 100 + num_units)),
                values=tuple(map(float, measure(present))),
                **more,
            )
        )
    return cells


def random_closed(seed=0, instructions=TASKS * 14):
    rng = np.random.default_rng(seed)
    return cells_of(
        "closed",
        len(instructions),
        lambda present: rng.random(len(instructions)) < 0.2 + 0.2 * len(present),
        instructions=lambda _: tuple(instructions),
        tasks=lambda _: tuple(text.split()[0] for text in instructions),
        furthest=lambda _: tuple(rng.choice(["approach", "grasp", "lift"], len(instructions))),
    )


def random_phases(rng, num_units=24):
    """Return errors by phase; some episodes have no step in a phase, the same in every cell."""
    errors = rng.random((3, num_units))
    found = {
        name: [float(value) for value in row]
        for name, row in zip(("approach", "grasp", "place"), errors, strict=True)
    }
    found["grasp"][::3] = [None] * len(found["grasp"][::3])
    return {name: tuple(values) for name, values in found.items()}


def random_open(seed=0):
    rng = np.random.default_rng(seed)
    return cells_of("open", 24, lambda _: rng.random(24), phases=lambda _: random_phases(rng))


def by_all_orders(values):
    """Average what each modality adds over every order in which they could come."""
    total = dict.fromkeys(NAMES, 0.0)
    orders = list(permutations(NAMES))
    for order in orders:
        present = frozenset()
        for name in order:
            total[name] += (values[present | {name}] - values[present]) / len(orders)
            present |= {name}
    return total


def mean_of(cells, value_of, units):
    """Average over some units, by the modalities that were there."""
    return {
        frozenset(NAMES) - set(cell.condition.missing): float(
            np.mean([value_of(cell)[unit] for unit in units])
        )
        for cell in cells
    }


def check(group, values, sign):
    """Compare a group with all orders, and with what lies between everything and nothing."""
    found = {each.modality: each.value for each in group.contributions}
    expected = {name: sign * value for name, value in by_all_orders(values).items()}
    assert found == pytest.approx(expected, abs=1e-6)
    assert (group.everything, group.nothing) == pytest.approx(
        (values[frozenset(NAMES)], values[frozenset()])
    )
    assert sum(found.values()) == pytest.approx(sign * (group.everything - group.nothing), abs=1e-6)
    assert all(each.low <= each.value <= each.high for each in group.contributions)


def groups_of(cells, by, trivial=None):
    found = {each.by: each for each in breakdowns(cells, trivial)}
    return {group.name: group for group in found[by].groups}


def test_success_by_task_is_shared_out_within_each_task():
    cells = random_closed()
    found = groups_of(cells, "task")
    assert set(found) == {"pick", "touch", "push"}
    for offset, name in enumerate(("pick", "touch", "push")):
        units = range(offset, 42, 3)
        check(found[name], mean_of(cells, lambda cell: cell.values, units), sign=1)
        assert found[name].num_units == 14


def test_errors_by_task_are_those_of_the_episodes_with_the_instruction():
    cells = random_open()
    trivial = told(cells, ["stir" if unit % 2 else "pour" for unit in range(24)])
    found = groups_of(cells, "task", trivial)
    for name, units in {"stir": range(1, 24, 2), "pour": range(0, 24, 2)}.items():
        check(found[name], mean_of(cells, lambda cell: cell.values, units), sign=-1)


def test_errors_by_phase_are_shared_out_over_the_episodes_that_have_it():
    cells = random_open()
    found = groups_of(cells, "phase", told_alike(cells))
    assert list(found) == ["approach", "grasp", "place"]
    for name in found:
        units = [unit for unit in range(24) if name != "grasp" or unit % 3]
        values = mean_of(cells, lambda cell, name=name: cell.phases[name], units)
        check(found[name], values, sign=-1)
        assert found[name].num_units == len(units)


def told_alike(cells):
    return told(cells, ["stir"] * len(cells[0].units))


def told(cells, instructions):
    """Return what is known of the mean action: errors, phases and the instructions."""
    return replace(
        cells[0],
        condition=Condition(kind="trivial", name="trivial"),
        values=tuple(1 + value for value in cells[0].values),
        phases={
            name: tuple(None if value is None else 1 + value for value in values)
            for name, values in cells[0].phases.items()
        },
        instructions=tuple(instructions),
    )


def test_perceptual_scores_are_those_of_the_group_alone():
    """Clean errors rise by 0.5 with another's vision in one task, and not at all in the other."""
    cells = random_open()
    stirs = np.arange(24) % 2 == 1
    permuted = [
        replace(
            cells[0],
            condition=Condition(kind="permuted", name="vision", severity=draw, modality="vision"),
            values=tuple(np.array(cells[0].values) + share * stirs),
            phases={
                name: tuple(v if v is None else v + share for v in values)
                for name, values in cells[0].phases.items()
            },
        )
        for draw, share in ((1, 0.25), (2, 0.75))
    ]
    trivial = told(cells, np.where(stirs, "stir", "pour").tolist())
    by_task = groups_of([*cells, *permuted], "task", trivial)
    scores = {name: group.perceptual[0] for name, group in by_task.items()}
    # The mean action errs by 1 more than the policy, in every episode and phase.
    assert scores["stir"].value == pytest.approx(0.5)
    assert scores["pour"].value == 0
    for group in groups_of([*cells, *permuted], "phase", trivial).values():
        assert group.perceptual[0].value == pytest.approx(0.5)
    old = [replace(cell, phases={}) for cell in permuted]
    for group in groups_of([*cells, *old], "phase", trivial).values():
        assert group.perceptual == ()


def test_sub_goals_count_scenes_that_got_so_far_or_were_finished():
    cells = random_closed()
    found = groups_of(cells, "sub-goal")
    picks = range(0, 42, 3)
    reached = {
        "reached": lambda c: [
            v > 0 or f in ("grasp", "lift") for v, f in zip(c.values, c.furthest, strict=True)
        ],
        "grasped": lambda c: [
            v > 0 or f == "lift" for v, f in zip(c.values, c.furthest, strict=True)
        ],
        "finished": lambda c: c.values,
    }
    assert list(found) == list(reached)
    for name, value_of in reached.items():
        check(found[name], mean_of(cells, value_of, picks), sign=1)
    note = next(each.note for each in breakdowns(cells, None) if each.by == "sub-goal")
    assert note == "28 of 42 scenes ask for no grasp, and do not count here."


def test_touching_has_no_sub_goals_and_one_task_is_told_apart_by_shape():
    instructions = ("touch the red ball", "touch the blue cube") * 10
    found = {each.by: each for each in breakdowns(random_closed(0, instructions), None)}
    assert set(found) == {"task"}
    assert {group.name for group in found["task"].groups} == {"touch a ball", "touch a cube"}


def planted(seed, gains, num_units=40):
    """Make groups of units of their own in which each modality adds so much, with some noise."""
    rng = np.random.default_rng(seed)
    groups = []
    for index, (name, weights) in enumerate(gains.items()):
        units = np.arange(num_units) + index * num_units
        values = {
            subset: sum((weights[m] for m in subset), start=0.0) + 0.1 * rng.normal(size=num_units)
            for subset in subsets(NAMES)
        }
        groups.append(Group(name, units, values))
    return groups


def test_what_stands_out_is_named_and_nothing_else_is():
    low = dict.fromkeys(NAMES, 0.1)
    found = {
        group.name: group
        for group in break_down(
            planted(0, {"a": low, "b": {**low, "vision": 0.6}, "c": {**low, "language": 0.4}}),
            is_error=False,
        )
    }
    assert {name: group.leader for name, group in found.items()} == {
        "a": "",
        "b": "vision",
        "c": "language",
    }
    b = {each.modality: each for each in found["b"].departures}
    assert b["vision"].value == pytest.approx(0.5, abs=0.05)
    assert b["vision"].low > 0.4
    assert b["language"].high < 0
    assert b["proprio"].low < 0 < b["proprio"].high


def test_where_groups_are_alike_claims_are_rare():
    """Each of 20 families of 9 comparisons and 3 leaders may err with 5% probability."""
    alike = dict.fromkeys("abc", dict.fromkeys(NAMES, 0.1))
    wrong = 0
    for seed in range(20):
        found = break_down(planted(seed, alike), is_error=False)
        departs = any(d.low > 0 or d.high < 0 for group in found for d in group.departures)
        wrong += departs or any(group.leader for group in found)
    # 2 are expected at most; 7 or more have a probability below 0.01.
    assert wrong < 7


def test_a_claim_over_shared_units_is_paired():
    """Units differ by far more than modalities do, but alike in both groups."""
    unit = np.random.default_rng(0).normal(size=30)
    groups = [
        Group(
            name,
            np.arange(30),
            {s: (unit + weight) * ("vision" in s) for s in subsets(NAMES)},
        )
        for name, weight in (("a", 0.3), ("b", 0.0))
    ]
    first = break_down(groups, is_error=False)[0]
    vision = next(each for each in first.departures if each.modality == "vision")
    assert (vision.value, vision.low, vision.high) == pytest.approx((0.3, 0.3, 0.3))


def test_tasks_need_ten_scenes_and_the_rest_is_counted():
    few = ("stack the red cube on the blue cube",) * 9
    note = tasks(random_closed(0, TASKS[:2] * 10 + few), None)
    assert [group.name for group in note.groups] == ["pick", "touch"]
    assert note.note.startswith("Not shown: 9 of 29 scenes, whose tasks have fewer than 10")
    alone = tasks(random_closed(0, TASKS[:1] * 10 + few), None)
    assert alone.groups == ()
    assert "2 tasks in 19 scenes; contributions by task need two with 10 or more" in alone.note


def test_a_task_is_the_verb_its_own_name_or_the_instruction():
    assert task_names(("pick up the red ball", "grab the red sphere", "touch the red ball")) == [
        "pick",
        "pick",
        "touch",
    ]
    assert task_names(("open it", "close it"), ("door-open", "door-close")) == [
        "door-open",
        "door-close",
    ]
    assert task_names(("open it", "")) == ["open it", "no instruction"]
    assert task_names(("open it", "close it"), ("door", "door")) == ["open it", "close it"]


def test_cells_from_before_say_what_to_delete():
    cells = [replace(cell, phases={}) for cell in random_open()]
    found = breakdowns(cells, told_alike(cells))
    assert [(each.by, each.groups) for each in found] == [("phase", ())]
    assert "Delete clean-*.json, missing-*.json and permuted-*.json in cells/open" in found[0].note
    old = [replace(cell, tasks=(), instructions=(), furthest=()) for cell in random_closed()]
    found = breakdowns(old, None)
    assert [(each.by, each.groups) for each in found] == [("task", ())]
    assert "in cells/closed" in found[0].note
    mixed = [random_open()[0], *cells[1:]]
    assert breakdowns(mixed, told_alike(mixed))[0].groups == ()


def test_a_refused_subset_leaves_no_contributions_at_all():
    cells = random_closed()
    cells[1] = replace(cells[1], units=(), values=(), refusal="unknown word")
    assert breakdowns(cells, None) == ()
    assert summarise_loop(cells).contributions == ()
