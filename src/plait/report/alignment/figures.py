"""The figures of an alignment: recall, its growth, similarities, and maps of the space."""

from plait.report import text
from plait.report.alignment.names import NAMES, direction
from plait.report.figures.base import AXIS, INK, MUTED, Figure, Json, layout_of, plain_axis
from plait.report.markup import plotly_text
from plait.results.alignment import AlignmentResult, EmbeddingMap, SimilarityMatrix

COLOURS = {"vision": "var(--arm-0)", "language": "var(--arm-1)", "action": "var(--arm-2)"}
SYMBOLS = {"vision": "circle", "language": "diamond", "action": "x"}
NUM_COLOURS = 12
LABEL_LENGTH = 26


def alignment_figures(result: AlignmentResult) -> dict[str, Figure]:
    """Return all figures that there are numbers for, by name."""
    figures = {"recall": _recall(result)}
    if result.curve:
        figures["curve"] = _curve(result)
    if len(result.after.progress) > 1:
        figures["progress"] = _progress(result)
    for matrix in result.similarity:
        if len(matrix.labels) > 1:
            figures[f"similarity-{matrix.query}-{matrix.target}"] = _similarity(matrix)
    for drawn in result.maps:
        figures[f"map-{drawn.title}"] = _map(drawn)
    return figures


def _recall(result: AlignmentResult) -> Figure:
    scores = result.after.retrieval
    rows = list(range(len(scores)))
    values = [score.recall["1"] for score in scores]
    before = [score.recall["1"] for score in result.before.retrieval]
    chance = [score.chance["1"] for score in scores]

    def marks(name: str, x: list[float], symbol: str, colour: str) -> Json:
        return {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": x,
            "y": rows,
            "marker": {"symbol": symbol, "color": colour, "size": 11, "line": {"width": 2}},
            "hovertext": [f"{name} {text.percent(value)}" for value in x],
            "hoverinfo": "text",
        }

    after = marks("after", values, "circle", "var(--arm-0)")
    after["error_x"] = {
        "type": "data",
        "symmetric": False,
        "array": [max(s.high - s.recall["1"], 0.0) for s in scores],
        "arrayminus": [max(s.recall["1"] - s.low, 0.0) for s in scores],
        "color": "var(--arm-0)",
        "thickness": 1.5,
        "width": 0,
    }
    data = [
        marks("chance", chance, "line-ns-open", MUTED),
        marks("before", before, "circle-open", MUTED),
        after,
    ]
    ticks = [direction(score.query, score.target) for score in scores]
    return Figure(
        data=data,
        layout=layout_of(
            xaxis=plain_axis(range=[-0.02, 1.02], tickformat=".0%", title="recall at 1"),
            yaxis=plain_axis(range=[len(rows) - 0.5, -0.5], tickvals=rows, ticktext=ticks),
            margin={"l": 120, "r": 16, "t": 8, "b": 44},
        ),
        height=60 + 38 * len(rows),
        summary="Recall at 1 in each direction, with its interval, before training, and chance.",
    )


def _lines(x: list[float], y: list[float], name: str, colour: str) -> Json:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": x,
        "y": y,
        "line": {"color": colour, "width": 2},
        "hovertext": [f"{name} {value:.3f}" for value in y],
        "hoverinfo": "text",
    }


def _curve(result: AlignmentResult) -> Figure:
    points = [point for point in result.curve if point.score is not None]
    line = _lines(
        [float(p.step) for p in points],
        [p.score or 0.0 for p in points],
        "mean recall at 1",
        "var(--arm-0)",
    )
    kept: Json = {
        "type": "line",
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "x0": result.best_step,
        "x1": result.best_step,
        "line": {"color": MUTED, "dash": "dot", "width": 1.5},
    }
    return Figure(
        data=[line],
        layout=layout_of(
            xaxis=plain_axis(title="step"),
            yaxis=plain_axis(title="mean recall at 1", tickformat=".0%", rangemode="tozero"),
            shapes=[kept],
            margin={"l": 60, "r": 16, "t": 12, "b": 44},
        ),
        height=280,
        summary="Held-out retrieval while learning; a dotted line at the weights that are kept.",
    )


def _progress(result: AlignmentResult) -> Figure:
    points = result.after.progress
    return Figure(
        data=[
            _lines(
                [(p.start + p.end) / 2 for p in points],
                [p.recall for p in points],
                "recall at 1",
                "var(--arm-0)",
            )
        ],
        layout=layout_of(
            xaxis=plain_axis(title="share of the episode", tickformat=".0%", range=[0, 1]),
            yaxis=plain_axis(title="vision → text", tickformat=".0%", range=[0, 1.02]),
            margin={"l": 60, "r": 16, "t": 12, "b": 44},
        ),
        height=280,
        summary="Recall at 1 from vision to text along the episodes.",
    )


def _short(label: str) -> str:
    label = label if len(label) <= LABEL_LENGTH else f"{label[: LABEL_LENGTH - 1]}…"
    return plotly_text(label)


def _similarity(matrix: SimilarityMatrix) -> Figure:
    count = len(matrix.labels)
    hover = [
        [
            f"{plotly_text(row)}<br>{plotly_text(column)}<br>{matrix.values[i][j]:.2f}"
            for j, column in enumerate(matrix.labels)
        ]
        for i, row in enumerate(matrix.labels)
    ]
    ticks = [_short(label) for label in matrix.labels]
    axis = {"tickvals": list(range(count)), "ticktext": ticks, "showgrid": False}
    heat: Json = {
        "type": "heatmap",
        "z": [list(row) for row in matrix.values],
        "colorscale": "Viridis",
        "hovertext": hover,
        "hoverinfo": "text",
        "colorbar": {"thickness": 10, "outlinewidth": 0, "tickfont": {"color": MUTED}},
    }
    return Figure(
        data=[heat],
        layout=layout_of(
            xaxis=plain_axis(title=NAMES[matrix.target], tickangle=90, **axis),
            yaxis=plain_axis(title=NAMES[matrix.query], autorange="reversed", **axis),
            margin={"l": 190, "r": 10, "t": 10, "b": 190},
        ),
        narrow={
            "xaxis": plain_axis(title=NAMES[matrix.target], showticklabels=False),
            "yaxis": plain_axis(
                title=NAMES[matrix.query], showticklabels=False, autorange="reversed"
            ),
            "margin": {"l": 30, "r": 10, "t": 10, "b": 30},
        },
        height=230 + 18 * count,
        summary=f"Mean cosine of {NAMES[matrix.query]} and {NAMES[matrix.target]} by instruction.",
    )


def _map(drawn: EmbeddingMap) -> Figure:
    data: list[Json] = []
    for modality in dict.fromkeys(drawn.modality):
        chosen = [i for i, name in enumerate(drawn.modality) if name == modality]
        colours = [f"var(--arm-{drawn.instruction[i] % NUM_COLOURS})" for i in chosen]
        is_text = modality == "language"
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": NAMES.get(modality, modality),
                "legendgroup": modality,
                "x": [drawn.x[i] for i in chosen],
                "y": [drawn.y[i] for i in chosen],
                "marker": {
                    "symbol": SYMBOLS.get(modality, "circle"),
                    "color": colours,
                    "size": 13 if is_text else 6,
                    "opacity": 1.0 if is_text else 0.65,
                    "line": {"width": 1.5 if is_text else 0, "color": INK},
                },
                "hovertext": [
                    f"{NAMES.get(modality, modality)}<br>"
                    f"{plotly_text(drawn.instructions[drawn.instruction[i]])}"
                    for i in chosen
                ],
                "hoverinfo": "text",
            }
        )
    axis: Json = {"showticklabels": False, "linecolor": AXIS}
    return Figure(
        data=data,
        layout=layout_of(
            xaxis=plain_axis(**axis),
            yaxis=plain_axis(scaleanchor="x", **axis),
            margin={"l": 8, "r": 8, "t": 8, "b": 8},
        ),
        height=420,
        summary=f"The embeddings {drawn.title} training, in the plane of their largest variance.",
    )
