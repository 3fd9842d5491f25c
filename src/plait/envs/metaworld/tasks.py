"""The 50 tasks: their sentences, their difficulty, and which of them share a scene.

Sentences and groups are those of LeRobot's Meta-World environment, which follows Seo et al. (2023,
Masked World Models) for the groups, so that figures can be compared.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from plait.errors import UnknownNameError

EASY, MEDIUM, HARD, VERY_HARD = DIFFICULTIES = ("easy", "medium", "hard", "very_hard")


@dataclass(frozen=True)
class Task:
    """One of the 50.

    Attributes:
        name: Of the benchmark, such as `drawer-open-v3`.
        instruction: What a policy is told.
        difficulty: One of `DIFFICULTIES`.
    """

    name: str
    instruction: str
    difficulty: str


TASKS: Mapping[str, Task] = {
    name: Task(name, instruction, difficulty)
    for difficulty, sentences in {
        EASY: {
            "button-press-topdown-v3": "Press a button from the top",
            "button-press-topdown-wall-v3": "Bypass a wall and press a button from the top",
            "button-press-v3": "Press a button",
            "button-press-wall-v3": "Bypass a wall and press a button",
            "coffee-button-v3": "Push a button on the coffee machine",
            "dial-turn-v3": "Rotate a dial 180 degrees",
            "door-close-v3": "Close a door with a revolving joint",
            "door-lock-v3": "Lock the door by rotating the lock clockwise",
            "door-open-v3": "Open a door with a revolving joint",
            "door-unlock-v3": "Unlock the door by rotating the lock counter-clockwise",
            "drawer-close-v3": "Push and close a drawer",
            "drawer-open-v3": "Open a drawer",
            "faucet-close-v3": "Rotate the faucet clockwise",
            "faucet-open-v3": "Rotate the faucet counter-clockwise",
            "handle-press-side-v3": "Press a handle down sideways",
            "handle-press-v3": "Press a handle down",
            "handle-pull-side-v3": "Pull a handle up sideways",
            "handle-pull-v3": "Pull a handle up",
            "lever-pull-v3": "Pull a lever down 90 degrees",
            "peg-unplug-side-v3": "Unplug a peg sideways",
            "plate-slide-back-side-v3": "Get a plate from the cabinet sideways",
            "plate-slide-back-v3": "Get a plate from the cabinet",
            "plate-slide-side-v3": "Slide a plate into a cabinet sideways",
            "plate-slide-v3": "Slide a plate into a cabinet",
            "reach-v3": "Reach a goal position",
            "reach-wall-v3": "Bypass a wall and reach a goal",
            "window-close-v3": "Push and close a window",
            "window-open-v3": "Push and open a window",
        },
        MEDIUM: {
            "basketball-v3": "Dunk the basketball into the basket",
            "bin-picking-v3": "Grasp the puck from one bin and place it into another bin",
            "box-close-v3": "Grasp the cover and close the box with it",
            "coffee-pull-v3": "Pull a mug from a coffee machine",
            "coffee-push-v3": "Push a mug under a coffee machine",
            "hammer-v3": "Hammer a screw on the wall",
            "peg-insert-side-v3": "Insert a peg sideways",
            "push-wall-v3": "Bypass a wall and push a puck to a goal",
            "soccer-v3": "Kick a soccer into the goal",
            "sweep-into-v3": "Sweep a puck into a hole",
            "sweep-v3": "Sweep a puck off the table",
        },
        HARD: {
            "assembly-v3": "Pick up a nut and place it onto a peg",
            "hand-insert-v3": "Insert the gripper into a hole",
            "pick-out-of-hole-v3": "Pick up a puck from a hole",
            "pick-place-v3": "Pick and place a puck to a goal",
            # The benchmark's own adapter words these two alike.
            "push-back-v3": "Push the puck to a goal",
            "push-v3": "Push the puck to a goal",
        },
        VERY_HARD: {
            "disassemble-v3": "Pick a nut out of a peg",
            "pick-place-wall-v3": "Pick a puck, bypass a wall and place the puck",
            "shelf-place-v3": "Pick and place a puck onto a shelf",
            "stick-pull-v3": "Grasp a stick and pull a box with the stick",
            "stick-push-v3": "Grasp a stick and push a box using the stick",
        },
    }.items()
    for name, instruction in sentences.items()
}

MT10 = (
    "reach-v3",
    "push-v3",
    "pick-place-v3",
    "door-open-v3",
    "drawer-open-v3",
    "drawer-close-v3",
    "button-press-topdown-v3",
    "peg-insert-side-v3",
    "window-open-v3",
    "window-close-v3",
)

# Tasks that start from the same things in the same places, so that the sentence alone tells them
# apart (though a goal may be drawn, a drawer be open at the start of one and closed in the other).
SHARED_SCENES: Mapping[str, tuple[str, ...]] = {
    "puck": ("reach-v3", "push-v3", "pick-place-v3", "push-back-v3"),
    "puck and wall": ("reach-wall-v3", "push-wall-v3", "pick-place-wall-v3"),
    "drawer": ("drawer-open-v3", "drawer-close-v3"),
    "door": ("door-open-v3", "door-close-v3"),
    "door lock": ("door-lock-v3", "door-unlock-v3"),
    "window": ("window-open-v3", "window-close-v3"),
    "faucet": ("faucet-open-v3", "faucet-close-v3"),
    "plate": (
        "plate-slide-v3",
        "plate-slide-side-v3",
        "plate-slide-back-v3",
        "plate-slide-back-side-v3",
    ),
    "coffee machine": ("coffee-button-v3", "coffee-pull-v3", "coffee-push-v3"),
    "nut": ("assembly-v3", "disassemble-v3"),
    "handle": ("handle-press-v3", "handle-pull-v3"),
    "handle at the side": ("handle-press-side-v3", "handle-pull-side-v3"),
    "stick": ("stick-push-v3", "stick-pull-v3"),
    "peg": ("peg-insert-side-v3", "peg-unplug-side-v3"),
}

SUITES: Mapping[str, tuple[str, ...]] = {
    "MT10": MT10,
    "MT50": tuple(sorted(TASKS)),
    **{
        difficulty: tuple(sorted(t.name for t in TASKS.values() if t.difficulty == difficulty))
        for difficulty in DIFFICULTIES
    },
    **{name: (name,) for name in sorted(TASKS)},
}


def suite_tasks(name: str) -> tuple[Task, ...]:
    """Return the tasks of a suite: MT10, MT50, a difficulty, or the name of one task.

    Raises:
        UnknownNameError: If there is no such suite.
    """
    if name not in SUITES:
        raise UnknownNameError("Meta-World suite or task", name, SUITES)
    return tuple(TASKS[task] for task in SUITES[name])


def groups_of(suite: str) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Return the tasks of a suite by difficulty, and by the scene they share with others of it.

    Raises:
        UnknownNameError: If there is no such suite.
    """
    tasks = suite_tasks(suite)
    names = {task.name for task in tasks}
    by_difficulty = {
        difficulty: tuple(task.name for task in tasks if task.difficulty == difficulty)
        for difficulty in DIFFICULTIES
    }
    by_scene = {
        scene: tuple(name for name in sharing if name in names)
        for scene, sharing in SHARED_SCENES.items()
    }
    # A task that is alone with its scene needs no sentence to be told apart.
    shared = {name: found for name, found in by_scene.items() if len(found) > 1}
    present = {name: found for name, found in by_difficulty.items() if found}
    return {"difficulty": present, **({"shared scene": shared} if shared else {})}
