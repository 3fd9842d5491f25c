"""Print how fast frames are decoded for the cache, beside the decoder's own limit.

    python benchmarks/frame_cache.py DATASET [--size 120 160] [--frames 1500] [--rounds 3]

Frames of the first camera are decoded, averaged down and written as the cache holds them; beside
that the decoder alone, and the way round that Plait went before: to RGB first, then averaged by
Pillow. Frames a second are of processor time, all threads together, so that they are those of one
core; rounds alternate.
"""

import argparse
import statistics
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile

import av
import numpy as np
from numpy import ndarray
from PIL import Image

from plait.data.lerobot.reader import LeRobotReader
from plait.data.video import read_video
from plait.results import describe_machine


def decoded(files: Iterable[Path]) -> Iterator[av.VideoFrame]:
    """Decode and do nothing else."""
    for path in files:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            yield from container.decode(stream)


def rgb_first(files: Iterable[Path], size: tuple[int, int]) -> Iterator[ndarray]:
    """Convert whole frames, then average."""
    for path in files:
        for frame in read_video(path):
            image = Image.fromarray(frame).resize((size[1], size[0]), Image.Resampling.BOX)
            yield np.asarray(image)


def write(frames: Iterable[ndarray]) -> None:
    """Write frames channels first, as the cache does."""
    with TemporaryFile() as file:
        for frame in frames:
            file.write(np.ascontiguousarray(frame.transpose(2, 0, 1)).data)


def main() -> None:
    """Time the ways in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--size", type=int, nargs=2, default=(120, 160))
    parser.add_argument("--frames", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    size, count = (options.size[0], options.size[1]), options.frames
    reader = LeRobotReader.open(options.dataset)
    camera = reader.cameras[0]
    files = reader.source_files(camera)
    ways = {
        "decoder alone": lambda: sum(1 for _ in islice(decoded(files), count)),
        "Plait": lambda: write(islice(reader.frames(camera, size), count)),
        "RGB first, then Pillow": lambda: write(islice(rgb_first(files, size), count)),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, run in ways.items():
            start = time.process_time()
            run()
            rates[name].append(count / (time.process_time() - start))
    height, width_px = reader.frame_size(camera)
    print(f"{camera}, {height}×{width_px} to {size[0]}×{size[1]}, {count} frames\n")
    print("| way | frames/s a core | of the decoder, median of rounds |")
    print("| --- | ---: | ---: |")
    for name, found in rates.items():
        pairs = zip(found, rates["decoder alone"], strict=True)
        ratio = statistics.median(one / limit for one, limit in pairs)
        print(f"| {name} | {statistics.median(found):,.0f} | {ratio:.2f} |")
    machine = describe_machine()
    print(f"\n{machine.processor}, {machine.num_cores} cores, Python {machine.python}")


if __name__ == "__main__":
    main()
