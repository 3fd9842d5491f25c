"""The suites by their names here, known without the benchmark's package.

`spatial`, `object`, `goal`, `10` and `90` are LIBERO's own. `object-lan` and the like are those of
LIBERO-PRO (Zhou et al., 2025): the tasks of a suite with one thing changed. `spatial/3` is the task
of that number alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from plait.errors import UnknownNameError

# Control steps that a policy has, by the suite that its tasks come from: those of OpenVLA, LeRobot
# and others since, each a little longer than the longest demonstration.
MAX_STEPS: Mapping[str, int] = {"spatial": 280, "object": 280, "goal": 300, "10": 520, "90": 400}
NUM_TASKS: Mapping[str, int] = {"spatial": 10, "object": 10, "goal": 10, "10": 10, "90": 90}
# What LIBERO-PRO changes, by the ending of the suite's name.
LANGUAGE, OBJECT, SWAP, TASK = "lan", "object", "swap", "task"
CHANGES: Mapping[str, str] = {
    LANGUAGE: "the sentence is said in other words",
    OBJECT: "the objects look different or have another size",
    SWAP: "objects have changed places",
    TASK: "the sentence asks for something else in the same scene",
}
CHANGED = ("spatial", "object", "goal", "10")


@dataclass(frozen=True)
class Suite:
    """Tasks that are played together.

    Attributes:
        name: Such as `spatial`, `object-lan`, `goal/3`.
        base: The suite of LIBERO that the tasks are in or were made from.
        change: What LIBERO-PRO changed; empty for LIBERO's own.
        number: Of the one task; None for all.
    """

    name: str
    base: str
    change: str = ""
    number: int | None = None

    @property
    def folder(self) -> str:
        """Its name in the benchmark."""
        return f"libero_{self.base}_{self.change}" if self.change else f"libero_{self.base}"

    @property
    def max_steps(self) -> int:
        """Control steps that a policy has."""
        return MAX_STEPS[self.base]

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of its tasks in the benchmark's order."""
        every = tuple(range(NUM_TASKS[self.base]))
        return every if self.number is None else (self.number,)


SUITES: Mapping[str, Suite] = {
    **{base: Suite(base, base) for base in MAX_STEPS},
    **{
        f"{base}-{change}": Suite(f"{base}-{change}", base, change)
        for base in CHANGED
        for change in CHANGES
    },
}


def find_suite(name: str) -> Suite | None:
    """Return the suite, or the one task, of a name; None where there is none."""
    start, slash, number = name.partition("/")
    suite = SUITES.get(start)
    if suite is None or not slash:
        return suite
    # `03`, `٣` and the like would be further names of the same task.
    known = {str(known): known for known in suite.numbers}
    if number not in known:
        return None
    return Suite(name, suite.base, suite.change, known[number])


def suite_named(name: str) -> Suite:
    """Return the suite, or the one task, of a name.

    Raises:
        UnknownNameError: If there is none.
    """
    suite = find_suite(name)
    if suite is None:
        hint = "A single task is named by its number, e.g. spatial/3"
        raise UnknownNameError("LIBERO suite", name, SUITES, hint=hint)
    return suite
