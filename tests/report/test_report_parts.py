"""Numbers as text, the table on the terminal, pictures, and diagnostics put together."""

import base64
import io
from dataclasses import replace
from pathlib import Path

import pytest
from fake_comparison import draw_rollout, scene
from hand_made import arm, compared, pair, rate, run
from PIL import Image
from rich.console import Console

from plait.errors import DataError
from plait.report import diagnostics, markup, media, text, views
from plait.report.tables import ranking_table
from plait.results import Diagnostic

FILM = arm("film", rate(125, 200, 0.5561, 0.6891), chance=0.2875, num_parameters=612_345)
LATE = arm("late", rate(1, 200, 0.0009, 0.0277))
DEAF = arm("film, instruction masked", rate(50, 200, 0.195, 0.314), control="instruction_masked")


def decode(uri: str) -> Image.Image:
    head, content = uri.split(",", 1)
    assert head.startswith("data:image/")
    return Image.open(io.BytesIO(base64.b64decode(content)))


def distance(one: Image.Image, other: Image.Image) -> int:
    pairs = zip(one.convert("RGB").tobytes(), other.convert("RGB").tobytes(), strict=True)
    return sum((a - b) ** 2 for a, b in pairs)


def shown(width: int, *args, **kwargs) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(ranking_table(compared(*args, **kwargs)))
    return console.export_text().replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.0004, "p < 0.001"),
        (0.001, "p = 0.001"),
        (0.0347, "p = 0.035"),
        (0.0496, "p = 0.049"),
        (0.05, "p = 0.05"),
        (0.1234, "p = 0.12"),
        (1.0, "p = 1"),
    ],
)
def test_p_values(value, written):
    assert text.p_value(value).replace("\N{NO-BREAK SPACE}", " ") == written


@pytest.mark.parametrize(
    ("function", "value", "written"),
    [
        (text.points, 0.125, "+12.5"),
        (text.points, -0.0349, "−3.5"),
        (text.points, -0.0001, "0.0"),
        (text.percent, 1.0, "100.0%"),
        (text.scaled, 512, "512"),
        (text.scaled, 999_900, "1.00 M"),
        (text.scaled, 48_200, "48.2 k"),
        (text.scaled, 1_230_000_000, "1.23 G"),
        (text.milliseconds, 0.1234, "0.123 ms"),
        (text.milliseconds, 12.34, "12.3 ms"),
        (text.duration, 5.0, "5.00 s"),
        (text.duration, 99.0, "99 s"),
        (text.duration, 100.0, "1.7 min"),
        (text.duration, 7200.0, "2.0 h"),
        (text.listing, [], ""),
        (text.listing, ["a"], "a"),
        (text.listing, ["a", "b", "c"], "a, b and c"),
        (text.listing, ["a, x", "b", "c"], "a, x; b and c"),
        (markup.plotly_text, "<b>&", "&lt;b&gt;&amp;"),
        (markup.breakable, "a_<b>", "a_<wbr>&lt;b&gt;"),
    ],
)
def test_numbers_and_lists(function, value, written):
    assert str(function(value)).replace("\N{NO-BREAK SPACE}", " ") == written


def test_names_in_sentences_are_set_apart():
    names = ["late", "film", "film, images masked", "<b>"]
    assert markup.with_names("film, images masked is later than late & <b>.", names) == (
        "<b>film, images masked</b> is later than <b>late</b> &amp; <b>&lt;b&gt;</b>."
    )
    assert markup.with_names("a & b", []) == "a &amp; b"


def test_settings_become_rows():
    settings = {"a": 1, "b": {"c": None, "d": {"e": ["x", "y"]}}, "f": {}, "g": True, "h": []}
    assert text.flatten(settings) == [
        ("a", "1"),
        ("b.c", "none"),
        ("b.d.e", "x, y"),
        ("f", "{}"),
        ("g", "yes"),
        ("h", "none"),
    ]


def test_terminal_table_holds_the_numbers():
    lines = shown(120, (FILM, LATE, DEAF)).splitlines()
    [film] = [line for line in lines if line.lstrip().startswith("film ")]
    for part in ("62.5%", "55.6–68.9%", "29%", "612 k", "2.00 ms", "2.0 min"):
        assert part in film
    order = [index for index, line in enumerate(lines) if "–" in line]
    assert lines[order[-1]].lstrip().startswith("film, instruction masked")
    # The controls stand apart: an empty line before them.
    assert order[-1] - order[-2] == 2
    assert "touch" not in lines[1]


def test_terminal_table_has_tasks_where_there_are_several():
    tasks = {"push": rate(1, 2, 0.1, 0.9), "pick_up": rate(2, 2, 0.3, 1.0)}
    film = replace(FILM, per_task=tasks, holdout=rate(1, 4, 0.0, 0.6))
    table = shown(140, (film, LATE))
    assert "pick_up" in table
    [line] = [line for line in table.splitlines() if line.lstrip().startswith("film")]
    assert line.split()[3:7] == ["29%", "25%", "50%", "100%"]


def test_a_narrow_terminal_does_without_the_tasks():
    tasks = {f"a_long_task_{index}": rate(1, 2, 0.1, 0.9) for index in range(4)}
    film = replace(FILM, per_task=tasks)
    assert "a_long_task_3" in shown(140, (film, LATE))
    narrow = shown(80, (film, LATE))
    assert "a_long" not in narrow
    assert "…" not in narrow
    assert "62.5%" in narrow


def test_names_are_not_markup_on_the_terminal():
    assert "[red]film[/red]" in shown(120, (replace(FILM, arm="[red]film[/red]"),))


def test_eighty_columns_hold_the_numbers_and_names_wrap():
    lines = shown(80, (FILM, LATE, DEAF)).splitlines()
    assert "…" not in "".join(lines)
    [film] = [line for line in lines if line.lstrip().startswith("film ")]
    assert film.split() == [
        "film",
        "62.5%",
        "55.6–68.9%",
        "29%",
        "612",
        "k",
        "2.00",
        "ms",
        "2.0",
        "min",
    ]


def test_spotlight_lights_what_is_attended_to():
    picture = decode(
        media.spotlight(Image.new("RGB", (8, 8), (200, 100, 50)), [[0.0, 0.0], [0.0, 1.0]])
    )
    assert picture.size == (192, 192)
    lit, dark = picture.getpixel((180, 180)), picture.getpixel((10, 10))
    assert lit == pytest.approx((200, 100, 50), abs=6)
    assert dark == pytest.approx(tuple(media.DARKNESS * v for v in (200, 100, 50)), abs=6)


def test_spotlight_of_nothing_is_dark():
    picture = decode(media.spotlight(Image.new("RGB", (4, 4), (200, 200, 200)), [[0.0]]))
    assert picture.getpixel((50, 50)) == pytest.approx((56, 56, 56), abs=4)


def test_concentration():
    assert media.concentration([[0.0, 0.0], [0.0, 2.0]]) == pytest.approx(4.0)
    assert media.concentration([[0.5, 0.5]]) == pytest.approx(1.0)
    assert media.concentration([[0.0, 0.0]]) == 0.0


def test_the_still_is_the_last_frame(tmp_path):
    draw_rollout(tmp_path / "a.webp", 3, is_success=True)
    loaded = media.load_moving(tmp_path, "a.webp")
    assert decode(loaded.moving).n_frames > 4
    still = decode(loaded.still)
    assert getattr(still, "n_frames", 1) == 1
    with Image.open(tmp_path / "a.webp") as moving:
        first = moving.convert("RGB")
        moving.seek(moving.n_frames - 1)
        last = moving.convert("RGB")
    assert distance(still, last) < distance(still, first) / 4
    assert (loaded.width, loaded.height) == (64, 64)


def test_other_formats_are_refused(tmp_path):
    scene(1).save(tmp_path / "a.bmp")
    with pytest.raises(DataError, match="a picture of format BMP"):
        media.load_image(tmp_path, "a.bmp")


def test_bars_are_put_side_by_side_and_averaged():
    def bars(labels, values, name="usage"):
        return Diagnostic(name=name, kind="bars", labels=labels, values=values, note="Note.")

    runs = [
        replace(run("film", 0, {}), diagnostics=(bars(("a_b", "c"), (1.0, -4.0)),)),
        replace(run("film", 1, {}), diagnostics=(bars(("a_b", "c"), (2.0, -2.0)),)),
        replace(run("late", 0, {}), diagnostics=(bars(("d",), (0.5,)), bars(("e",), (1,), "x"))),
    ]
    usage, other = diagnostics.gather_bars(runs, ["late", "film", "none"])
    assert usage.labels == ["a b", "c", "d"]
    assert list(usage.rows.items()) == [("late", [None, None, 0.5]), ("film", [1.5, -3.0, None])]
    assert usage.largest == 3.0
    assert usage.note == "Note."
    assert other.rows == {"late": [1.0]}


@pytest.mark.parametrize("grid", [[], [[]], [[1.0], [1.0, 2.0]], 3, [["a"]]])
def test_heat_maps_must_be_grids(tmp_path: Path, grid):
    scene(1).save(tmp_path / "a.png")
    broken = Diagnostic(
        name="attention", kind="heatmap", labels=("red",), values=(grid,), image="a.png"
    )
    with pytest.raises(DataError, match="the heat map 'attention' is no grid"):
        diagnostics.gather_heat_maps(
            [(replace(run("film", 0, {}), diagnostics=(broken,)), tmp_path)]
        )


def test_pairs_are_read_from_both_sides():
    comparison = compared((FILM, LATE), (pair("late", "film", 9, 4, 0.25, 0.01),))
    turned = views.find_pair(comparison, "film", "late")
    assert turned is not None
    assert (turned.first_only, turned.second_only) == (4, 9)
    assert (turned.difference, turned.low, turned.high) == pytest.approx((-0.25, -0.3, -0.2))
    assert turned.differs
    assert views.find_pair(comparison, "film", "early") is None


def test_the_matrix_is_the_lower_triangle():
    names = ("a", "b", "c")
    arms = tuple(replace(FILM, arm=name) for name in names)
    pairs = (pair("a", "b", 3, 1, 0.1, 0.5), pair("b", "c", 5, 1, 0.2, 0.01))
    matrix = views.matrix(compared(arms, pairs))
    assert (matrix.rows, matrix.columns) == (["b", "c"], ["a", "b"])
    [[ba, hole], [ca, cb]] = matrix.cells
    assert ba is not None
    assert ba.difference == pytest.approx(-0.1)
    assert hole is None
    assert ca is None
    assert cb is not None
    assert cb.differs
