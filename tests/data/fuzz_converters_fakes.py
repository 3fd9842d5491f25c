"""Mutants of small datasets of other formats, and processes that convert them.

    python fuzz_converters_fakes.py FOLDER FORMAT COUNT SEED START

As fuzz_fakes.py, which says what is written. `run` starts one process after another: a library in C
may crash or never end on a damaged file, which `plait convert` survives, so that this counts as a
refusal where the format is read in a process of its own.
"""

import io
import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import h5py
import numcodecs
import numpy as np
from data_fakes import smooth_episode
from fuzz_fakes import (
    COLUMN_VALUES,
    change_json,
    changed,
    cut_out,
    flip_bytes,
    fuzz,
    limit_room,
    lose,
    overwrite,
    repeat,
    swap,
    truncate,
)
from hdf5_fakes import write_aloha, write_libero, write_robomimic
from tfrecord_fakes import IMAGE, TEXT, example, fake_example, record, tensor, write_tfds
from v2_fakes import write_v2
from zarr_fakes import pusht, write_group, zipped

from plait.data.convert import zarr_array
from plait.data.convert.adjust import Adjustments
from plait.data.convert.base import Selection
from plait.data.convert.detect import LEROBOT, load_format
from plait.data.convert.run import Conversion, convert

SCRIPT = Path(__file__)
ANY = Selection(instruction="do it")
FORMATS = ("rlds", "robomimic", "libero", "aloha", "zarr", "zip", LEROBOT)
BYTES = (flip_bytes, overwrite, truncate, cut_out, repeat)


def change_record(files, rng):
    """Change a record and make its checksums right again, so that its content is looked at."""
    name = next(name for name in sorted(files) if "tfrecord" in name)
    data = files[name]
    (length,) = struct.unpack_from("<Q", data)
    content = {"": data[12 : 12 + length]}
    mutant = rng.choice(BYTES)(content, rng)[""]
    return {name: record(mutant) + data[length + 16 :]}


def change_feature(files, rng):
    """Give a record a feature of another type or length."""
    name = next(name for name in sorted(files) if "tfrecord" in name)
    values = [b"x", b"", b"\xff\xd8\xff", 1.0, float("nan"), float("inf"), 1, -1, 2**63]
    features = fake_example(0)
    features[rng.choice(sorted(features))] = [rng.choice(values)] * rng.choice([1, 2, 3, 6, 9, 100])
    (length,) = struct.unpack_from("<Q", files[name])
    return {name: record(example(features)) + files[name][length + 16 :]}


def change_hdf5(files, rng):
    """Replace, remove or misplace something in an HDF5 file by the library's own means."""
    name = rng.choice(sorted(files))
    buffer = io.BytesIO(files[name])
    with h5py.File(buffer, "a") as file:
        places = []
        file.visit(places.append)
        place = rng.choice(places)
        holder = file[place].parent
        key = place.rpartition("/")[2]
        kind = rng.randrange(6)
        if kind == 0:
            file[place].attrs[rng.choice(["problem_info", "env_args", "num_samples"])] = rng.choice(
                ["", "{", "[]", "3", '{"language_instruction": 3}', '{"env_kwargs": []}', 5, [1]]
            )
            return _closed(name, file, buffer)
        del holder[key]
        if kind == 1:
            holder[key] = h5py.SoftLink(rng.choice(["/", "/data", "/nothing", place]))
        elif kind == 2:
            holder[key] = h5py.ExternalLink("../../outside.hdf5", "/data")
        elif kind == 3:
            shape = rng.choice([(), (0,), (4,), (4, 0), (10**6, 10**6), (4, 8, 6, 3), (2**40,)])
            dtype = rng.choice(["u1", "f4", "f8", "i8", "S3", "c16", "bool"])
            holder.create_dataset(key, shape, dtype, chunks=None if shape == () else True)
        elif kind == 4:
            value = rng.choice([v for v in COLUMN_VALUES if isinstance(v, int | float | str)])
            holder[key] = [value] * 4 if isinstance(value, str) else np.full((4, 3), float(value))
        return _closed(name, file, buffer)


def _closed(name, file, buffer):
    file.close()
    return {name: buffer.getvalue()}


def change_zarr(files, rng):
    name = rng.choice([name for name in sorted(files) if name.endswith(".zarray")])
    return {name: changed(json.loads(files[name]), rng)}


STEPS = {
    "action": tensor(2),
    "observation/state": tensor(3),
    "observation/front": IMAGE,
    "language_instruction": TEXT,
}
HDF5 = (*BYTES, *BYTES, change_hdf5, change_hdf5, change_hdf5, change_hdf5)
MUTATIONS = {
    "rlds": (*BYTES, *[change_record] * 4, *[change_feature] * 3, change_json, change_json, lose),
    "robomimic": HDF5,
    "libero": HDF5,
    "aloha": HDF5,
    "zarr": (*BYTES, *BYTES, swap, lose, *[change_zarr] * 5),
    "zip": BYTES,
    LEROBOT: (*BYTES, swap, lose, change_json),
}


def write_source(root, name):
    """Write the whole dataset of a format into a folder."""
    pictures = pusht()["img"].astype(np.uint8)
    if name == "rlds":
        write_tfds(root, [fake_example(seed) for seed in range(2)], STEPS)
    elif name == "zarr":
        # With a codec that has no checksum, so that changed numbers come through.
        write_group(root, pusht() | {"img": pictures}, compressor=numcodecs.LZ4())
    elif name == LEROBOT:
        write_v2(root, [smooth_episode(seed, 4) for seed in range(2)], "video")
    else:
        root.mkdir()
        if name == "zip":
            zipped(write_group(root / "g", pusht() | {"img": pictures}))
            shutil.rmtree(root / "g")
        elif name == "aloha":
            write_aloha(root, compressed=True)
        else:
            write = {"robomimic": write_robomimic, "libero": write_libero}[name]
            write(root / "demo.hdf5")


def reader_of(name):
    """Return what converts the dataset of a format in a folder, as far as its own code goes."""

    def read(root):
        path = next((p for p in root.glob("*") if p.suffix in (".hdf5", ".zip")), root)
        path = root if name == "aloha" else path
        if name == LEROBOT:
            made = root.with_name("made")
            shutil.rmtree(made, ignore_errors=True)
            convert(Conversion(path=root, root=made))
            return
        # A process of its own would remember nothing of the mutant before.
        zarr_array.read_chunk.cache_clear()
        zarr_array._sizes.cache_clear()
        source = load_format("zarr" if name == "zip" else name).open(path, ANY)
        for index in range(source.num_episodes):
            Adjustments(image_size=4)(source.read(index), str(index))

    return read


def run(folder, name, count, seed):
    """Fuzz a format and return what happened, also how often a process died."""
    total = {"read": 0, "refused": 0, "crashes": 0, "errors": [], "seconds": 0.0, "grown_mib": 0.0}
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    start = 0
    while start < count:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        command = [
            sys.executable,
            str(SCRIPT),
            str(folder),
            name,
            str(count),
            str(seed),
            str(start),
        ]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        found = folder / "outcome.json"
        outcome = json.loads(found.read_text()) if found.exists() else {}
        for key in ("read", "refused", "errors"):
            total[key] += outcome.get(key, type(total[key])())
        for key in ("seconds", "grown_mib"):
            total[key] = max(total[key], outcome.get(key, 0))
        if done.returncode == 0:
            break
        last = (folder / "last.txt").read_text() if (folder / "last.txt").exists() else "0: start"
        # Only libraries in C crash, by a signal, or hang, which faulthandler ends.
        is_hang = done.stderr.startswith("Timeout")
        if (done.returncode < 0 or is_hang) and name not in ("rlds", LEROBOT):
            total["crashes"] += 1
        else:
            total["errors"].append(f"{last}: exit code {done.returncode}\n{done.stderr}")
        start = int(last.split(":")[0].split()[-1]) + 1
    return total


if __name__ == "__main__":
    folder, name, count, seed, start = sys.argv[1:]
    root = Path(folder) / "set"
    write_source(root, name)
    limit_room()
    options = (reader_of(name), MUTATIONS[name], int(count), int(seed), int(start))
    fuzz(Path(folder), name, root, *options)
