"""Mutants of small datasets, and a process of its own that reads them and tells what happened.

    python fuzz_fakes.py FOLDER LAYOUT STORAGE COUNT SEED

writes JSON: mutants read, mutants refused by a PlaitError, the rest with their errors, the slowest
mutant and its seconds, and the memory that reading all of them took. A crash or a hang ends the
process, which leaves the mutant it was at in FOLDER/last.txt and the rest in FOLDER/outcome.json.
"""

import faulthandler
import json
import random
import resource
import shutil
import sys
import time
import traceback
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from data_fakes import make_episode, smooth_episode
from v2_fakes import write_v2

from plait.data.frames.cache import frames_key
from plait.data.lerobot.reader import LeRobotReader
from plait.data.lerobot.writer import LeRobotWriter
from plait.errors import PlaitError

SECONDS_TO_HANG = 20
ROOM_BYTES = 4 * 2**30
SIZE = (8, 8)
VALUES = [
    None, True, False, 0, 1, -1, 3, 2.5, 10**6, 10**10, 2**53, 2**63, -(2**70), 1e308,
    float("nan"), float("inf"), -float("inf"), "", "a", "3", "v2.1", "v3.0", "video", "image",
    "../../outside", "/etc/passwd", "a\0b", "\ud800", "x" * 5000, "{chunk_index:099999999d}",
    "{episode_index}", "{file_index}", "{video_key}", "{0}", "{", [], [0], [-1], [1, 2], [3, 3, 3],
    [10**5, 10**5, 3], [[["a"]]], {}, {"a": 1}, {"dtype": "video", "shape": [1, 1, 3]},
    {"dtype": "image", "shape": [4, 4, 3]}, {"dtype": []},
]  # fmt: skip
COLUMN_VALUES = [
    None, True, 0, 1, -1, 7, 10**6, 10**10, 2**62, -(2**62), 0.5, 1e300, float("nan"),
    float("inf"), "", "text", b"\xff", [], [1.0], [1.0, None], [[1.0]], {"a": 1},
    {"bytes": b"x", "path": "y"}, {"bytes": None, "path": None},
]  # fmt: skip


# Mutations: each changes some files of a folder, given their contents


def flip_bytes(files, rng):
    name = rng.choice(sorted(files))
    content = bytearray(files[name])
    for _ in range(rng.choice([1, 1, 2, 8, 64])):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return {name: bytes(content)}


def overwrite(files, rng):
    """Write numbers as large as they get where counts and sizes may stand."""
    name = rng.choice(sorted(files))
    content = bytearray(files[name])
    start = rng.randrange(len(content))
    run = rng.choice([b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0" * 8, b"\xff" * 9, rng.randbytes(16)])
    content[start : start + len(run)] = run
    return {name: bytes(content)}


def truncate(files, rng):
    name = rng.choice(sorted(files))
    return {name: files[name][: rng.randrange(len(files[name]))]}


def cut_out(files, rng):
    name = rng.choice(sorted(files))
    start, stop = sorted(rng.randrange(len(files[name]) + 1) for _ in range(2))
    return {name: files[name][:start] + files[name][stop:]}


def repeat(files, rng):
    name = rng.choice(sorted(files))
    start, stop = sorted(rng.randrange(len(files[name]) + 1) for _ in range(2))
    return {name: files[name][:stop] + files[name][start:]}


def swap(files, rng):
    first, second = rng.choice(sorted(files)), rng.choice(sorted(files))
    return {first: files[second], second: files[first]}


def lose(files, rng):
    return {rng.choice(sorted(files)): None}


def change_json(files, rng):
    name = rng.choice([name for name in sorted(files) if Path(name).suffix in (".json", ".jsonl")])
    lines = files[name].decode().splitlines()
    if name.endswith(".json"):
        return {name: changed(json.loads(files[name]), rng)}
    row = rng.randrange(len(lines))
    lines[row] = changed(json.loads(lines[row]), rng).decode()
    return {name: "\n".join(lines).encode()}


def changed(value, rng):
    holder, key = rng.choice(list(_places(value)))
    if rng.random() < 0.15:
        del holder[key]
    else:
        holder[key] = rng.choice(VALUES)
    return json.dumps(value).encode()


def _places(value):
    """Yield every place in a JSON value as what holds it and its key there."""
    keys = value if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def change_table(files, rng):
    name = rng.choice([name for name in sorted(files) if name.endswith(".parquet")])
    table = pq.read_table(pa.BufferReader(files[name]))
    change = rng.randrange(6)
    column = rng.choice(table.column_names)
    index = table.column_names.index(column)
    if change == 0:
        table = table.drop_columns(column)
    elif change == 1:
        order = [rng.randrange(table.num_rows) for _ in range(rng.randrange(2 * table.num_rows))]
        table = table.take(pa.array(order, pa.int64()))
    elif change == 2:
        other = rng.choice(table.column_names)
        table = table.set_column(index, column, table[other])
    else:
        values = table[column].to_pylist()
        value = rng.choice(COLUMN_VALUES)
        if change == 3:
            values = [value] * len(values)
        else:
            values[rng.randrange(len(values))] = value
        try:
            table = table.set_column(index, column, pa.array(values))
        except (pa.ArrowException, OverflowError, TypeError):
            table = table.set_column(index, column, pa.nulls(len(values)))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return {name: sink.getvalue().to_pybytes()}


MUTATIONS = (
    flip_bytes, flip_bytes, overwrite, truncate, cut_out, repeat, swap, lose, change_json,
    change_json, change_table, change_table,
)  # fmt: skip


# Reading them


def write_whole(root, layout, storage):
    make = smooth_episode if storage == "video" else make_episode
    episodes = [make(seed, length=4) for seed in range(3)]
    if layout == "v2.1":
        write_v2(root, episodes, storage)
        return
    with LeRobotWriter(root, fps=10, storage=storage) as writer:
        for episode in episodes:
            writer.add(episode)


def read_everything(root):
    """As opening for training does, without writing anything."""
    reader = LeRobotReader.open(root)
    for camera in reader.cameras:
        frames_key(reader, camera, SIZE[0])
        reader.has_images(camera)
        for _ in reader.frames(camera, SIZE):
            pass
    "".join(reader.tasks).encode()


def put(root, changes):
    for name, content in changes.items():
        path = root / name
        if path.is_dir():
            path.rmdir()
        if content is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(content)


def fuzz(folder, label, root, read, mutations, count, seed, start=0):
    """Read mutants of what stands at `root`, from `start` up to `count`, and tell what happened.

    Args:
        folder: Where to leave notes for whoever looks after a crash.
        label: Part of the seed.
        root: Folder of the whole dataset; it is as before afterwards.
        read: What reads it, and raises a PlaitError where it cannot.
        mutations: Functions of files and generator that return the files that change.
        count: Mutants in all.
        seed: Of the mutants.
        start: The first mutant.
    """
    paths = [path for path in sorted(root.rglob("*")) if path.is_file()]
    files = {str(path.relative_to(root)): path.read_bytes() for path in paths}
    read(root)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = {"read": 0, "refused": 0, "errors": [], "seconds": 0.0, "slowest": "", "grown_mib": 0}
    for index in range(start, count):
        rng = random.Random(f"{label} {seed} {index}")
        mutation = rng.choice(mutations)
        changes = mutation(files, rng)
        name = f"{mutation.__name__} {index}: {', '.join(changes)}"
        (folder / "last.txt").write_text(name)
        put(root, changes)
        faulthandler.dump_traceback_later(SECONDS_TO_HANG, exit=True)
        begin = time.perf_counter()
        try:
            read(root)
            outcome["read"] += 1
        except PlaitError as error:
            outcome["refused"] += 1
            str(error).encode()
        except BaseException:
            outcome["errors"].append(f"{name}\n{traceback.format_exc()}")
        seconds = time.perf_counter() - begin
        faulthandler.cancel_dump_traceback_later()
        if seconds > outcome["seconds"]:
            outcome |= {"seconds": seconds, "slowest": name}
        put(root, {name: files[name] for name in changes})
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used
        outcome["grown_mib"] = grown / 1024
        (folder / "outcome.json").write_text(json.dumps(outcome))
    return outcome


def limit_room():
    """Let a claim of many gigabytes fail rather than fill the machine."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    room = pages * resource.getpagesize() + ROOM_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (room, room))


if __name__ == "__main__":
    folder, layout, storage, count, seed = sys.argv[1:]
    limit_room()
    root = Path(folder) / "set"
    write_whole(root, layout, storage)
    label = f"{layout} {storage}"
    outcome = fuzz(Path(folder), label, root, read_everything, MUTATIONS, int(count), int(seed))
    shutil.rmtree(root)
    sys.stdout.write(json.dumps(outcome))
