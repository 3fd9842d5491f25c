"""One page that holds everything of an alignment; see `plait.report.page` for its rules."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from plait.report import media, text
from plait.report.alignment.conclusions import conclude_alignment
from plait.report.alignment.factors import factor_rows
from plait.report.alignment.figures import COLOURS, alignment_figures
from plait.report.alignment.names import NAMES, direction
from plait.report.alignment.table import retrieval_rows
from plait.report.page import environment, parts_with_figures
from plait.report.views import made_with
from plait.results import load_result, write_text_atomically
from plait.results.alignment import AlignmentResult, RetrievalExample

SPARK_WIDTH, SPARK_HEIGHT = 120, 36


def write_alignment_report(results_file: Path, output: Path) -> Path:
    """Write the page of an alignment.

    Args:
        results_file: Its `results.json`; the pictures it names are beside it.
        output: Where the page goes; replaced whole or not at all.

    Returns:
        `output`.

    Raises:
        DataError: If the result or a picture it names is missing or unreadable.
        OutputError: If the page cannot be written.
    """
    result = load_result(results_file, AlignmentResult)
    write_text_atomically(output, render_alignment(result, results_file.parent))
    return output


def render_alignment(result: AlignmentResult, folder: Path) -> str:
    """Return the page as HTML; `folder` holds the pictures.

    Raises:
        DataError: If a picture is missing or unreadable.
    """
    content: dict[str, Any] = {
        "result": result,
        "conclusions": conclude_alignment(result),
        "retrieval": retrieval_rows(result),
        "factors": factor_rows(result.after),
        "pair_rows": _pair_rows(result),
        "modality_rows": _modality_rows(result),
        "diagonal": [
            (direction(d.query, d.target), f"{d.score:.4f}", f"{d.ceiling:.4f}")
            for d in result.after.diagonal
        ],
        "retrieved": result.after.retrieved_action,
        "examples": [_example(example, folder) for example in result.examples],
        "setup": _setup(result),
        "settings": text.flatten(result.settings),
        "legend_entries": [
            {"group": name, "label": NAMES[name], "colour": COLOURS[name], "hollow": False}
            for name in COLOURS
        ],
        **parts_with_figures(alignment_figures(result)),
    }
    return environment().get_template("alignment.html.jinja").render(content)


def _states(result: AlignmentResult) -> list[tuple[str, Any]]:
    return [("before", result.before), ("after", result.after), ("centred", result.centred)]


def _pair_rows(result: AlignmentResult) -> list[list[str]]:
    return [
        [
            f"{NAMES[pair.first]}, {NAMES[pair.second]}",
            state,
            f"{pair.centroid_distance:.3f}",
            f"{pair.relative_gap:.3f}",
            f"{pair.separability:.3f}",
            f"{pair.alignment:.3f}",
            f"{pair.cka:.3f}",
            f"{pair.mutual_neighbours:.3f}",
        ]
        for index in range(len(result.after.pairs))
        for state, measures in _states(result)
        for pair in [measures.pairs[index]]
    ]


def _modality_rows(result: AlignmentResult) -> list[list[str]]:
    return [
        [NAMES[each.modality], state, f"{each.uniformity:.2f}", f"{each.effective_rank:.1f}"]
        for index in range(len(result.after.modalities))
        for state, measures in _states(result)
        for each in [measures.modalities[index]]
    ]


def _example(example: RetrievalExample, folder: Path) -> dict[str, Any]:
    return {
        "instruction": example.instruction,
        "frames": [
            {
                "image": media.plain(media.load_image(folder, frame.file)),
                "instruction": frame.instruction,
                "is_hit": frame.is_hit,
                "similarity": f"{frame.similarity:.2f}",
                "where": f"episode {frame.episode}, step {frame.step}",
                "actions": _sparkline(frame.actions),
            }
            for frame in example.frames
        ],
    }


def _sparkline(actions: Sequence[Sequence[float]]) -> Markup:
    """Draw every dimension of an action chunk as a line over its steps."""
    if not actions:
        return Markup("")
    flat = [value for row in actions for value in row]
    low, high = min(flat), max(flat)
    step = SPARK_WIDTH / max(len(actions) - 1, 1)
    lines = [
        " ".join(
            f"{index * step:.1f},{_height(row[dimension], low, high):.1f}"
            for index, row in enumerate(actions)
        )
        for dimension in range(len(actions[0]))
    ]
    drawn = Markup("").join(
        Markup(
            '<polyline points="{}" fill="none" stroke="var(--arm-{})" stroke-width="1.5"/>'
        ).format(points, index % 12)
        for index, points in enumerate(lines)
    )
    return Markup(
        '<svg viewBox="0 0 {} {}" role="img" aria-label="actions that followed">{}</svg>'
    ).format(SPARK_WIDTH, SPARK_HEIGHT, drawn)


def _height(value: float, low: float, high: float) -> float:
    share = (value - low) / (high - low) if high > low else 0.5
    return SPARK_HEIGHT - 2 - share * (SPARK_HEIGHT - 4)


def _setup(result: AlignmentResult) -> dict[str, str]:
    data = result.dataset
    rows = {
        "demonstrations": f"{text.counted(data.num_episodes, 'episode')}, "
        f"{text.counted(data.num_steps, 'step')}, {data.path}",
        "held out, measured": text.counted(result.num_test_episodes, "episode"),
        "held out, watched": _watched(result),
        "fingerprint": data.fingerprint,
        "cameras": ", ".join(data.cameras),
        "steps": f"{result.num_steps:,}; weights of step {result.best_step:,}",
        "logit scales": ", ".join(f"{k} {v:.1f}" for k, v in result.logit_scales.items()),
    }
    return rows | made_with(result.machine)


def _watched(result: AlignmentResult) -> str:
    count = result.num_watched_episodes
    return f"{text.counted(count, 'episode')}, by early stopping" if count else "not recorded"
