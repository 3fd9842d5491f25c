"""Read damaged datasets and print what became of them: read, refused in a sentence, or worse.

    python benchmarks/fuzz_readers.py [--count 500] [--seed 1]

`--count` mutants of each of four small datasets: LeRobot v2.1 and v3.0, images in the rows and in
videos. A mutant has bits flipped, bytes overwritten, cut out or repeated, values of JSON files or
columns of parquet files replaced, files exchanged or lost. Every dataset has a process of its own
that may take 4 GiB more than it begins with; a mutant that takes 20 s ends it.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from subprocess import run
from tempfile import TemporaryDirectory

SCRIPT = Path(__file__).parent.parent / "tests" / "data" / "fuzz_fakes.py"


def main() -> int:
    """Run all four; 1 where any mutant was neither read nor refused."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    path = os.pathsep.join(entry for entry in sys.path if entry)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    is_sound = True
    print("layout  images   read  refused  errors  slowest, s  memory, MiB")
    for layout in ("v2.1", "v3.0"):
        for storage in ("image", "video"):
            with TemporaryDirectory() as folder:
                settings = [folder, layout, storage, str(options.count), str(options.seed)]
                command = [sys.executable, str(SCRIPT), *settings]
                done = run(command, env=environment, capture_output=True, text=True, check=False)
                if done.returncode:
                    print(f"{layout}  {storage}: ended at {Path(folder, 'last.txt').read_text()}")
                    print(done.stderr)
                    is_sound = False
                    continue
            found = json.loads(done.stdout)
            numbers = f"{found['seconds']:11.2f}  {found['grown_mib']:11.0f}"
            counts = f"{found['read']:6d}  {found['refused']:7d}  {len(found['errors']):6d}"
            print(f"{layout:6s}  {storage:6s}{counts}  {numbers}")
            for error in found["errors"]:
                is_sound = False
                print(error)
    return 0 if is_sound else 1


if __name__ == "__main__":
    sys.exit(main())
