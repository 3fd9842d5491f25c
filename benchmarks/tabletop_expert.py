"""How often the scripted expert succeeds, with Wilson's 95 % interval, in how many steps.

python benchmarks/tabletop_expert.py --scenes 500 --noise 0.3
"""

import argparse
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np

from plait.envs import make_env
from plait.envs.tabletop.expert import Expert, perturb
from plait.envs.tabletop.suites import MAX_STEPS
from plait.evaluation.statistics import wilson


def play(seeds: range, verb: str, noise: float) -> list[tuple[int, str, int]]:
    """Play the scenes of a verb; return each one's seed, outcome and number of steps."""
    env = make_env(f"tabletop/{verb}", split="any", image_size=8, cameras=("base",))
    expert, results = Expert(env), []
    for seed in seeds:
        env.reset(seed=seed)
        rng = np.random.default_rng([seed, 1])
        ended, steps = False, 0
        while not ended:
            action = perturb(expert.act(), rng, probability=noise)
            _, _, terminated, truncated, info = env.step(action)
            ended, steps = terminated or truncated, steps + 1
        results.append((seed, info["outcome"], steps))
    return results


def main() -> None:
    """Print one line a verb and one for all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=500, help="scenes a verb")
    parser.add_argument("--noise", type=float, default=0.0, help="share of disturbed steps")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    parts = [range(part, options.scenes, options.workers) for part in range(options.workers)]
    print(f"{options.scenes} scenes a verb, {100 * options.noise:.0f} % of the steps disturbed")
    print(f"{'verb':6} {'success':>8} {'95 % interval':>16} {'steps':>6} {'p95':>4}  failures")
    total = 0
    with ProcessPoolExecutor(options.workers) as pool:
        for verb in MAX_STEPS:
            of_verb = partial(play, verb=verb, noise=options.noise)
            results = [result for part in pool.map(of_verb, parts) for result in part]
            steps = [count for _, outcome, count in results if outcome == "success"]
            failed = [result for result in results if result[1] != "success"]
            total += len(steps)
            found = wilson(len(steps), len(results))
            print(
                f"{verb:6} {100 * len(steps) / len(results):7.1f}% "
                f"{100 * found.low:7.1f} – {100 * found.high:5.1f}% {np.mean(steps):6.1f} "
                f"{np.percentile(steps, 95):4.0f}  "
                f"{dict(Counter(outcome for _, outcome, _ in failed)) or '-'} "
                f"{sorted(seed for seed, *_ in failed)[:6] or ''}"
            )
    trials = options.scenes * len(MAX_STEPS)
    found = wilson(total, trials)
    print(
        f"{'all':6} {100 * total / trials:7.1f}% {100 * found.low:7.1f} – {100 * found.high:5.1f}%"
    )


if __name__ == "__main__":
    main()
