"""Print training throughput of every strategy at the default size, and its latency.

    python benchmarks/training_speed.py [--steps 20] [--rounds 3] [--fusion concat,film]

Samples a second are of whole optimiser steps on one core, data included, and relative to `concat`
in the same round; latency is of one observation. `--denormals` leaves denormal numbers to the CPU,
as PyTorch does by default; what that costs shows after some hundreds of steps (`--warmup 800`).
"""

import argparse
import statistics
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

import plait.fusion
from plait import discovery
from plait.compare.demonstrations import record_demonstrations
from plait.compare.plan import match_sizes
from plait.compare.settings import Arm, preset, run_config
from plait.data.dataset import Demonstrations
from plait.data.normalize import Normalizer
from plait.policy import Policy, build_policy
from plait.results import describe_machine
from plait.testing import fake_observation
from plait.training.batches import BatchSource, describe_data
from plait.training.loop import Trainer


def make_trainers(folder: str, fusions: list[str]) -> dict[str, tuple[Trainer, BatchSource]]:
    """Return a trainer and its batches for every strategy, all of the size of the default."""
    settings = replace(preset("default"), fusions=tuple(fusions))
    root = Path(folder) / "demos"
    record_demonstrations(
        settings.env, root, num_episodes=200, noise=settings.noise, cameras=settings.cameras,
        image_size=settings.image_size, seed=0, num_workers=1,
    )  # fmt: skip
    data = Demonstrations.open(
        root,
        cameras=settings.cameras,
        image_size=settings.image_size,
        action_horizon=settings.policy.action_horizon,
    )
    spec, episodes = describe_data(data, settings.image_size), np.arange(200)
    normalizer = Normalizer.from_stats(data.norm_stats(episodes))
    made = {}
    for name, config in match_sizes(settings, spec).items():
        run = run_config(settings, Arm(fusion=name), 0, str(root), config)
        policy = build_policy(config, spec, normalizer, 0)
        made[name] = (
            Trainer(policy, run.training),
            BatchSource(data, episodes, run.training, run.masked),
        )
    return made


def latency_ms(policy: Policy, count: int = 100) -> tuple[float, float]:
    """Return the median and the 99th percentile of single predictions."""
    observation = fake_observation(policy.data, batch_size=1)
    times = []
    for _ in range(count):
        start = time.perf_counter()
        policy.predict(observation)
        times.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times)), float(np.quantile(times, 0.99))


def main() -> None:
    """Time the strategies in turn, several rounds, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--fusion", default=",".join(discovery.available(plait.fusion)))
    parser.add_argument("--denormals", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    fusions = options.fusion.split(",")
    if "concat" not in fusions:
        fusions.append("concat")
    rates: dict[str, list[float]] = {name: [] for name in fusions}
    with TemporaryDirectory() as folder:
        trainers = make_trainers(folder, fusions)
        torch.set_flush_denormal(not options.denormals)
        done = dict.fromkeys(fusions, 0)
        for _ in range(options.rounds):
            for name, (trainer, batches) in trainers.items():
                first = done[name]
                for step in range(first, first + options.warmup):
                    trainer.step(step, batches(step))
                first += options.warmup
                start = time.process_time()
                for step in range(first, first + options.steps):
                    trainer.step(step, batches(step))
                seconds = time.process_time() - start
                rates[name].append(64 * options.steps / seconds)
                done[name] = first + options.steps
        print("| strategy | parameters | samples/s | of `concat` | latency p50, p99 |")
        print("| --- | ---: | ---: | ---: | ---: |")
        for name, (trainer, _) in trainers.items():
            policy = trainer.policy.eval()
            median, tail = latency_ms(policy)
            pairs = zip(rates[name], rates["concat"], strict=True)
            ratio = statistics.median(one / other for one, other in pairs)
            print(
                f"| `{name}` | {policy.num_parameters() / 1000:.0f} k | "
                f"{statistics.median(rates[name]):,.0f} | {ratio:.2f} | "
                f"{median:.1f}, {tail:.1f} ms |"
            )
    machine = describe_machine()
    print(f"\n{machine.processor}, {machine.num_cores} cores, Python {machine.python}")


if __name__ == "__main__":
    main()
