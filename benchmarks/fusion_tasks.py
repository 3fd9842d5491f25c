"""Print which strategy solves which task with a known answer, and after how many samples.

    python benchmarks/fusion_tasks.py [--samples 128000] [--seeds 3] [--fusion concat,film]

A cell is the accuracy on 2,000 fresh samples and, where a strategy comes within two hundredths of
the best possible, the number of training samples it took; the median over the seeds.
"""

import argparse
import statistics
import time

import torch

import plait.fusion
from plait import discovery
from plait.data.synthetic import SPECS, TASKS, Sample, SyntheticTask
from plait.fusion.base import Fusion
from plait.heads.base import HeadShape
from plait.heads.regression import RegressionHead
from plait.results import describe_machine
from plait.types import ActionChunk

WIDTH, BATCH_SIZE, NUM_TEST = 32, 64, 2000
MARGIN = 0.02
Run = tuple[float, int | None]


class Classifier(torch.nn.Module):
    """A fusion and a head that predicts one number a class."""

    def __init__(self, kind: type[Fusion], num_classes: int) -> None:
        super().__init__()
        self.fusion = kind(SPECS, WIDTH, hidden_dim=64)
        shape = HeadShape(WIDTH, self.fusion.num_groups, 1, num_classes)
        self.head = RegressionHead(shape, hidden_dim=64, num_queries=6, query_dim=16)

    def loss(self, sample: Sample) -> torch.Tensor:
        """Return the error against +1 for the answer and -1 for the rest."""
        num_classes = self.head.chunk_shape[1]
        target = 2.0 * torch.nn.functional.one_hot(sample.answer, num_classes) - 1
        chunk = ActionChunk(target.unsqueeze(1), torch.ones(len(target), 1, dtype=torch.bool))
        return self.head.loss(self.fusion(sample.tokens), chunk)

    @torch.no_grad()
    def accuracy(self, sample: Sample) -> float:
        """Return the share of right answers."""
        scores = self.head.predict(self.fusion(sample.tokens))[:, 0]
        return (scores.argmax(dim=1) == sample.answer).float().mean().item()


def train(kind: type[Fusion], task: SyntheticTask, num_samples: int, seed: int) -> Run:
    """Return the final accuracy, and after how many samples the best possible was reached."""
    torch.manual_seed(seed)
    model = Classifier(kind, task.num_classes)
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3)
    test = task.draw(NUM_TEST, seed=10**6 + seed, is_test=True)
    accuracy, reached = 0.0, None
    for step in range(1, num_samples // BATCH_SIZE + 1):
        loss = model.loss(task.draw(BATCH_SIZE, seed=seed * 10**7 + step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % (5 if step <= 100 else 25) == 0:
            accuracy = model.accuracy(test)
            if accuracy >= task.best - MARGIN:
                reached = step * BATCH_SIZE
                break
    return accuracy, reached


def cell(runs: list[Run]) -> str:
    """Word the runs of one strategy on one task."""
    accuracy = statistics.median(run[0] for run in runs)
    reached = [run[1] for run in runs]
    if sum(count is not None for count in reached) * 2 <= len(reached):
        return f"{accuracy:.2f}"
    counts = sorted(count if count is not None else float("inf") for count in reached)
    return f"**{accuracy:.2f}** after {statistics.median_low(counts) / 1000:.1f} k"


def main() -> None:
    """Train and print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=128_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--fusion", default=",".join(discovery.available(plait.fusion)))
    parser.add_argument("--task", default=",".join(TASKS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    tasks = {name: TASKS[name] for name in options.task.split(",")}
    start = time.perf_counter()
    print("| strategy | " + " | ".join(f"{n} (best {t.best:.2f})" for n, t in tasks.items()) + " |")
    print("| --- |" + " --- |" * len(tasks))
    for name in options.fusion.split(","):
        kind = discovery.load(plait.fusion, name, Fusion)
        cells = [
            cell([train(kind, task, options.samples, seed) for seed in range(options.seeds)])
            for task in tasks.values()
        ]
        print(f"| `{name}` | " + " | ".join(cells) + " |", flush=True)
    machine, seconds = describe_machine(), time.perf_counter() - start
    where = f"{machine.processor}, {machine.num_cores} cores, Python {machine.python}"
    print(f"\n{where}; {seconds:.0f} s")


if __name__ == "__main__":
    main()
