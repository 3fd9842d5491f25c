"""What the figures draw, number by number."""

import re
from itertools import pairwise
from math import log10, pi

import pytest
from hand_made import arm, compared, rate, run

from plait.report import figures
from plait.report.style import arm_styles, in_groups

FILM = arm(
    "film",
    rate(150, 200, 0.686, 0.805),
    latency_ms=4.0,
    num_parameters=400_000,
    outcomes={"success": 150, "timeout": 20, "wrong_object": 30},
    chance=0.2,
)
LATE = arm(
    "late",
    rate(50, 200, 0.195, 0.314),
    num_parameters=100_000,
    outcomes={"success": 50, "exploded": 150},
    chance=0.3,
)
BLIND = arm(
    "film, images masked",
    rate(10, 200, 0.027, 0.090),
    control="images_masked",
    chance=0.25,
)
BOTH = compared((FILM, BLIND, LATE))


def learning_curves(comparison, runs):
    return figures.learning_curves(in_groups(comparison), arm_styles(comparison), runs)


def test_ranking_places_dots_intervals_and_chance():
    figure = figures.ranking(BOTH)
    assert [trace["x"] for trace in figure.data] == [[0.75], [0.25], [0.05]]
    # Controls come last, after a gap, wherever they rank.
    assert [trace["y"] for trace in figure.data] == [[0.0], [1.0], [2.5]]
    assert figure.data[0]["error_x"]["array"] == [pytest.approx(0.055)]
    assert figure.data[0]["error_x"]["arrayminus"] == [pytest.approx(0.064)]
    [line] = figure.layout["shapes"]
    assert line["x0"] == line["x1"] == pytest.approx(0.25)
    labels = [label["text"] for label in figure.layout["annotations"]]
    assert "chance 25.0%" in labels
    assert "<b>75.0%</b>" in labels
    assert "68.6–80.5%" in labels


def test_ranking_shows_seeds_and_unseen_combinations():
    unseen = rate(60, 200, 0.241, 0.367)
    film = arm("film", FILM.success, seed_rates=(0.7, 0.8), holdout=unseen)
    figure = figures.ranking(compared((film,)))
    assert [trace["x"] for trace in figure.data] == [[0.3], [0.7, 0.8], [0.75]]
    assert "unseen combinations 30.0% (24.1–36.7%)" in figure.data[0]["hovertext"][0]
    assert figure.data[0]["y"] > figure.data[2]["y"]


def test_curves_average_the_seeds_where_all_have_a_value():
    runs = [run("film", 0, {0: 1.0, 10: 0.4, 20: None}), run("film", 1, {0: 3.0, 10: 0.6, 20: 0.5})]
    figure = learning_curves(compared((FILM,)), runs)
    assert figure is not None
    *seeds, mean = figure.data
    assert [trace["y"] for trace in seeds] == [[1.0, 0.4], [3.0, 0.6, 0.5]]
    assert mean["x"] == [0, 10]
    assert mean["y"] == [2.0, 0.5]
    assert all(trace["legendgroup"] == "film" for trace in figure.data)


def test_curves_are_logarithmic_where_losses_span_much():
    figure = learning_curves(compared((FILM,)), [run("film", 0, {0: 1.0, 10: 0.01})])
    assert figure is not None
    axis = figure.layout["yaxis"]
    assert axis["type"] == "log"
    assert axis["ticktext"] == ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1"]
    [label] = figure.layout["annotations"]
    assert label["y"] == pytest.approx(log10(0.01))


def test_curves_start_at_zero_otherwise():
    figure = learning_curves(compared((FILM,)), [run("film", 0, {0: 1.0, 10: 0.5})])
    assert figure is not None
    assert figure.layout["yaxis"]["type"] == "linear"
    assert figure.layout["yaxis"]["range"][0] == 0


def test_names_of_curves_do_not_overlap():
    arms = tuple(arm(f"arm{index}", FILM.success) for index in range(5))
    runs = [run(a.arm, 0, {0: 1.0, 10: 0.5 + index / 1e4}) for index, a in enumerate(arms)]
    figure = learning_curves(compared(arms), runs)
    assert figure is not None
    low, high = figure.layout["yaxis"]["range"]
    labels = sorted(
        (340 * (label["y"] - low) / (high - low) + label["yshift"], label["name"])
        for label in figure.layout["annotations"]
    )
    assert [name for _, name in labels] == [a.arm for a in arms]
    gaps = [upper - lower for (lower, _), (upper, _) in pairwise(labels)]
    assert min(gaps) > 14.5


def test_training_loss_stands_in_where_nothing_was_validated():
    figure = learning_curves(compared((FILM,)), [run("film", 0, {0: None, 10: None})])
    assert figure is not None
    assert figure.layout["yaxis"]["title"]["text"] == "training loss"
    assert figure.data[0]["y"] == [2.0, 2.0]


def test_no_curves_no_figure():
    assert learning_curves(compared((FILM,)), [run("film", 0, {})]) is None


def test_outcomes_add_up_and_success_is_first():
    figure = figures.outcomes(BOTH)
    names = [trace["legendgroup"] for trace in figure.data]
    assert names == ["success", "wrong_object", "timeout", "exploded"]
    shares = [trace["x"] for trace in figure.data]
    assert [row[0] for row in shares] == [0.75, 0.15, 0.1, 0.0]
    assert [sum(column) for column in zip(*shares, strict=True)] == pytest.approx([1.0] * 3)
    assert "wrong object: 30 of 200" in figure.data[1]["hovertext"][0]
    assert len({trace["marker"]["color"] for trace in figure.data}) == 4


def test_cost_leaves_controls_out_and_draws_parameters_as_area():
    figure = figures.cost(BOTH)
    assert figure is not None
    assert [(trace["x"], trace["y"]) for trace in figure.data] == [([4.0], [0.75]), ([2.0], [0.25])]
    areas = [pi * trace["marker"]["size"] ** 2 / 4 for trace in figure.data]
    assert areas[0] / areas[1] == pytest.approx(4.0)
    assert figures.cost(compared((BLIND,))) is None


def test_labels_of_costs_do_not_cover_each_other():
    twins = (FILM, arm("twin", FILM.success, latency_ms=4.0))
    figure = figures.cost(compared(twins))
    assert figure is not None
    places = [
        (label["xanchor"], label["xshift"], label["yshift"])
        for label in figure.layout["annotations"]
    ]
    assert len(set(places)) == len(places)


def test_an_arm_has_one_colour_in_every_figure():
    styles = arm_styles(BOTH)
    colour = styles["film"].colour
    assert figures.ranking(BOTH).data[0]["marker"]["color"] == colour
    curves = learning_curves(BOTH, [run("film", 0, {0: 1.0})])
    assert curves is not None
    assert curves.data[0]["line"]["color"] == colour
    cost = figures.cost(BOTH)
    assert cost is not None
    assert cost.data[0]["marker"]["color"] == colour
    assert styles["late"].colour != colour
    assert styles["film, images masked"].colour == "var(--control)"


def test_colours_do_not_depend_on_rank():
    turned = compared((LATE, FILM, BLIND))
    assert arm_styles(BOTH) == arm_styles(turned)


def test_twelve_strategies_have_twelve_colours():
    arms = tuple(arm(f"arm{index:02}", FILM.success) for index in range(14))
    styles = arm_styles(compared(arms))
    assert len({style.colour for style in styles.values()}) == 12
    assert len({(style.colour, style.dash) for style in styles.values()}) == 14


@pytest.mark.parametrize("draw", [figures.ranking, figures.outcomes, figures.cost])
def test_names_are_text(draw):
    evil = arm("<a href='x'>b</a>, <img>", FILM.success, outcomes={"<b>": 3})
    drawn = list(_texts(draw(compared((evil,))).as_json()))
    assert any("&lt;a href" in text for text in drawn)
    tags = {tag for text in drawn for tag in re.findall(r"<[^>]*>", text)}
    assert tags <= {"<b>", "</b>", "<br>", "</span>", "<span style='color:var(--arm-0)'>"}


def _texts(value):
    """Yield everything that Plotly would write."""
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in ("text", "hovertext", "ticktext"):
                yield from item if isinstance(item, list) else _texts(item)
                yield from [item] if isinstance(item, str) else []
            else:
                yield from _texts(item)
