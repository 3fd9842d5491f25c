"""How fast the tabletop runs: control steps a second with all pictures, resets and the expert.

python benchmarks/tabletop_speed.py --steps 1000 --image-size 64
"""

import argparse
import os
import platform
import time

import gymnasium
import mujoco
import numpy as np

from plait.envs import make_env
from plait.envs.tabletop.expert import Expert
from plait.envs.tabletop.suites import SUITES


def measure(env: gymnasium.Env, num_steps: int) -> tuple[float, float, float]:
    """Play episodes of the expert; return steps/s (wall), steps/s (CPU) and seconds a reset."""
    expert, reset_s, steps, seed = Expert(env), 0.0, 0, 0
    wall, cpu = time.perf_counter(), time.process_time()
    while steps < num_steps:
        start = time.perf_counter()
        env.reset(seed=seed)
        reset_s += time.perf_counter() - start
        seed += 1
        ended = False
        while not ended:
            _, _, terminated, truncated, _ = env.step(expert.act())
            ended = terminated or truncated
            steps += 1
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return steps / wall, steps / cpu, reset_s / seed


def main() -> None:
    """Print one line a suite."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--cameras", nargs="+", default=["base", "wrist"])
    options = parser.parse_args()
    versions = f"mujoco {mujoco.__version__}, gymnasium {gymnasium.__version__}"
    print(f"{platform.machine()}, {os.cpu_count()} cores, {versions}, numpy {np.__version__}")
    print(f"{options.image_size} px, cameras {' '.join(options.cameras)}; resets included")
    print(f"{'suite':8} {'steps/s':>8} {'steps/CPU s':>12} {'reset ms':>9}")
    for suite in SUITES:
        env = make_env(f"tabletop/{suite}", image_size=options.image_size, cameras=options.cameras)
        measure(env, 50)
        wall, cpu, reset = measure(env, options.steps)
        print(f"{suite:8} {wall:8.0f} {cpu:12.0f} {1000 * reset:9.1f}")


if __name__ == "__main__":
    main()
