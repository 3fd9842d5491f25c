"""The page and the sentences of an alignment, from numbers made by hand."""

import io
import json
import re
from dataclasses import replace

import pytest
from page_reading import read_page
from PIL import Image
from rich.console import Console

from plait.errors import DataError
from plait.report.alignment import alignment_table, conclude_alignment, write_alignment_report
from plait.results import CurvePoint, DatasetSummary, Machine, load_result, save_result
from plait.results.alignment import (
    LAST_FIFTH,
    WHOLE_EPISODES,
    AlignmentMeasures,
    AlignmentResult,
    DiagonalScore,
    EmbeddingMap,
    FactorRecall,
    ModalityGeometry,
    PairGeometry,
    ProgressPoint,
    RetrievalExample,
    RetrievalScore,
    RetrievedAction,
    RetrievedFrame,
    SimilarityMatrix,
)

NAMES = ("vision", "language", "action")
PAIRS = (("vision", "language"), ("vision", "action"), ("language", "action"))
NASTY = "<script>alert('x')</script> & co"


def measures(recall, *, low=None, distance=0.5, last=0.9, found=0.7):
    low = recall - 0.05 if low is None else low
    return AlignmentMeasures(
        retrieval=tuple(
            RetrievalScore(
                query=a,
                target=b,
                num_queries=100,
                gallery_size=1000,
                recall={"1": recall, "5": 0.95, "10": 0.99},
                chance={"1": 0.04, "5": 0.2, "10": 0.4},
                median_rank=2.5,
                mean_reciprocal_rank=0.5,
                low=low,
                high=recall + 0.05,
            )
            for pair in PAIRS
            for a, b in (pair, pair[::-1])
        ),
        pairs=tuple(
            PairGeometry(
                first=a,
                second=b,
                centroid_distance=distance,
                relative_gap=0.3,
                separability=1.0,
                alignment=0.8,
                cka=0.6,
                mutual_neighbours=0.2,
            )
            for a, b in PAIRS
        ),
        modalities=tuple(
            ModalityGeometry(modality=n, uniformity=-2.5, effective_rank=11.0) for n in NAMES
        ),
        diagonal=(DiagonalScore(query="vision", target="language", score=0.001, ceiling=0.005),),
        retrieved_action=(
            RetrievedAction(query="language", error=1.4, low=1.3, high=1.5),
            RetrievedAction(query="vision + language", error=found, low=0.6, high=found + 0.1),
        ),
        progress=(
            ProgressPoint(start=0.0, end=0.5, recall=0.1, num_queries=50),
            ProgressPoint(start=0.5, end=1.0, recall=last, num_queries=50),
        ),
    )


def make_result(**changes):
    frame = RetrievedFrame(
        file="examples/0.png",
        episode=3,
        step=7,
        instruction=NASTY,
        is_hit=False,
        similarity=0.61,
        actions=((0.0, 1.0), (0.5, -1.0)),
    )
    labels = (NASTY, "touch the red cube")
    result = AlignmentResult(
        command="plait align --data demos",
        objective="info_nce",
        dataset=DatasetSummary(
            path="demos",
            fingerprint="abc",
            num_episodes=50,
            num_steps=900,
            cameras=("base",),
            tasks=labels,
            is_recorded_here=False,
        ),
        num_train_episodes=45,
        num_test_episodes=5,
        num_watched_episodes=2,
        num_test_instructions=2,
        num_unseen_instructions=0,
        num_steps=400,
        best_step=200,
        logit_scales={"pairwise": 20.0},
        curve=(
            CurvePoint(step=200, train_loss=2.0, validation_loss=None, seconds=1.0, score=0.4),
            CurvePoint(step=400, train_loss=1.0, validation_loss=None, seconds=2.0, score=0.3),
        ),
        before=measures(0.05, distance=1.2),
        after=measures(0.6),
        centred=measures(0.6, distance=0.1),
        similarity=(
            SimilarityMatrix(
                query="vision", target="language", labels=labels, values=((0.9, 0.1), (0.2, 0.8))
            ),
        ),
        maps=(
            EmbeddingMap(
                title="after",
                modality=("vision", "language"),
                instruction=(0, 1),
                instructions=labels,
                x=(0.1, 0.2),
                y=(0.3, 0.4),
                explained=0.5,
            ),
        ),
        examples=(RetrievalExample(instruction=NASTY, frames=(frame,)),),
        notes=("Only 5 episodes were held out.",),
        settings={"aligner": {"width": 48}},
        total_seconds=60.0,
        machine=Machine(platform="x", processor="y", num_cores=2, python="3.11", packages={}),
    )
    return replace(result, **changes)


@pytest.fixture
def written(tmp_path):
    def write(result):
        (tmp_path / "examples").mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (200, 10, 10)).save(tmp_path / "examples" / "0.png")
        save_result(tmp_path / "results.json", result)
        page = write_alignment_report(tmp_path / "results.json", tmp_path / "report.html")
        return page.read_text(encoding="utf-8")

    return write


def test_the_page_shows_numbers_and_lets_no_markup_through(written):
    page = written(make_result())
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert "60.0%" in page
    assert page.count('<img class="pixels" src="data:image/png') == 1
    assert page.count("<polyline") == 2
    for name in ("recall", "curve", "progress", "similarity-vision-language", "map-after"):
        assert f'data-figure="{name}"' in page


def test_the_page_loads_nothing_from_elsewhere(written):
    page = written(make_result())
    assert "default-src 'none'" in page
    assert not re.findall(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="http', page)


def test_the_same_result_gives_the_same_bytes(written):
    assert written(make_result()) == written(make_result())


def test_what_is_not_there_has_no_section(written):
    after = replace(make_result().after, progress=(), retrieved_action=())
    result = make_result(maps=(), examples=(), similarity=(), curve=(), after=after)
    page = written(result)
    assert 'id="examples"' not in page
    for name in ("curve", "progress", "map-after"):
        assert f'data-figure="{name}"' not in page


def test_a_missing_picture_is_named(tmp_path):
    save_result(tmp_path / "results.json", make_result())
    with pytest.raises(DataError, match=r"examples/0.png.*no such file"):
        write_alignment_report(tmp_path / "results.json", tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_a_picture_outside_the_folder_is_refused(tmp_path):
    frame = replace(make_result().examples[0].frames[0], file="../secret.png")
    examples = (RetrievalExample(instruction="x", frames=(frame,)),)
    save_result(tmp_path / "results.json", make_result(examples=examples))
    with pytest.raises(DataError, match="out of the folder"):
        write_alignment_report(tmp_path / "results.json", tmp_path / "report.html")


def factor(name, query, stretch, recall, low=None):
    target = "vision" if query == "language" else "language"
    return FactorRecall(
        factor=name,
        query=query,
        target=target,
        stretch=stretch,
        recall=recall,
        chance=0.25,
        low=recall - 0.05 if low is None else low,
        high=recall + 0.05,
        num_queries=40,
    )


FACTORS = (
    factor("verb", "vision", WHOLE_EPISODES, 0.5),
    factor("verb", "vision", LAST_FIFTH, 0.8),
    factor("verb", "language", WHOLE_EPISODES, 0.7),
    factor("colour", "vision", WHOLE_EPISODES, 0.3),
    factor("colour", "vision", LAST_FIFTH, 0.28, low=0.2),
    factor("colour", "language", WHOLE_EPISODES, 0.6),
)


def test_the_page_says_what_is_watched_and_what_is_measured(written):
    page = " ".join(written(make_result()).split())
    assert '<th scope="row">held out, measured</th><td>5 episodes</td>' in page
    assert '<th scope="row">held out, watched</th><td>2 episodes, by early stopping</td>' in page


def test_parts_of_instructions_have_a_table(tmp_path, written):
    result = make_result(after=replace(measures(0.6), factors=FACTORS))
    written(result)
    page = read_page(tmp_path / "report.html")
    row = page.row("retrieval", "vision → text, colour")
    assert row.split(" | ")[1:] == ["30.0%", "25.0–35.0%", "25.0%", "28.0%", "20.0–33.0%", "25.0%"]
    assert page.row("retrieval", "text → vision, verb").endswith(" | 25.0% | – | – | –")
    assert "Part by part" in page.section("retrieval")


def test_parts_of_instructions_have_a_sentence_that_names_what_chance_explains():
    result = make_result(after=replace(measures(0.6), factors=FACTORS))
    (sentence,) = sentence_with(result, "Part by part")
    assert sentence == (
        "Part by part, the text nearest to a frame of the last fifth of an episode is right in "
        "verb for 80.0% (chance 25.0%) and colour for 28.0% (chance 25.0%: not told apart); the "
        "frame nearest to a text in verb for 70.0% (chance 25.0%) and colour for 60.0% (chance "
        "25.0%)."
    )


def test_without_parts_there_is_neither_table_nor_sentence(written):
    assert "Part by part" not in written(make_result())


def test_a_result_of_before_parts_and_watched_episodes_still_has_a_page(tmp_path, written):
    written(make_result())
    file = tmp_path / "results.json"
    data = json.loads(file.read_text(encoding="utf-8"))
    del data["num_watched_episodes"]
    for state in ("before", "after", "centred"):
        del data[state]["factors"]
    file.write_text(json.dumps(data), encoding="utf-8")
    assert load_result(file, AlignmentResult).after.factors == ()
    page = write_alignment_report(file, tmp_path / "old.html").read_text(encoding="utf-8")
    assert "not recorded" in page


def sentence_with(result, words):
    return [sentence for sentence in conclude_alignment(result) if words in sentence]


def test_the_sentences_say_the_numbers():
    result = make_result()
    (found,) = sentence_with(result, "Text → vision: the first")
    assert "60.0% (55.0–65.0%)" in found
    assert "chance is 4.0%" in found
    (gap,) = sentence_with(result, "The gap between vision and text")
    assert "1.20 before, 0.50 after, 0.10 with the means subtracted" in gap
    (score,) = sentence_with(result, "textbook's alignment score")
    assert "0.0010" in score
    assert "0.0050" in score
    assert conclude_alignment(result)[-1] == "Only 5 episodes were held out."


@pytest.mark.parametrize(("low", "is_told"), [(0.03, True), (0.05, False)])
def test_chance_is_named_where_the_interval_holds_it(low, is_told):
    result = make_result(after=measures(0.06, low=low))
    assert bool(sentence_with(result, "Not told from chance")) is is_told


@pytest.mark.parametrize(("last", "is_told"), [(0.9, True), (0.15, False)])
def test_growth_along_the_episode_is_told_where_there_is_any(last, is_told):
    result = make_result(after=measures(0.6, last=last))
    assert bool(sentence_with(result, "shows late")) is is_told


@pytest.mark.parametrize(("found", "verdict"), [(0.7, ", better than"), (0.95, "no better than")])
def test_actions_found_are_judged_by_their_interval(found, verdict):
    result = make_result(after=measures(0.6, found=found))
    assert sentence_with(result, verdict)


def test_the_table_fits_a_narrow_terminal():
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(alignment_table(make_result()))
    text = console.export_text()
    assert "vision → text" in text
    assert "…" not in text
