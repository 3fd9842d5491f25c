"""robomimic (MimicGen, RoboCasa): one HDF5 file with `data/demo_0`, `demo_1` ..."""

from pathlib import Path
from typing import TYPE_CHECKING

from plait.data.convert.base import Selection, choose
from plait.data.convert.hdf5 import (
    array_names,
    attribute_json,
    has,
    open_hdf5,
    read_names,
    subgroup,
    where,
)
from plait.data.convert.hdf5_source import (
    DEMO_OUTCOMES,
    EpisodePlace,
    Hdf5Source,
    choose_arrays,
    control_hz,
    demo_names,
    robot_name,
)
from plait.errors import DataError, OptionError, UnknownNameError

if TYPE_CHECKING:
    import h5py

STATES = ("robot0_eef_pos", "robot0_eef_quat", "robot0_gripper_qpos")
OBSERVED = "obs/"


class RobomimicSource(Hdf5Source):
    """The demonstrations of one file: all, or those that one of its masks names."""

    @classmethod
    def open(cls, path: Path, selection: Selection) -> "RobomimicSource":
        """Open a file and look at its first demonstration."""
        with open_hdf5(path) as file:
            data = subgroup(file, "data")
            env = attribute_json(data, "env_args")
            demos = [subgroup(data, name) for name in _chosen(file, selection.split)]
            pictures, numbers = array_names(subgroup(demos[0], OBSERVED))
            _, recorded = array_names(demos[0])
            cameras = choose("camera", selection.cameras, pictures)
            return cls(
                path=path,
                places=tuple(
                    EpisodePlace(path, demo.name, _instruction(demo, selection.instruction))
                    for demo in demos
                ),
                cameras={name: OBSERVED + name for name in cameras},
                state=choose_arrays("state", selection.state, STATES, numbers, OBSERVED),
                action=choose_arrays("action", selection.action, ("actions",), recorded),
                extras=DEMO_OUTCOMES,
                rate=control_hz(env),
                robot=robot_name(env),
                notes={"split": selection.split},
            )


def _chosen(file: "h5py.File", split: str | None) -> list[str]:
    """Return the names of the demonstrations of a split."""
    names = demo_names(file)
    if split is None:
        return names
    masks = list(subgroup(file, "mask").keys()) if has(file, "mask") else []
    if split not in masks:
        raise UnknownNameError("split", split, masks)
    wanted = set(read_names(file, f"mask/{split}"))
    missing = sorted(wanted.difference(names))
    if missing:
        raise DataError(file.filename, f"no {missing[0]}, which mask/{split} names", "it")
    return [name for name in names if name in wanted]


def _instruction(demo: "h5py.Group", given: str | None) -> str:
    """Return the command: RoboCasa writes one into each demonstration, robomimic none."""
    own = attribute_json(demo, "ep_meta").get("lang") if given is None else given
    if not isinstance(own, str):
        raise OptionError(
            f"{where(demo)} has no instruction (attribute ep_meta with 'lang'); give the command "
            "of all episodes with --instruction"
        )
    return own
