"""Are the instructions there, used, and each written in one way?"""

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

from plait.data.survey import EpisodeRecord, Rows
from plait.data.survey.rows import MISSING
from plait.results.inspection import ERROR, NOTE, WARNING, Finding, InstructionCount
from plait.wording import counted, few, some

TABLE = "task table"


def count_instructions(rows: Rows, tasks: Mapping[int, str]) -> tuple[InstructionCount, ...]:
    """Count episodes and steps of every instruction, the commonest first."""
    steps, episodes = Counter[str](), Counter[str]()
    for _, part in rows.slices():
        indices, numbers = np.unique(rows.task_index[part], return_counts=True)
        texts = [tasks.get(int(index), "") for index in indices]
        steps.update(dict(zip(texts, numbers.tolist(), strict=True)))
        episodes.update(set(texts))
    ordered = sorted(episodes, key=lambda text: (-episodes[text], text))
    return tuple(
        InstructionCount(text=text, num_episodes=episodes[text], num_steps=steps[text])
        for text in ordered
    )


def check_instructions(
    rows: Rows, tasks: Mapping[int, str], records: Mapping[int, EpisodeRecord]
) -> Iterator[Finding]:
    """Check the table of instructions against itself and the rows."""
    used = set(np.unique(rows.task_index).tolist())
    yield from _check_untold(rows)
    unknown = sorted(used - set(tasks) - {MISSING})
    if unknown:
        is_unknown = np.isin(rows.task_index, unknown)
        yield Finding(
            severity=ERROR,
            where=some("episode", np.unique(rows.episode_index[is_unknown]).tolist()),
            found=f"In {counted(int(is_unknown.sum()), 'row')} the task is {few(unknown)}, which "
            "the task table does not have.",
            todo="Add the instruction to the table, or correct task_index.",
        )
    yield from _check_empty(rows, tasks)
    unused = [index for index in sorted(tasks) if index not in used]
    if unused:
        yield Finding(
            severity=NOTE,
            where=TABLE,
            found=f"{counted(len(unused), 'instruction')} without any step: "
            f"{few([repr(tasks[index]) for index in unused])}.",
            todo="Nothing, unless episodes of it should be here.",
        )
    yield from _check_spelling(tasks)
    yield from _check_records(rows, tasks, records)


def _check_untold(rows: Rows) -> Iterator[Finding]:
    untold = rows.task_index == MISSING
    if untold.any():
        yield Finding(
            severity=WARNING if untold.all() else NOTE,
            where=some("episode", np.unique(rows.episode_index[untold]).tolist()),
            found=f"In {counted(int(untold.sum()), 'row')} no instruction was recorded.",
            todo="Nothing, if it is meant so: Plait masks language where it is absent.",
        )


def _check_empty(rows: Rows, tasks: Mapping[int, str]) -> Iterator[Finding]:
    empty = [index for index, text in tasks.items() if not text.strip()]
    is_empty = np.isin(rows.task_index, empty)
    if is_empty.any():
        yield Finding(
            severity=WARNING,
            where=some("episode", np.unique(rows.episode_index[is_empty]).tolist()),
            found=f"In {counted(int(is_empty.sum()), 'step')} the instruction is empty.",
            todo="Write what was done, or train without language.",
        )


def _check_spelling(tasks: Mapping[int, str]) -> Iterator[Finding]:
    """Look for instructions that differ in nothing but case, spaces and the full stop."""
    alike: dict[str, list[str]] = {}
    for text in tasks.values():
        key = " ".join(text.lower().split()).rstrip(" .!")
        alike.setdefault(key, []).append(text)
    for key, texts in alike.items():
        if len(texts) > 1 and key:
            yield Finding(
                severity=WARNING,
                where=TABLE,
                found=f"One instruction in {len(texts)} spellings: "
                f"{few([repr(text) for text in texts])}.",
                todo="Write it in one way; otherwise counts, splits and retrieval take it for "
                "several.",
            )


def _check_records(
    rows: Rows, tasks: Mapping[int, str], records: Mapping[int, EpisodeRecord]
) -> Iterator[Finding]:
    differing = []
    for episode, part in rows.slices():
        told = set(records[episode].tasks) if episode in records else set()
        indices = np.unique(rows.task_index[part]).tolist()
        given = {tasks[index] for index in indices if index in tasks}
        if told and not given <= told:
            differing.append(episode)
    if differing:
        yield Finding(
            severity=ERROR,
            where=some("episode", differing),
            found=f"{counted(len(differing), 'episode')} whose rows name another instruction than "
            "the table of the episodes.",
            todo="Find out which of the two is right: language would be learned wrong.",
        )
