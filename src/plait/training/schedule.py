"""The learning rate as a pure function of the step, so that resuming needs no state."""

import math


def learning_rate(step: int, *, peak: float, warmup_steps: int, num_steps: int) -> float:
    """Return the rate of a step: linear warm-up to `peak`, then half a cosine down to zero.

    Args:
        step: Index of the step, from 0.
        peak: Largest rate.
        warmup_steps: Steps of warm-up; the first step has rate `peak / warmup_steps`.
        num_steps: All steps, the warm-up included.

    Reference: Loshchilov & Hutter, 2017 (SGDR), without restarts.
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(num_steps - warmup_steps, 1)
    return peak * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
