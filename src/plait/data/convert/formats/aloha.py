"""ALOHA (ACT): one HDF5 file an episode, `episode_0.hdf5` and so on, without language."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from plait.data.convert.base import Selection, choose
from plait.data.convert.hdf5 import (
    array_names,
    as_pictures,
    open_hdf5,
    read_numbers,
    subgroup,
    where,
)
from plait.data.convert.hdf5_source import EpisodePlace, Hdf5Source, choose_arrays, hdf5_files
from plait.data.convert.pictures import decode_frames
from plait.errors import OptionError

if TYPE_CHECKING:
    import h5py

OBSERVED, IMAGES = "observations/", "observations/images/"


class AlohaSource(Hdf5Source):
    """The episodes of a folder, or one file."""

    @classmethod
    def open(cls, path: Path, selection: Selection) -> "AlohaSource":
        """List the files, and look at the first."""
        if selection.instruction is None:
            raise OptionError(
                f"{path} has no instructions: ALOHA's files hold none; give the command of all "
                "episodes with --instruction"
            )
        files = hdf5_files(path, _number)
        with open_hdf5(files[0]) as file:
            pictures, _ = array_names(subgroup(file, IMAGES))
            _, numbers = array_names(subgroup(file, OBSERVED))
            _, recorded = array_names(file)
            cameras = choose("camera", selection.cameras, pictures)
            return cls(
                path=path,
                places=tuple(EpisodePlace(name, "", selection.instruction) for name in files),
                cameras={name: IMAGES + name for name in cameras},
                state=choose_arrays("state", selection.state, ("qpos",), numbers, OBSERVED),
                action=choose_arrays("action", selection.action, ("action",), recorded),
            )

    def pictures(self, group: "h5py.Group", name: str) -> np.ndarray:
        """Read images, or JPEG files that were padded with zeros to one length."""
        rows = read_numbers(group, name)
        if rows.ndim != 2 or rows.dtype != np.uint8:
            return as_pictures(group, name, rows)
        return decode_frames([row.tobytes() for row in rows], where(group), name)


def _number(path: Path) -> tuple[int, str]:
    """Order `episode_10` after `episode_9`."""
    digits = re.findall(r"\d+", path.stem)
    return (int(digits[-1]) if digits else -1, path.name)
