"""`plait stress`."""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from tyro.conf import Positional

from plait.cli.options import names, print_json
from plait.errors import OptionError


@dataclass(frozen=True, kw_only=True)
class Stress:
    """Find out what breaks a policy: missing, noisy and late senses, and words it ignores."""

    policy: Positional[str]
    """Folder that Policy.save wrote, or module:function that returns something that predicts."""
    env: str = "tabletop/touch"
    """Environment of the closed loop."""
    data: Path | None = None
    """Demonstrations to ask about, too: action errors on what is held out of them."""
    episodes: int = 50
    """Scenes a condition, the same for all."""
    severities: str = "1,3,5"
    """Which severities, of 1 to 5, separated by commas."""
    corruptions: str | None = None
    """Names, or modalities for all of theirs, separated by commas; all that fit by default."""
    open_loop: bool = False
    """Only demonstrations, no environment; needs --data."""
    execution_horizon: int | None = None
    """Steps of a chunk executed before the next look; 2 by default."""
    against: str | None = None
    """Policies trained otherwise, separated by commas, to tell which training option helps most:
    policies, runs, folders of plait compare, or of finished stress tests of the same scenes."""
    reference: Path | None = None
    """Folder of another policy's stress test, such as late fusion's, for effective robustness."""
    out: Path = Path("outputs/stress")
    """Folder of the cells, the results and the report; an interrupted call goes on in it."""
    workers: int | None = None
    """Processes; one a core by default."""
    seed: int = 1_000_000
    """Seed of the first scene."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> None:
        """Stress, with a progress bar, and print a table and the findings."""
        from plait.compare.console import console
        from plait.compare.stress import REPORT_FILE, StressOptions, stress
        from plait.report.stress import conclude_stress, stress_table

        if self.open_loop and self.data is None:
            raise OptionError("--open-loop asks about demonstrations; name their folder by --data")
        options = StressOptions(
            policy=self.policy,
            env=None if self.open_loop else self.env,
            data=None if self.data is None else str(self.data),
            num_episodes=self.episodes,
            severities=_whole_numbers(self.severities),
            corruptions=names(self.corruptions) or (),
            execution_horizon=self.execution_horizon,
            against=names(self.against) or (),
            reference=self.reference,
            seed=self.seed,
            num_workers=self.workers,
        )
        result = stress(options, self.out, command="plait " + " ".join(sys.argv[1:]))
        if self.json:
            print_json(asdict(result))
        else:
            for table in stress_table(result):
                console.print(table)
            for sentence in conclude_stress(result):
                console.print(f"• {sentence}", markup=False, highlight=False)
        console.print(f"report: {self.out / REPORT_FILE}")


def _whole_numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in names(text) or ())
    except ValueError as error:
        raise OptionError(f"{text!r} must be whole numbers separated by commas: 1,3,5") from error
