"""`plait inspect`."""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from tyro.conf import Positional

from plait.cli.options import names, print_json

FOUND_ERRORS = 1


@dataclass(frozen=True, kw_only=True)
class Inspect:
    """Look at a dataset before training on it: is it sound, and can language be ignored?"""

    data: Positional[Path]
    """Folder of the dataset."""
    shortcuts: bool = False
    """Also check whether a policy can ignore its instruction."""
    strict: bool = False
    """Exit with 1 where an error is found."""
    cameras: str | None = None
    """Cameras to look at, separated by commas; all by default."""
    look_at: int = 24
    """Episodes whose frames are looked at, evenly spread; 0 for all."""
    frames: int = 8
    """Frames of each of these."""
    image_size: int = 64
    """Shortcuts: height and width to resize to in pixels."""
    episodes: int = 2000
    """Shortcuts: episodes to learn from and measure on, drawn at random; 0 for all."""
    steps: int = 300
    """Shortcuts: batches that each of three small networks learns from."""
    seed: int = 0
    """Of everything random."""
    out: Path = Path("outputs/inspect")
    """Folder for report.html, results.json and the contact sheets."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> int:
        """Check, with progress bars; print the findings; return the exit code."""
        from plait.compare.console import console
        from plait.compare.inspection import REPORT_FILE, inspect_dataset, inspection_lines
        from plait.evaluation.inspection.looking import LookSettings
        from plait.evaluation.shortcuts import ShortcutSettings
        from plait.results.inspection import ERROR, count_of

        shortcuts = ShortcutSettings(
            num_episodes=self.episodes, num_steps=self.steps, seed=self.seed
        )
        result = inspect_dataset(
            self.data,
            self.out,
            looking=LookSettings(num_episodes=self.look_at, num_frames=self.frames),
            shortcuts=shortcuts if self.shortcuts else None,
            cameras=names(self.cameras),
            image_size=self.image_size,
            seed=self.seed,
            command="plait " + " ".join(sys.argv[1:]),
        )
        if self.json:
            print_json(asdict(result))
        else:
            for line in inspection_lines(result):
                console.print(line, highlight=False)
            console.print(f"report: {self.out / REPORT_FILE}", highlight=False)
        has_errors = count_of(result.findings, ERROR) > 0
        return FOUND_ERRORS if self.strict and has_errors else 0
