"""`plait inspect`."""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from tyro.conf import Positional

from plait.cli.options import names, print_json, to_stderr


@dataclass(frozen=True, kw_only=True)
class Inspect:
    """Look at a dataset before training on it: can a policy ignore its instruction?"""

    data: Positional[Path]
    """Folder of the dataset."""
    shortcuts: bool = False
    """Check whether language can be ignored: the only check so far, made in any case."""
    cameras: str | None = None
    """Cameras to read, separated by commas; all by default."""
    image_size: int = 64
    """Height and width to resize to in pixels."""
    episodes: int = 2000
    """Episodes to look at, drawn at random; 0 for all."""
    steps: int = 300
    """Batches that each of three small networks learns from."""
    seed: int = 0
    """Of everything random."""
    out: Path | None = None
    """Folder to write results.json to."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> None:
        """Measure, with a progress bar, and print tables, findings and verdict."""
        from plait.compare.console import console
        from plait.compare.shortcuts import inspect_shortcuts, shortcuts_lines
        from plait.evaluation.shortcuts import ShortcutSettings

        if not self.shortcuts:
            to_stderr("plait inspect has one check so far, --shortcuts; it is made now")
        result = inspect_shortcuts(
            self.data,
            ShortcutSettings(num_episodes=self.episodes, num_steps=self.steps, seed=self.seed),
            cameras=names(self.cameras),
            image_size=self.image_size,
            out=self.out,
            command="plait " + " ".join(sys.argv[1:]),
        )
        if self.json:
            print_json(asdict(result))
            return
        for line in shortcuts_lines(result):
            console.print(line, highlight=False)
