"""The tasks of a suite, as the benchmark's package holds them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from plait.envs.libero.requirements import import_libero
from plait.envs.libero.suites import LANGUAGE, TASK, suite_named

# Changes whose sentence stands in the problem's file alone; elsewhere the file's name is the
# sentence that demonstrations have.
REWORDED = (LANGUAGE, TASK)


@dataclass(frozen=True)
class Task:
    """A scene and what is asked for in it.

    Attributes:
        suite: Name of its suite, such as `spatial` or `object-lan`.
        number: In its suite.
        name: The benchmark's.
        instruction: What a policy is told.
        problem: File that describes scene and goal.
        states: File of the initial states.
        max_steps: Control steps that a policy has.
    """

    suite: str
    number: int
    name: str
    instruction: str
    problem: Path
    states: Path
    max_steps: int

    def initial_states(self) -> Float64[np.ndarray, "states state_dim"]:
        """Return the benchmark's fixed initial states."""
        with np.load(self.states, allow_pickle=False) as file:
            return np.asarray(file["states"], np.float64)


def suite_tasks(name: str) -> tuple[Task, ...]:
    """Return the tasks of a suite, or the one task of a name such as `spatial/3`.

    Raises:
        UnknownNameError: If there is no such suite.
        MissingBenchmarkError: If the benchmark is not installed.
    """
    suite = suite_named(name)
    benchmark = import_libero("libero.libero.benchmark")
    places = import_libero("libero.libero").get_default_path_dict()
    found = list(benchmark.task_maps[suite.folder].values())
    tasks = []
    for number in suite.numbers:
        task = found[number]
        problem = Path(places["bddl_files"]) / task.problem_folder / task.bddl_file
        states = Path(places["init_states"]) / task.problem_folder / task.init_states_file
        instruction = _sentence(problem) if suite.change in REWORDED else task.language
        tasks.append(
            Task(
                suite=name.partition("/")[0],
                number=number,
                name=task.name,
                instruction=instruction,
                problem=problem.resolve(),
                states=states.with_name(f"{states.name}.npz"),
                max_steps=suite.max_steps,
            )
        )
    return tuple(tasks)


def _sentence(problem: Path) -> str:
    """Read the sentence out of a problem's file: `(:language Pick the ...)`."""
    text = problem.read_text(encoding="utf-8")
    sentence = text.partition("(:language")[2].partition(")")[0]
    return " ".join(sentence.split())
