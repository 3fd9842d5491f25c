"""LIBERO: one HDF5 file a task, with the instruction in `problem_info`.

Its images are upside down (`--orientation`), and each observation is what its action led to
(`--shift-observations`); nothing is changed unless it is asked for.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plait.data.convert.base import Selection, choose
from plait.data.convert.hdf5 import array_names, attribute_json, open_hdf5, subgroup, where
from plait.data.convert.hdf5_source import (
    DEMO_OUTCOMES,
    EpisodePlace,
    Hdf5Source,
    choose_arrays,
    control_hz,
    demo_names,
    hdf5_files,
    robot_name,
)
from plait.errors import OptionError

if TYPE_CHECKING:
    import h5py

STATES = ("ee_states", "gripper_states")
OBSERVED = "obs/"
CONVENTION = "macros_image_convention"


class LiberoSource(Hdf5Source):
    """The demonstrations of one task, or of a folder of tasks."""

    @classmethod
    def open(cls, path: Path, selection: Selection) -> "LiberoSource":
        """Open every file, and look at the first demonstration of the first."""
        files = hdf5_files(path)
        with open_hdf5(files[0]) as file:
            source = cls._first(path, file, selection)
        places: list[EpisodePlace] = []
        for task in files:
            with open_hdf5(task) as file:
                places += _places(task, file, selection.instruction)
        return replace(source, places=tuple(places))

    @classmethod
    def _first(cls, path: Path, file: "h5py.File", selection: Selection) -> "LiberoSource":
        """Describe what every demonstration holds by the first one; places come later."""
        data = subgroup(file, "data")
        env = attribute_json(data, "env_args")
        demo = subgroup(data, demo_names(file)[0])
        pictures, numbers = array_names(subgroup(demo, OBSERVED))
        _, recorded = array_names(demo)
        cameras = choose("camera", selection.cameras, pictures)
        return cls(
            path=path,
            places=(),
            cameras={name: OBSERVED + name for name in cameras},
            state=choose_arrays("state", selection.state, STATES, numbers, OBSERVED),
            action=choose_arrays("action", selection.action, ("actions",), recorded),
            extras=DEMO_OUTCOMES,
            rate=control_hz(env),
            robot=robot_name(env),
            notes=_convention(data),
        )


def _places(path: Path, file: "h5py.File", given: str | None) -> Iterator[EpisodePlace]:
    data = subgroup(file, "data")
    instruction = _instruction(data) if given is None else given
    for name in demo_names(file):
        yield EpisodePlace(path, f"data/{name}", instruction)


def _convention(data: "h5py.Group") -> dict[str, Any]:
    """Return how the file says that its images lie: `opengl` is upside down."""
    value = data.attrs.get(CONVENTION)
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return {"image_convention": text} if isinstance(text, str) else {}


def _instruction(data: "h5py.Group") -> str:
    """Return the task's command, which some versions hold as a list of texts or in quotes."""
    found = attribute_json(data, "problem_info").get("language_instruction")
    text = "".join(map(str, found)) if isinstance(found, list) else found
    if not isinstance(text, str):
        raise OptionError(
            f"{where(data)} has no language_instruction in its attribute problem_info; give the "
            "command of all episodes with --instruction"
        )
    return text.strip().strip('"')
