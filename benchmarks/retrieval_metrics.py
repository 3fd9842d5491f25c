"""Print what retrieval metrics of three modalities cost, here and elsewhere.

    python benchmarks/retrieval_metrics.py [--size 10000] [--width 512] [--threads 1]

Three ways to tell how well pairs of vision, language and action find each other:

- `textbook`: the whole matrix of scores and an argmax for every row, in one direction. It says
  whether the first item is the right one, and no more.
- `plait`: `paired_ranks` of all three pairs, which is six directions; recall@k for any k, median
  and mean reciprocal rank, ties shared fairly.
- `faiss`: six searches for the first ten, where faiss is installed. It stops at recall@10.

Each runs in a process of its own. CPU and wall seconds are of the measurement alone; memory is what
the peak rose by, so that the embeddings themselves are not in it. Where a way cannot take all six
directions, or `--faiss-searches` asks for fewer, its time for six is extrapolated, and said so.
"""

import argparse
import ctypes
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from json import dumps, loads
from pathlib import Path

import numpy as np
import torch

from plait.alignment.metrics.retrieval import paired_ranks
from plait.results import describe_machine

DIRECTIONS = 6
LARGEST_MATRIX = 4 * 2**30
NOISE = 2.3
Embeddings = list[torch.Tensor]


@dataclass(frozen=True)
class Cost:
    """What a measurement took.

    Attributes:
        directions: How many were measured.
        cpu: Seconds of all threads together.
        wall: Seconds by the clock.
        memory: Bytes by which the peak rose.
        recall: Recall@1, as a check that all measure the same thing.
    """

    directions: int
    cpu: float
    wall: float
    memory: int
    recall: float


def make_embeddings(size: int, width: int) -> Embeddings:
    """Return vision, language and action that lie close enough to be found half of the time.

    Some rows at a time: memory that was taken here and freed would hide what is taken later.
    """
    generator = torch.Generator().manual_seed(0)
    made = [torch.empty(size, width) for _ in range(3)]
    for start in range(0, size, 1000):
        parts = [values[start : start + 1000] for values in made]
        shared = torch.randn(parts[0].shape, generator=generator)
        for part in parts:
            noisy = NOISE * torch.randn(part.shape, generator=generator) + shared
            part.copy_(torch.nn.functional.normalize(noisy, dim=1))
    return made


def run_textbook(embeddings: Embeddings, searches: int) -> tuple[int, float]:
    """Take one direction; what the others would take is the same."""
    del searches
    queries, items = embeddings[:2]
    scores = queries @ items.T
    correct = 0
    for index in range(len(queries)):
        if scores[index].argmax() == index:
            correct += 1
    return 1, correct / len(queries)


def run_plait(embeddings: Embeddings, searches: int) -> tuple[int, float]:
    """Take all six directions."""
    del searches
    recalls = []
    for first, second in ((0, 1), (0, 2), (1, 2)):
        for ranks in paired_ranks(embeddings[first], embeddings[second]):
            recalls.append(ranks.mean_recall(1))
    return DIRECTIONS, recalls[0]


def run_faiss(embeddings: Embeddings, searches: int) -> tuple[int, float]:
    """Search exactly for the first ten, in as many directions as asked for."""
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    recalls = []
    for first, second in ((0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1))[:searches]:
        index = faiss.IndexFlatIP(embeddings[second].shape[1])
        index.add(embeddings[second].numpy())
        _, found = index.search(embeddings[first].numpy(), 10)
        recalls.append(float((found[:, 0] == np.arange(len(found))).mean()))
    return searches, recalls[0]


WAYS: dict[str, Callable[[Embeddings, int], tuple[int, float]]] = {
    "textbook": run_textbook,
    "plait": run_plait,
    "faiss": run_faiss,
}


def measure(way: str, options: argparse.Namespace) -> Cost:
    """Measure in this process, after a small run that loads what is loaded lazily."""
    torch.set_num_threads(options.threads)
    WAYS[way](make_embeddings(512, options.width), DIRECTIONS)
    embeddings = make_embeddings(options.size, options.width)
    # What was taken before and is free now would hide what is taken next (glibc, Linux).
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    memory = peak_memory()
    cpu, wall = time.process_time(), time.perf_counter()
    directions, recall = WAYS[way](embeddings, options.faiss_searches)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Cost(directions, cpu, wall, peak_memory() - memory, recall)


def peak_memory() -> int:
    """Return the most bytes that this process has held since its peak was last forgotten."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(text.split("VmHWM:")[1].split()[0])


def measure_apart(way: str, options: argparse.Namespace) -> Cost:
    """Measure in a new process, whose peak of memory is its own."""
    # The figures of faiss are worth nothing if BLAS takes more threads than it was given.
    environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
    command = [sys.executable, __file__, "--way", way, "--size", str(options.size)]
    command += ["--width", str(options.width), "--threads", str(options.threads)]
    command += ["--faiss-searches", str(options.faiss_searches)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return Cost(**loads(done.stdout.splitlines()[-1]))


def skipped(way: str, size: int) -> str | None:
    """Say why a way is not measured, or None."""
    matrix = 4 * size**2
    if way == "textbook" and matrix > LARGEST_MATRIX:
        return f"its matrix would take {matrix / 2**30:.1f} GiB"
    if way == "faiss" and importlib.util.find_spec("faiss") is None:
        return "faiss is not installed"
    return None


def print_row(way: str, cost: Cost, plait: Cost) -> None:
    """Print a way's cost, of six directions, and relative to ours."""
    factor = DIRECTIONS / cost.directions
    cpu, wall = factor * cost.cpu, factor * cost.wall
    note = "" if factor == 1 else f", of which {cost.directions} measured"
    print(
        f"| `{way}` | {DIRECTIONS}{note} | {cpu:.2f} | {wall:.2f} | {cpu / plait.cpu:.2f}× | "
        f"{cost.memory / 2**20:.0f} MiB | {cost.recall:.4f} |"
    )


def main() -> None:
    """Measure the ways one after another, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=10000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--faiss-searches", type=int, default=DIRECTIONS, choices=range(1, 7))
    parser.add_argument("--way", choices=list(WAYS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(dumps(asdict(measure(options.way, options))))
        return
    print(f"{options.size:,} × {options.width}, {options.threads} thread(s)\n")
    print("| way | directions | CPU s | wall s | CPU of `plait` | extra memory | recall@1 |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    plait = measure_apart("plait", options)
    print_row("plait", plait, plait)
    for way in ("textbook", "faiss"):
        reason = skipped(way, options.size)
        if reason:
            print(f"| `{way}` | skipped: {reason} | | | | | |")
        else:
            print_row(way, measure_apart(way, options), plait)
    machine = describe_machine()
    print(f"\n{machine.processor}, {machine.num_cores} cores, Python {machine.python}")


if __name__ == "__main__":
    main()
