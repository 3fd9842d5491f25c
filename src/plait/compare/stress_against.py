"""What a policy under stress is compared with: other policies, trained otherwise.

They are named on the command line as policies, as runs, as whole comparisons of `plait compare`,
or as folders of stress tests that are finished.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from plait.compare.arm import RESULT_FILE
from plait.compare.cells import CELLS_FOLDER, PLAN_FILE
from plait.compare.stress_cells import RESULTS_FILE, cell_file
from plait.compare.training_options import Difference, differences, names_of, read_training
from plait.config import RunConfig
from plait.errors import DataError, OptionError
from plait.evaluation.stress.options import Trained, compare_options
from plait.evaluation.stress.policies import is_own, policy_fingerprint
from plait.results import RETRIEVAL, Comparison, RunResult, load_result
from plait.results.options import Option, OptionComparison
from plait.results.stress import Cell, Condition
from plait.training.run import POLICY_FOLDER

POLICY_FILE = "policy.json"
RIVALS_FOLDER = "against"
# What must be the same for cells to be of the same scenes, or of the same held-out episodes.
SAME_SCENES = ("env", "episodes", "seed", "execution_horizon")
SAME_EPISODES = ("data_fingerprint",)


@dataclass(frozen=True)
class Rival:
    """A policy to compare with.

    Attributes:
        policy: Folder, or `module:function`.
        fingerprint: Of the policy.
        folder: Of its stress test.
        identity: That a finished stress test was made with; None where it is still to be played.
    """

    policy: str
    fingerprint: str
    folder: Path
    identity: Mapping[str, Any] | None = None


def find_rivals(names: Sequence[str], out: Path, identity: Mapping[str, Any]) -> list[Rival]:
    """Find the policies to compare with; the policy under stress itself is none.

    Args:
        names: Policies, runs, comparisons, or finished stress tests.
        out: Folder of the stress test; those of rivals go below it.
        identity: Of the stress test.

    Raises:
        OptionError: If a name is none of these, or a finished stress test is of other scenes.
        DataError: If a result or a plan is unreadable.
    """
    found: dict[str, Rival] = {}
    for name in names:
        for rival in _named(name, out):
            if rival.fingerprint != identity["policy_fingerprint"]:
                found.setdefault(rival.fingerprint, rival)
    if names and not found:
        raise OptionError(
            f"there is nothing to compare {identity['policy']} with: {', '.join(names)} holds no "
            "other policy"
        )
    for rival in found.values():
        _require_same(rival, identity)
    return list(found.values())


def _named(name: str, out: Path) -> list[Rival]:
    path = Path(name)
    if is_own(name) or (path / POLICY_FILE).exists():
        return [_to_play(name, out)]
    if (path / POLICY_FOLDER / POLICY_FILE).exists():
        return [_to_play(str(path / POLICY_FOLDER), out)]
    if (path / CELLS_FOLDER).is_dir() and (path / PLAN_FILE).exists():
        return [_finished(path)]
    if (path / RESULTS_FILE).exists():
        comparison = load_result(path / RESULTS_FILE, Comparison)
        runs = [path / folder for folder in comparison.runs]
        return [_to_play(str(run / POLICY_FOLDER), out) for run in runs if _can_be_stressed(run)]
    raise OptionError(
        f"{name} is no policy, run or comparison, and no finished stress test; name one of them, "
        "or module:function, with --against"
    )


def _can_be_stressed(run: Path) -> bool:
    """Leave out controls, which miss a modality on purpose, and retrieval, which is no policy."""
    result = load_result(run / RESULT_FILE, RunResult)
    return result.control is None and result.fusion != RETRIEVAL


def _to_play(policy: str, out: Path) -> Rival:
    fingerprint = policy_fingerprint(policy)
    parts = [policy] if is_own(policy) else Path(policy).absolute().parts[-3:]
    name = re.sub(r"[^\w.-]+", "-", "-".join([*parts, *([] if is_own(policy) else [fingerprint])]))
    return Rival(policy, fingerprint, out / RIVALS_FOLDER / name)


def _finished(folder: Path) -> Rival:
    path = folder / PLAN_FILE
    try:
        identity = json.loads(path.read_text(encoding="utf-8"))
        return Rival(identity["policy"], identity["policy_fingerprint"], folder, identity)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(path, f"unreadable ({error})", "the plan of a stress test") from error


def _require_same(rival: Rival, identity: Mapping[str, Any]) -> None:
    """Refuse a finished stress test of other scenes, another environment or other demonstrations.

    Raises:
        OptionError: Naming what differs.
    """
    theirs = rival.identity
    if theirs is None:
        return
    loops = {"env": SAME_SCENES, "data": SAME_EPISODES}
    shared = [loop for loop in loops if identity[loop] and theirs.get(loop)]
    if not shared:
        raise OptionError(
            f"{rival.folder} and {identity['policy']} were stressed in different loops: one in an "
            "environment, the other on demonstrations alone"
        )
    for key in (key for loop in shared for key in loops[loop]):
        if theirs.get(key) != identity[key]:
            raise OptionError(
                f"{rival.folder} cannot be compared: its {key.replace('_', ' ')} is "
                f"{theirs.get(key)!r}, but that of {identity['policy']} is {identity[key]!r}; name "
                "its policy with --against, and it is played in the same scenes"
            )


def compare_with(
    rivals: Sequence[Rival],
    own: Rival,
    conditions: Sequence[Condition],
    loop: str,
    trivial: float | None,
) -> OptionComparison | None:
    """Compare the policy under stress with the others, in one loop.

    Args:
        rivals: With all that is to be played, played.
        own: The policy under stress.
        conditions: That were played with it.
        loop: `closed` or `open`.
        trivial: Error of always predicting the mean action, in open loop.

    Returns:
        None where one of them was not played in this loop.

    Raises:
        OptionError: If all were trained alike, or the scenes are too few.
    """
    played = [_cells(each.folder, loop, conditions) for each in (own, *rivals)]
    if not all(played):
        return None
    trained, notes = _grouped([own, *rivals], played)
    if len(trained) < 2:
        raise OptionError(
            f"no training option is compared: all policies were trained like {own.policy}, but for "
            "the seed"
        )
    found = compare_options(trained, conditions, loop, trivial=trivial)
    return replace(found, notes=(*notes, *found.notes))


def _cells(folder: Path, loop: str, conditions: Sequence[Condition]) -> dict[str, Cell]:
    files = {each.key: cell_file(folder, loop, each) for each in conditions}
    return {key: load_result(file, Cell) for key, file in files.items() if file.exists()}


def _grouped(
    rivals: Sequence[Rival], played: Sequence[Mapping[str, Cell]]
) -> tuple[list[Trained], list[str]]:
    """Put the seeds of one training together, the first policy's first, and name each training."""
    trainings = [_training(each) for each in rivals]
    base = trainings[0]
    groups: dict[tuple[str, ...], list[int]] = {(): []}
    changes: dict[tuple[str, ...], list[Difference]] = {(): []}
    notes = []
    for index, (rival, training) in enumerate(zip(rivals, trainings, strict=True)):
        found: list[Difference] = []
        if index and (training is None or base is None):
            found = [Difference(rival.policy, "")]
        elif index and training is not None and base is not None:
            found = differences(training, base)
        if training is None:
            notes.append(
                f"How {rival.policy} was trained is not known: there is no config.json beside it."
            )
        key = tuple(each.full or each.short for each in found)
        groups.setdefault(key, []).append(index)
        changes[key] = found
    names = [rivals[0].policy, *names_of([each for each in changes.values() if each])]
    trained = [
        Trained(
            Option(
                name=name,
                changes=tuple(each.full for each in changes[key] if each.full),
                policies=tuple(rivals[index].policy for index in members),
            ),
            tuple(played[index] for index in members),
        )
        for name, (key, members) in zip(names, groups.items(), strict=True)
    ]
    return trained, notes


def _training(rival: Rival) -> RunConfig | None:
    return None if is_own(rival.policy) else read_training(rival.policy)
