"""Six-direction InfoNCE: Plait's tiles against the textbook's six matrices, and one pair of CLIP's.

    python benchmarks/alignment_loss.py --batch 4096 --width 512
    python benchmarks/alignment_loss.py --open-clip-loss SITE_PACKAGES/open_clip/loss.py

Every way runs in a process of its own with one thread: loss and gradient, the best of `--repeats`
in CPU seconds, and by how much the resident memory of the process rose above what it was before.
The error is that of the gradient against float64, ‖ours − exact‖ / ‖exact‖, at a batch that float64
can hold.

One pair is compared with OpenCLIP's own `ClipLoss` where that package, or the file `loss.py` of it,
is there (the file alone needs no torchvision), else with the same formula written out here.
"""

import argparse
import ctypes
import importlib.util
import json
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

SCALE = 1 / 0.07
ERROR_BATCH = 1024
ERROR_SCALES = (SCALE, 100.0)
WARM_UP_BATCH = 600
LARGEST_PLAIN_BATCH = 8192
# Partners are found, but not always: a gradient of nothing would have no error to speak of.
NOISE = 2.5
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


def open_clip_pair(file: Path) -> Way:
    """One pair with `ClipLoss` itself, from its file: the package would import torchvision."""
    spec = importlib.util.spec_from_file_location("open_clip_loss", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    loss = module.ClipLoss()
    return lambda v, t, _a, s: loss(v, t, s)


def installed_open_clip_loss() -> Path | None:
    """Return the file of OpenCLIP's loss if the package is installed; it is not imported."""
    spec = importlib.util.find_spec("open_clip")
    return None if spec is None else Path(spec.submodule_search_locations[0], "loss.py")


def tiled(precision: str) -> Way:
    """Plait's, all pairs."""
    return lambda v, t, a, s: six_directions(v, t, a, s, tiling=Tiling(precision=precision)).total


def tiled_pair(v: Tensor, t: Tensor, _a: Tensor, scale: Tensor) -> Tensor:
    """Plait's, one pair."""
    return contrast([v, t], [Pair(0, 1)], [scale]).total


def ways(open_clip_loss: Path | None) -> dict[str, Way]:
    """Return all that are compared; those with "one pair" in their name among themselves."""
    other = "clip" if open_clip_loss is None else "open_clip"
    one_pair = clip_pair if open_clip_loss is None else open_clip_pair(open_clip_loss)
    return {
        "textbook": textbook,
        "plait": tiled("auto"),
        "plait, highest": tiled("highest"),
        "plait, bf16": tiled("bf16"),
        f"{other}, one pair": one_pair,
        "plait, one pair": tiled_pair,
    }


def inputs(
    batch: int, width: int, dtype: torch.dtype = torch.float32, scale: float = SCALE
) -> tuple[list[Tensor], Tensor]:
    """Return three sets of unit vectors and a scale, all with gradients."""
    torch.manual_seed(0)
    shared = torch.randn(batch, width)
    vectors = [F.normalize(shared + NOISE * torch.randn(batch, width), dim=1) for _ in range(3)]
    leaves = [values.to(dtype).requires_grad_() for values in vectors]
    return leaves, torch.tensor(scale, dtype=dtype, requires_grad=True)


def peak_kibibytes() -> int:
    """Return the largest resident memory of this process so far."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(text.split("VmHWM:")[1].split()[0])


def measure(way: Way, options: argparse.Namespace) -> dict[str, float]:
    """Time one way in this process."""
    torch.set_num_threads(1)
    # What is loaded lazily, libraries and the trial of precisions, is loaded before.
    small, scale = inputs(WARM_UP_BATCH, options.width)
    way(*small, scale).backward()
    leaves, scale = inputs(options.batch, options.width)
    seconds, peaks = [], []
    for _ in range(options.repeats):
        for leaf in (*leaves, scale):
            leaf.grad = None
        # What was taken before and is free now would hide what is taken next (glibc, Linux).
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        before, start = peak_kibibytes(), time.process_time()
        way(*leaves, scale).backward()
        seconds.append(time.process_time() - start)
        peaks.append(peak_kibibytes() - before)
    return {"seconds": min(seconds), "mebibytes": max(peaks) / 1024}


def measure_apart(way: str, options: argparse.Namespace) -> dict[str, float]:
    """Time one way in a new process, whose memory is its own."""
    command = [sys.executable, __file__, "--one", way]
    command += ["--batch", str(options.batch), "--width", str(options.width)]
    command += ["--repeats", str(options.repeats)]
    if options.open_clip_loss:
        command += ["--open-clip-loss", str(options.open_clip_loss)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def gradient_error(name: str, way: Way, width: int, scale: float) -> float:
    """Compare the gradient with that of the plain formula in float64."""
    exact = clip_pair if "one pair" in name else textbook
    leaves, slope = inputs(ERROR_BATCH, width, scale=scale)
    way(*leaves, slope).backward()
    doubles, double_slope = inputs(ERROR_BATCH, width, torch.float64, scale)
    exact(*doubles, double_slope).backward()
    pairs = [(x.grad, y.grad) for x, y in zip(leaves, doubles, strict=True) if x.grad is not None]
    return max(float((x.double() - y).norm() / y.norm()) for x, y in pairs if y.norm() > 0)


def print_row(name: str, found: dict[str, dict[str, float]], errors: list[float]) -> None:
    """Print what a way took, what it saves, and its errors at both scales."""
    kind = "one pair" if "one pair" in name else "textbook"
    bases = [found[other] for other in found if kind in other and "plait" not in other]
    seconds, mebibytes = found[name]["seconds"], found[name]["mebibytes"]
    ratios = "– | –"
    if bases:
        base = bases[0]
        ratios = f"÷{base['seconds'] / seconds:.2f} | ÷{base['mebibytes'] / mebibytes:.1f}"
    shown = " | ".join(f"{error:.1e}" for error in errors)
    print(f"| {name} | {seconds:.2f} | {mebibytes:.0f} | {ratios} | {shown} |")


def main() -> None:
    """Measure every way, and print ratios to the textbook's, or to CLIP's one pair."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--open-clip-loss", type=Path, default=installed_open_clip_loss())
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    all_ways = ways(options.open_clip_loss)
    if options.one:
        print(json.dumps(measure(all_ways[options.one], options)))
        return
    # Whole matrices of a larger batch would take tens of gigabytes.
    shown = [way for way in all_ways if "plait" in way or options.batch <= LARGEST_PLAIN_BATCH]
    print(f"batch {options.batch}, width {options.width}, forward and backward, one thread\n")
    print("| way | CPU s | MiB | time | memory | error at 1/0.07 | at 100 |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    found = {way: measure_apart(way, options) for way in shown}
    for way in shown:
        errors = [gradient_error(way, all_ways[way], options.width, s) for s in ERROR_SCALES]
        print_row(way, found, errors)
    machine = describe_machine()
    print(f"\n{machine.processor}, {machine.num_cores} cores, torch {machine.packages['torch']}")


if __name__ == "__main__":
    main()
