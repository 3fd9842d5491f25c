"""Six-direction InfoNCE: Plait's tiles against the textbook's six matrices, and one pair of CLIP's.

    python benchmarks/alignment_loss.py --batch 4096 --width 512

Every way runs in a process of its own with one thread: loss and gradient, the best of three in CPU
seconds, and by how much the largest memory of the process grew. The error is that of the gradient
against float64, ‖ours − exact‖ / ‖exact‖, at a batch that float64 can hold.
"""

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from plait.alignment.contrast import Pair, Tiling, contrast
from plait.alignment.losses import six_directions
from plait.results import describe_machine

REPEATS = 3
SCALE = 1 / 0.07
ERROR_BATCH = 1024
Way = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def textbook(v: Tensor, t: Tensor, a: Tensor, scale: Tensor) -> Tensor:
    """Six matrices, each with its own product, division by the temperature, and softmax."""
    labels, temperature = torch.arange(len(v)), 1 / scale
    pairs = ((v, t), (t, v), (v, a), (a, v), (t, a), (a, t))
    losses = [F.cross_entropy(x @ y.T / temperature, labels) for x, y in pairs]
    return torch.stack(losses).mean()


def clip_pair(v: Tensor, t: Tensor, _a: Tensor, scale: Tensor) -> Tensor:
    """One pair as OpenCLIP's loss has it on one device: two products, two softmaxes."""
    labels = torch.arange(len(v))
    per_image, per_text = scale * v @ t.T, scale * t @ v.T
    return (F.cross_entropy(per_image, labels) + F.cross_entropy(per_text, labels)) / 2


def tiled(precision: str) -> Way:
    """Plait's, all pairs."""
    return lambda v, t, a, s: six_directions(v, t, a, s, tiling=Tiling(precision=precision)).total


def tiled_pair(v: Tensor, t: Tensor, _a: Tensor, scale: Tensor) -> Tensor:
    """Plait's, one pair."""
    return contrast([v, t], [Pair(0, 1)], [scale]).total


WAYS = {
    "textbook": textbook,
    "plait": tiled("highest"),
    "plait, medium": tiled("medium"),
    "clip, one pair": clip_pair,
    "plait, one pair": tiled_pair,
}


def inputs(
    batch: int, width: int, dtype: torch.dtype = torch.float32
) -> tuple[list[Tensor], Tensor]:
    """Return three sets of unit vectors and a scale, all with gradients."""
    torch.manual_seed(0)
    vectors = [F.normalize(torch.randn(batch, width), dim=1) for _ in range(3)]
    # Partners that are somewhat alike, as in training.
    mixed = [F.normalize(vectors[0] + 2 * values, dim=1) for values in vectors]
    leaves = [values.to(dtype).requires_grad_() for values in mixed]
    return leaves, torch.tensor(SCALE, dtype=dtype, requires_grad=True)


def peak_kibibytes() -> int:
    """Return the largest resident memory of this process so far."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(text.split("VmHWM:")[1].split()[0])


def measure(way: str, batch: int, width: int) -> dict[str, float]:
    """Time one way in this process."""
    torch.set_num_threads(1)
    leaves, scale = inputs(batch, width)
    # Forget the peak of making the inputs (Linux).
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = peak_kibibytes()
    best = math.inf
    for _ in range(REPEATS):
        for leaf in (*leaves, scale):
            leaf.grad = None
        start = time.process_time()
        WAYS[way](*leaves, scale).backward()
        best = min(best, time.process_time() - start)
    grown = peak_kibibytes() - before
    return {"seconds": best, "mebibytes": grown / 1024}


def gradient_error(way: str, width: int) -> float:
    """Compare the gradient with that of the plain formula in float64."""
    exact = clip_pair if "one pair" in way else textbook
    leaves, scale = inputs(ERROR_BATCH, width)
    WAYS[way](*leaves, scale).backward()
    doubles, double_scale = inputs(ERROR_BATCH, width, torch.float64)
    exact(*doubles, double_scale).backward()
    pairs = [(x.grad, y.grad) for x, y in zip(leaves, doubles, strict=True) if x.grad is not None]
    return max(float((x.double() - y).norm() / y.norm()) for x, y in pairs if y.norm() > 0)


def main() -> None:
    """Measure every way, and print ratios to the textbook's."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.batch, options.width)))
        return
    skipped = [name for name in ("textbook",) if options.batch > 8192]
    found = {}
    for way in WAYS:
        if way in skipped:
            continue
        command = [sys.executable, __file__, "--one", way]
        command += ["--batch", str(options.batch), "--width", str(options.width)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[way] = json.loads(done.stdout)
    base = {"plait, one pair": "clip, one pair"}
    print(f"batch {options.batch}, width {options.width}, forward and backward, one thread")
    for way, values in found.items():
        reference = found.get(base.get(way, "textbook"), values)
        print(
            f"{way:16s} {values['seconds']:7.3f} s CPU  {values['mebibytes']:7.0f} MiB   "
            f"time ÷{reference['seconds'] / values['seconds']:5.2f}  "
            f"memory ÷{reference['mebibytes'] / max(values['mebibytes'], 1):6.1f}  "
            f"gradient error {gradient_error(way, options.width):.1e}"
        )
    machine = describe_machine()
    print(f"{machine.processor}, {machine.num_cores} cores, torch {machine.packages['torch']}")


if __name__ == "__main__":
    main()
