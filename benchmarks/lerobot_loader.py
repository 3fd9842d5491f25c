"""LeRobot's side of `loader.py`, run in LeRobot's environment; not a benchmark by itself.

    python lerobot_loader.py DATASET --workers 2 --batch-size 32 --horizon 16

Answers each line on standard input, a number of batches, with samples a second. A process has one
number of workers all its life: workers forked from a process that decoded before share its decoder,
and fail (lerobot #2488).
"""

import argparse
import os
import sys
import time
from itertools import islice

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from torch.utils.data import DataLoader


def main() -> None:
    """Time batches as long as anyone asks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--horizon", type=int, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    fps = LeRobotDataset("local/set", root=options.dataset).fps
    chunk = {"action": [step / fps for step in range(options.horizon)]}
    data = LeRobotDataset(
        "local/set", root=options.dataset, delta_timestamps=chunk, return_uint8=True
    )
    loader = DataLoader(
        data, batch_size=options.batch_size, shuffle=True, num_workers=options.workers
    )
    print(f"ready {data.reader._video_backend}", flush=True)
    for line in sys.stdin:
        num_batches, batches = int(line), iter(loader)
        # Starting the workers and filling their queues is not counted.
        for _ in islice(batches, 2 * max(1, options.workers)):
            pass
        start = time.perf_counter()
        count = sum(len(batch["action"]) for batch in islice(batches, num_batches))
        print(f"rate {count / (time.perf_counter() - start)}", flush=True)


if __name__ == "__main__":
    main()
