"""What `plait transfer` does: ask every policy for what it was trained on, and for what it was not.

Everything goes to one folder, one file a cell; a call that finds cells done there goes on.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from plait.compare.cells import CELLS_FOLDER, claim_for_cells, play_jobs
from plait.compare.subjects import Subject
from plait.compare.transfer_cells import share_out
from plait.compare.transfer_plan import WAYS_TO_READ, Plan, TransferOptions
from plait.compare.workers import worker_count
from plait.errors import without_known_names
from plait.evaluation.transfer.challenges import num_shown_in, sentences_of
from plait.evaluation.transfer.reading import REFUSE
from plait.evaluation.transfer.scores import ArmCells, compare_all_losses, summarise_arm
from plait.report.text import counted, listing
from plait.report.transfer import write_transfer_report
from plait.results import describe_machine, save_result
from plait.results.transfer import FAMILIAR, ArmTransfer, Challenge, TransferCell, TransferResult

__all__ = ["TransferOptions", "transfer"]

RESULTS_FILE = "results.json"
REPORT_FILE = "report.html"
# With fewer scenes an interval is so wide that little can be told.
FEW_SCENES = 30


def transfer(
    options: TransferOptions, out: Path, *, command: str = "plait.transfer(...)"
) -> TransferResult:
    """Measure what is left of the success of some policies where they were shown nothing.

    Args:
        options: What is asked of whom.
        out: Folder of everything; a call that finds cells done there goes on from them.
        command: What was typed, for the record.

    Returns:
        The result, as saved in `out/results.json`; the report is `out/report.html`.

    Raises:
        PlaitError: Of the policies, the options or the output folder, before anything is played.
        KeyboardInterrupt: On Ctrl-C; finished cells are kept.
    """
    options.check()
    num_workers = worker_count(options.num_workers)
    plan = Plan(options)
    plan.check()
    claim_for_cells(out, plan.identity, "transfer test")
    jobs = share_out(plan.cells, plan.job(out), num_workers)
    play_jobs(jobs, "transfer, control steps")
    result = _result(plan, out, command)
    save_result(out / RESULTS_FILE, result)
    write_transfer_report(out / RESULTS_FILE, out / REPORT_FILE)
    return result


def _result(plan: Plan, out: Path, command: str) -> TransferResult:
    arms = _arms(plan, out)
    found = sorted((summarise_arm(arm) for arm in arms), key=_rank)
    cells = [cell for arm in arms for group in arm.cells.values() for cell in group]
    return TransferResult(
        command=command,
        sources=plan.options.sources,
        env=plan.shown.env,
        challenges=plan.challenges,
        arms=tuple(found),
        comparisons=compare_all_losses(arms),
        num_scenes=plan.options.num_episodes,
        num_shown=len(plan.shown.instructions) if plan.shown.are_recorded else 0,
        notes=tuple(_notes(plan, cells)),
        settings={**plan.identity, "cells": CELLS_FOLDER},
        total_seconds=sum(cell.seconds for cell in cells),
        machine=describe_machine(),
    )


def _arms(plan: Plan, out: Path) -> list[ArmCells]:
    """Read every cell, arm by arm; those that were refused hold the reason alone."""
    played = {(cell.subject, cell.challenge): cell for cell in plan.cells}
    arms: dict[str, list[Subject]] = {}
    for subject in sorted(plan.subjects, key=lambda each: each.seed):
        arms.setdefault(subject.arm, []).append(subject)

    def cell(subject: Subject, challenge: Challenge) -> TransferCell:
        if (subject, challenge) in played:
            return played[subject, challenge].read(out)
        refusal = plan.refusals[subject, challenge]
        return TransferCell(
            arm=subject.arm, seed=subject.seed, challenge=challenge, refusal=refusal
        )

    return [
        ArmCells(
            name,
            subjects[0].fusion,
            subjects[0].control,
            {each: [cell(subject, each) for subject in subjects] for each in plan.challenges},
        )
        for name, subjects in arms.items()
    ]


def _rank(arm: ArmTransfer) -> tuple[bool, float, str]:
    """Sort strategies before controls, and by success on what was trained."""
    success = arm.scores[0].success
    return arm.control is not None, -(success.rate if success else 0.0), arm.arm


def _notes(plan: Plan, cells: Sequence[TransferCell]) -> list[str]:
    """Say what could not be judged, and what to doubt."""
    return [
        *_refusals(cells),
        *_words_left_out(plan),
        *_overlaps(plan),
        *_doubts(plan),
    ]


def _refusals(cells: Sequence[TransferCell]) -> list[str]:
    """Say which strategies were not judged where, and why."""
    reasons: dict[str, dict[str, str]] = {}
    for cell in cells:
        if cell.refusal:
            reason = without_known_names(cell.refusal)
            reasons.setdefault(cell.arm, {}).setdefault(cell.challenge.env, reason)
    alike: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for arm, refused in reasons.items():
        alike.setdefault(tuple(refused.items()), []).append(arm)
    sentences = [
        f"Not judged: {listing(arms)} {'refuses' if len(arms) == 1 else 'refuse'} what is said in "
        f"{listing([f'{env} ({reason})' for env, reason in refused])}."
        for refused, arms in alike.items()
    ]
    return [*sentences, f"To judge that: {WAYS_TO_READ}."] if sentences else []


def _words_left_out(plan: Plan) -> list[str]:
    if plan.options.unknown_words == REFUSE:
        return []
    return [
        "Words that a policy does not know were left out of its instructions, where its encoder "
        "reads whole words: what is left may name no object, and guessing then succeeds by chance."
    ]


def _overlaps(plan: Plan) -> list[str]:
    """Say where a suite that is called held out asks for what the demonstrations show."""
    sentences = []
    for challenge in plan.challenges:
        is_variant = "-" in challenge.env
        if challenge.relation == FAMILIAR and is_variant:
            shown = num_shown_in(challenge.env, plan.shown)
            asked = counted(len(sentences_of(challenge.env)), "instruction")
            sentences.append(
                f"{challenge.env} counts as familiar: {shown} of its {asked} were in the "
                "demonstrations."
            )
    if not plan.shown.are_recorded:
        sentences.append(
            "The demonstrations were not at hand: all that "
            f"{plan.shown.env} may ask for counts as shown."
        )
    return sentences


def _doubts(plan: Plan) -> list[str]:
    sentences = []
    if plan.options.num_episodes < FEW_SCENES:
        sentences.append(
            f"Only {counted(plan.options.num_episodes, 'scene')} a challenge: the intervals are "
            "wide, and small differences mean nothing."
        )
    seeds = Counter(subject.arm for subject in plan.subjects)
    if min(seeds.values()) < 2:
        sentences.append(
            "Where a strategy was trained with one seed, how far another training would move "
            "these numbers is unknown, and the intervals do not cover it."
        )
    return sentences
