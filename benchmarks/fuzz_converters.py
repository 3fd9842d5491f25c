"""Convert damaged datasets of other formats and print what became of them.

    python benchmarks/fuzz_converters.py [--count 500] [--seed 1] [--format rlds]

`--count` mutants of one small dataset a format. A mutant has bits flipped, bytes overwritten, cut
out or repeated, files exchanged or lost, metadata or arrays replaced by what does not belong there;
records of RLDS get right checksums again, so that what is in them is read. Processes may take 4 GiB
more than they begin with; a mutant that takes 20 s ends one. Crashes are those of libraries in C,
their endless loops included: `plait convert` reads such formats in processes of their own, and
reports either.
"""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "data"))


def main() -> int:
    """Run all formats; 1 where any mutant was neither converted nor refused."""
    from fuzz_converters_fakes import FORMATS, run

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--format", choices=FORMATS)
    options = parser.parse_args()
    is_sound = True
    print("format      converted  refused  crashes  errors  slowest, s  memory, MiB")
    for name in [options.format] if options.format else FORMATS:
        with TemporaryDirectory() as folder:
            found = run(Path(folder) / "fuzz", name, options.count, options.seed)
        counts = f"{found['read']:9d}  {found['refused']:7d}  {found['crashes']:7d}"
        numbers = f"{found['seconds']:10.2f}  {found['grown_mib']:11.0f}"
        print(f"{name:10s}  {counts}  {len(found['errors']):6d}  {numbers}", flush=True)
        for error in found["errors"]:
            is_sound = False
            print(error)
    return 0 if is_sound else 1


if __name__ == "__main__":
    sys.exit(main())
