"""What the measures of `plait inspect --shortcuts` mean, in plain words, and its two tables."""

from rich import box
from rich.table import Table
from rich.text import Text

from plait.report import text
from plait.results import Estimate
from plait.results.shortcuts import (
    BY_SCENE,
    CAN_IGNORE,
    CANNOT_IGNORE,
    FIRST_IMAGE,
    FIRST_STEP,
    NETWORK,
    NOT_JUDGED,
    ExplainedActions,
    InstructionProbe,
    LanguageGain,
    ShortcutMeasures,
    Verdict,
)

# An instruction that is told in this share of the episodes, at the least that the interval allows,
# is told; a policy that guesses it is rarely punished.
DETERMINED = 0.8
# What another seed of so small a network might give is not counted as a gain.
LEAST_GAIN = 0.02
NEARLY_ALL = 0.9
CAN = "A policy trained on this data can ignore its instruction: "
CANNOT = "A policy trained on this data cannot ignore its instruction: "
UNKNOWN = (
    "Whether a policy trained on this data can ignore its instruction cannot be judged, because "
)


def judge_shortcuts(measures: ShortcutMeasures) -> Verdict:
    """Say whether language can be ignored, and why."""
    prediction, counts = measures.prediction, measures.episodes_by_instruction
    if len(counts) < 2:
        return Verdict(kind=CAN_IGNORE, sentence=CAN + _nothing_said(measures))
    if prediction.reason:
        return Verdict(kind=NOT_JUDGED, sentence=f"{UNKNOWN}{prediction.reason}.")
    best = max(prediction.probes, key=lambda probe: probe.accuracy.low)
    if best.accuracy.low >= DETERMINED:
        return Verdict(kind=CAN_IGNORE, sentence=CAN + _told(best, measures))
    helpful = _helpful(measures)
    if helpful and best.accuracy.high >= DETERMINED:
        return Verdict(kind=NOT_JUDGED, sentence=UNKNOWN + _two_ways(helpful, best, measures))
    if helpful:
        sentence = f"{CANNOT}{_gain(helpful)}, and {_probe(best)}."
        return Verdict(kind=CANNOT_IGNORE, sentence=sentence)
    without = _explained_without(measures)
    if without is not None and without.every_step.low >= NEARLY_ALL:
        sentence = (
            f"{CAN}images and state alone explain {_shares(without.every_step)} of the variance of "
            "held-out actions, and knowing it adds nothing that could be measured."
        )
        return Verdict(kind=CAN_IGNORE, sentence=sentence)
    return Verdict(kind=NOT_JUDGED, sentence=UNKNOWN + _neither(best, measures))


def _nothing_said(measures: ShortcutMeasures) -> str:
    episodes = text.counted(measures.num_episodes, "episode")
    if not measures.episodes_by_instruction:
        return f"none of the {episodes} has one."
    return f"all {episodes} have the same one, so nothing in the data can teach it to listen."


def _told(best: InstructionProbe, measures: ShortcutMeasures) -> str:
    number = measures.prediction.num_instructions
    return (
        f"the {best.source} alone tells which of the {number} instructions it is, in "
        f"{_shares(best.accuracy)} of the held-out episodes."
    )


def _helpful(measures: ShortcutMeasures) -> tuple[str, Estimate] | None:
    """Return the larger of the gains that are certain, and over which steps it is measured."""
    gains = [
        (stretch, estimate)
        for gain in measures.gains
        for stretch, estimate in _stretches(gain).items()
        if gain.model == NETWORK and estimate.low > LEAST_GAIN
    ]
    return max(gains, key=lambda one: one[1].low, default=None)


def _stretches(row: ExplainedActions | LanguageGain) -> dict[str, Estimate]:
    return {"over whole episodes": row.every_step, f"at the {FIRST_STEP}": row.first_step}


def _gain(helpful: tuple[str, Estimate]) -> str:
    stretch, gain = helpful
    return (
        f"told it, a small network explains {100 * gain.value:.0f} points "
        f"({100 * gain.low:.0f} to {100 * gain.high:.0f}) more of the variance of held-out actions "
        f"{stretch} than from images and state alone"
    )


def _probe(best: InstructionProbe) -> str:
    return f"the {best.source} gives it away in only {_shares(best.accuracy)} of the episodes"


def _two_ways(
    helpful: tuple[str, Estimate], best: InstructionProbe, measures: ShortcutMeasures
) -> str:
    return (
        f"{_gain(helpful)}, yet the {best.source} gives it away in {_shares(best.accuracy)} of "
        f"{measures.prediction.num_test_episodes} held-out episodes, too few to tell whether that "
        "is nearly always."
    )


def _neither(best: InstructionProbe, measures: ShortcutMeasures) -> str:
    found = (
        f"the {best.source} gives the instruction away in {_shares(best.accuracy)} of the "
        f"{measures.prediction.num_test_episodes} held-out episodes, which is not nearly always"
    )
    if not measures.actions:
        return f"{found}, and no action ever changes."
    return (
        f"{found}, yet knowing it helps the small network by less than can be told from chance. "
        "Either the instruction matters little to the actions, or there are too few episodes."
    )


def _explained_without(measures: ShortcutMeasures) -> ExplainedActions | None:
    rows = [row for row in measures.actions if "instruction" not in row.inputs]
    return max(rows, key=lambda row: row.every_step.low, default=None)


def conclude_shortcuts(measures: ShortcutMeasures) -> list[str]:
    """Say what was found besides the verdict, one sentence a finding."""
    return [_counts(measures), _scenes(measures), *_prediction(measures), *_actions(measures)]


def _counts(measures: ShortcutMeasures) -> str:
    counts = list(measures.episodes_by_instruction.values())
    episodes = text.counted(measures.num_episodes, "episode")
    if len(counts) < 2:
        return f"{episodes}, {text.counted(len(counts), 'instruction')}."
    return (
        f"{episodes}, {text.counted(len(counts), 'instruction')} of {counts[-1]} to {counts[0]} "
        "episodes each."
    )


def _scenes(measures: ShortcutMeasures) -> str:
    scenes = measures.scenes
    if not scenes.num_repeated:
        sentence = (
            f"No two of the {text.counted(measures.num_episodes, 'first frame')} are "
            f"near-identical (no cell of a 16 × 16 grid differs by more than {scenes.tolerance:g} "
            "of 255), so no scene is seen under two instructions."
        )
    else:
        several = sum(n for number, n in scenes.scenes_by_instructions.items() if int(number) > 1)
        sentence = (
            f"There are {text.counted(scenes.num_scenes, 'distinct scene')}, "
            f"{scenes.num_repeated:,} of them in more than one episode; {several:,} have more "
            f"than one instruction, and {text.percent(scenes.shared_episodes)} of the episodes lie "
            "there."
        )
    if len(measures.episodes_by_instruction) < 2 or not scenes.num_neighbours:
        return sentence
    return (
        f"{sentence} A first frame and the {scenes.num_neighbours} most like it have "
        f"{scenes.neighbour_instructions:.1f} instructions between them; a neighbour has the same "
        f"one in {text.percent(scenes.neighbours_alike)}, where chance gives "
        f"{text.percent(scenes.neighbours_chance)}."
    )


def _prediction(measures: ShortcutMeasures) -> list[str]:
    prediction = measures.prediction
    if prediction.reason:
        return [f"Predicting the instruction is not judged: {prediction.reason}."]
    images = [probe for probe in prediction.probes if probe.source == FIRST_IMAGE]
    best = max(images, key=lambda probe: probe.accuracy.low)
    found = f"From the first image it is told in {_shares(best.accuracy)} by the better probe"
    chance = f"always naming the commonest gives {text.percent(prediction.majority)}"
    if best.accuracy.low >= DETERMINED:
        verdict = "so the image decides what is asked for"
    elif best.accuracy.low > prediction.majority:
        verdict = "so the image narrows it down and does not decide it"
    else:
        verdict = "so the image tells nothing that these probes can see"
    held = "scenes that no training episode shows"
    if measures.split_by != BY_SCENE:
        held = "episodes whose scenes may have been learned from, for there are too few scenes"
    return [f"{found}; {chance}, {verdict}. Measured on {held}."]


def _actions(measures: ShortcutMeasures) -> list[str]:
    best = _explained_without(measures)
    if best is None:
        return ["No action ever changes, so there is no variance to explain."]
    found = (
        f"Without the instruction, {_shares(best.every_step)} of the variance of held-out actions "
        f"is explained at best, from {best.inputs} by the {best.model}."
    )
    return [found, *(_added(gain) for gain in measures.gains)]


def _added(gain: LanguageGain) -> str:
    every, first = gain.every_step, gain.first_step
    return (
        f"To images and state in the {gain.model}, the instruction adds {_points(every)} points, "
        f"and {_points(first)} at the first step of an episode."
    )


PREDICTION_HEADINGS = ("from", "by", "right", "95 % interval")
ACTION_HEADINGS = ("from", "by", "every step", "95 % interval", FIRST_STEP, "95 % interval")


def prediction_rows(measures: ShortcutMeasures) -> list[tuple[str, ...]]:
    """Write how often each probe names the instruction, against chance; nothing if not judged."""
    prediction = measures.prediction
    if not prediction.probes:
        return []
    probes = [
        (probe.source, probe.model, text.percent(probe.accuracy.value), _interval(probe.accuracy))
        for probe in prediction.probes
    ]
    chance = {"commonest": prediction.majority, "uniform": prediction.uniform}
    return [*probes, *(("nothing", by, text.percent(share), "") for by, share in chance.items())]


def action_rows(measures: ShortcutMeasures) -> list[tuple[str, ...]]:
    """Write how much of the variance of actions is explained from what."""
    explained = [
        (row.inputs, row.model, *_cells(row.every_step), *_cells(row.first_step))
        for row in measures.actions
    ]
    gains = [
        ("gain by the instruction", gain.model, *_cells(gain.every_step), *_cells(gain.first_step))
        for gain in measures.gains
    ]
    return [*explained, *gains]


def prediction_table(measures: ShortcutMeasures) -> Table:
    """Lay out how often each probe names the instruction, against chance."""
    prediction = measures.prediction
    title = (
        f"the instruction, one of {prediction.num_instructions}, named on "
        f"{prediction.num_test_episodes} held-out episodes"
    )
    return _table(title, PREDICTION_HEADINGS, prediction_rows(measures))


def actions_table(measures: ShortcutMeasures) -> Table:
    """Lay out how much of the variance of actions is explained from what."""
    title = "variance of held-out action chunks explained (R² in %)"
    return _table(title, ACTION_HEADINGS, action_rows(measures))


def _table(title: str, headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, title=Text(title))
    table.title_justify = "left"
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number < 2 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _cells(estimate: Estimate) -> tuple[str, str]:
    low, high = text.points(estimate.low), text.points(estimate.high)
    return text.points(estimate.value), f"{low} to {high}"


def _points(estimate: Estimate) -> str:
    value, interval = _cells(estimate)
    return f"{value} ({interval})"


def _interval(estimate: Estimate) -> str:
    return f"{text.percent(estimate.low)} to {text.percent(estimate.high)}"


def _shares(estimate: Estimate) -> str:
    return f"{text.percent(estimate.value)} ({_interval(estimate)})"
