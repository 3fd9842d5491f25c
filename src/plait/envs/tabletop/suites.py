"""Named suites: which verbs are asked for, in which scenes, and how long an episode may take."""

from dataclasses import dataclass

from plait.envs.tabletop.scene import Layout
from plait.errors import OptionError, UnknownNameError

SPLITS = ("train", "holdout", "any")
MAX_STEPS = {"touch": 25, "push": 45, "pick": 50, "place": 90, "stack": 90}


@dataclass(frozen=True)
class Suite:
    """A family of tasks and scenes."""

    verbs: tuple[str, ...]
    layout: Layout


SUITES: dict[str, Suite] = {
    "touch": Suite(("touch",), Layout(3, 6)),
    "push": Suite(("push",), Layout(3, 5)),
    "pick": Suite(("pick",), Layout(3, 6)),
    "place": Suite(("place",), Layout(3, 4, num_containers=2)),
    "stack": Suite(("stack",), Layout(3, 5, min_stackable=2)),
    "all": Suite(
        ("touch", "push", "pick", "place", "stack"),
        Layout(3, 4, num_containers=2, min_stackable=2),
    ),
}
VARIANTS = ("holdout", "paraphrase")


def load_suite(name: str) -> Suite:
    """Return the suite of a name."""
    if name not in SUITES:
        raise UnknownNameError("suite", name, SUITES)
    return SUITES[name]


def check_split(split: str) -> str:
    """Return the name of a split, or refuse it."""
    if split not in SPLITS:
        raise UnknownNameError("split", split, SPLITS)
    return split


def suite_names() -> tuple[str, ...]:
    """Return every name that `suite_options` reads."""
    return tuple(SUITES) + tuple(f"{suite}-{variant}" for suite in SUITES for variant in VARIANTS)


def suite_options(name: str) -> dict[str, object]:
    """Turn a name such as `pick-holdout` into the environment's options."""
    if name not in suite_names():
        raise UnknownNameError("tabletop suite", name, suite_names())
    suite, _, variant = name.partition("-")
    options: dict[str, object] = {"suite": suite}
    if variant == "holdout":
        options["split"] = "holdout"
    if variant == "paraphrase":
        options["paraphrase"] = True
    return options


def check_size(image_size: int) -> int:
    """Return the size of a picture, or refuse it."""
    if not 8 <= image_size <= 1024:
        raise OptionError(f"image_size must be from 8 to 1024 pixels, but is {image_size}")
    return image_size
