"""Which policies are put to a test: all of a comparison, single ones, or both, and their record.

The record says what they were trained on. A comparison keeps it in its results; for a policy of
`plait train` it is read off the demonstrations that its `config.json` names.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plait.compare.arm import RESULT_FILE
from plait.compare.plan import PLAN_FILE
from plait.compare.settings import CONTROLS
from plait.compare.sweep import RESULTS_FILE
from plait.config import RunConfig, from_dict
from plait.data.lerobot.format import INFO_FILE
from plait.data.lerobot.reader import LeRobotReader
from plait.errors import CheckpointError, DataError, OptionError, PlaitError, without_known_names
from plait.evaluation.stress.policies import is_own
from plait.evaluation.transfer.challenges import Shown, guess_env, shown_by
from plait.results import Comparison, RunResult, load_result
from plait.training.run import CONFIG_FILE, POLICY_FOLDER

NO_RECORD = (
    "name the environment of its demonstrations by --trained-on, which then stands for all that "
    "it was shown"
)
SINGLY = "Policies that were judged elsewhere can be named one by one: runs/ARM/seed-0/policy ..."


@dataclass(frozen=True)
class Subject:
    """One policy that is put to the test; picklable.

    Attributes:
        arm: Name of its row; policies of one arm differ in their training seed.
        fusion: Name of the strategy; empty for a policy of the user's own.
        control: None, or the key of a control.
        seed: Training seed.
        policy: Folder, or `module:function`.
    """

    arm: str
    fusion: str
    control: str | None
    seed: int
    policy: str

    @property
    def masked(self) -> tuple[str, ...]:
        """Modalities hidden from it."""
        return CONTROLS[self.control] if self.control else ()


@dataclass(frozen=True)
class Record:
    """What is known of where some policies come from.

    Attributes:
        subjects: The policies.
        env: Environment they were trained on; None where nothing says so.
        instructions: Of the demonstrations; empty where they are not at hand.
        execution_horizon: Steps executed before a look in their own evaluation, if they had one.
    """

    subjects: tuple[Subject, ...]
    env: str | None
    instructions: tuple[str, ...]
    execution_horizon: int | None = None


def find_subjects(sources: Sequence[str], trained_on: str | None) -> tuple[Record, Shown]:
    """Find all policies, and what they were trained on.

    Args:
        sources: Folders of comparisons or policies, or `module:function`.
        trained_on: Environment of the demonstrations, where the user names it.

    Raises:
        PlaitError: If a source is neither, has no record of its training, or was trained on
            another environment than the others.
    """
    names = _short_names([source for source in sources if not _is_comparison(source)])
    records = [
        _of_comparison(Path(source)) if _is_comparison(source) else _of_policy(source, names)
        for source in dict.fromkeys(sources)
    ]
    env = _common_env(records, sources, trained_on)
    subjects = [subject for record in records for subject in record.subjects]
    _refuse_repeats(subjects)
    horizons = {record.execution_horizon for record in records}
    instructions = tuple(dict.fromkeys(t for record in records for t in record.instructions))
    # What one policy was shown is only known for all where it is known for each.
    is_known = all(record.instructions for record in records)
    shown = shown_by(env, instructions if is_known else ())
    horizon = horizons.pop() if len(horizons) == 1 else None
    return Record(tuple(subjects), env, instructions, horizon), shown


def _is_comparison(source: str) -> bool:
    return (Path(source) / RESULTS_FILE).exists()


def _of_comparison(folder: Path) -> Record:
    try:
        comparison = load_result(folder / RESULTS_FILE, Comparison)
    except DataError as error:
        raise DataError(
            folder,
            f"no comparison in an environment ({without_known_names(str(error))})",
            "the folder of one",
            SINGLY,
        ) from error
    subjects = []
    for run in comparison.runs:
        found = load_result(folder / run / RESULT_FILE, RunResult)
        path = str(folder / run / POLICY_FOLDER)
        subjects.append(Subject(found.arm, found.fusion, found.control, found.seed, path))
    horizon = comparison.settings.get("execution_horizon")
    return Record(tuple(subjects), comparison.env, comparison.dataset.tasks, horizon)


def _of_policy(source: str, names: dict[str, str]) -> Record:
    if is_own(source):
        return Record((Subject(source, "", None, 0, source),), None, ())
    folder = Path(source)
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder; expected a comparison or a saved policy")
    if (folder / PLAN_FILE).exists():
        raise CheckpointError(
            f"{folder} holds no finished comparison ({RESULTS_FILE} is missing); run the same "
            "plait compare again to finish it"
        )
    if (folder / POLICY_FOLDER).is_dir():
        raise CheckpointError(
            f"{folder} is the folder of a training; name the policy in it: {folder / POLICY_FOLDER}"
        )
    run = _read_run(folder.parent / CONFIG_FILE)
    if run is None:
        return Record((Subject(names[source], "", None, 0, source),), None, ())
    control = next((key for key, masked in CONTROLS.items() if masked == run.masked), None)
    subject = Subject(names[source], run.policy.fusion.name, control, run.training.seed, source)
    instructions = _instructions(Path(run.data.path))
    return Record((subject,), guess_env(instructions) if instructions else None, instructions)


def _read_run(path: Path) -> RunConfig | None:
    """Read how a policy was trained; None where nothing says so."""
    if not path.exists():
        return None
    try:
        return from_dict(RunConfig, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, PlaitError) as error:
        raise DataError(path, f"unreadable ({error})", "the settings of a training") from error


def _instructions(data: Path) -> tuple[str, ...]:
    """Read the instructions of demonstrations; none where they are not there any more."""
    if not (data / INFO_FILE).exists():
        return ()
    return tuple(dict.fromkeys(text for text in LeRobotReader.open(data).tasks if text))


def _common_env(records: Sequence[Record], sources: Sequence[str], trained_on: str | None) -> str:
    """Return the environment that all were trained on.

    Raises:
        OptionError: If they differ, or it is not known.
    """
    if trained_on is not None:
        return trained_on
    envs: dict[str, str] = {}
    for record, source in zip(records, dict.fromkeys(sources), strict=True):
        if record.env is None:
            raise OptionError(f"nothing says what {source} was trained on; {NO_RECORD}")
        envs.setdefault(record.env, source)
    if len(envs) > 1:
        told = " and ".join(f"{source} on {env}" for env, source in envs.items())
        raise OptionError(
            f"the policies were trained on different environments ({told}); what is lost can only "
            "be compared from the same start. Test them apart"
        )
    return next(iter(envs))


def _refuse_repeats(subjects: Sequence[Subject]) -> None:
    known = set[tuple[str, int]]()
    for subject in subjects:
        if (subject.arm, subject.seed) in known:
            raise OptionError(
                f"two policies are called {subject.arm!r}, seed {subject.seed}; their results "
                "could not be told apart. Test them apart"
            )
        known.add((subject.arm, subject.seed))


def _short_names(policies: Sequence[str]) -> dict[str, str]:
    """Name policies by the shortest ends of their paths that tell them apart."""
    parts = {each: _telling_parts(each) for each in policies}
    for length in range(1, max(map(len, parts.values()), default=1) + 1):
        names = {each: "/".join(path[-length:]) for each, path in parts.items()}
        if len(set(names.values())) == len(names):
            break
    return names if policies else {}


def _telling_parts(policy: str) -> list[str]:
    """Return the parts of a path without those that every training has."""
    parts = [part for part in Path(policy).parts if part != POLICY_FOLDER]
    if len(parts) > 1 and re.fullmatch(r"seed-\d+", parts[-1]):
        parts[-2:] = ["/".join(parts[-2:])]
    return parts or [policy]
