"""`plait transfer`."""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from tyro.conf import Positional

from plait.cli.options import names, print_json


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """Find out what is left of success where no demonstration helps: combinations, words, verbs."""

    policies: Positional[tuple[str, ...]]
    """Folders of comparisons or of policies, or module:function that returns what predicts."""
    env: str | None = None
    """Environments to ask in besides the one that was trained on, separated by commas; its held-out
    combinations and paraphrases, and the suites of other verbs, by default."""
    trained_on: str | None = None
    """Environment of the demonstrations, where nothing says so."""
    episodes: int = 100
    """Scenes a challenge and training seed, the same for all strategies."""
    unknown_words: str = "refuse"
    """What policies do with words they do not know: refuse the instruction, or mask the words."""
    execution_horizon: int | None = None
    """Steps of a chunk executed before the next look; as in the comparison, or 2, by default."""
    out: Path = Path("outputs/transfer")
    """Folder of the cells, the results and the report; an interrupted call goes on in it."""
    workers: int | None = None
    """Processes; one a core by default."""
    seed: int = 1_000_000
    """Seed of the first scene."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> None:
        """Ask, with a progress bar, and print a table and the findings."""
        from plait.compare.console import console
        from plait.compare.transfer import REPORT_FILE, TransferOptions, transfer
        from plait.report.transfer import conclude_transfer, transfer_table

        options = TransferOptions(
            sources=self.policies,
            envs=names(self.env) or (),
            trained_on=self.trained_on,
            num_episodes=self.episodes,
            execution_horizon=self.execution_horizon,
            unknown_words=self.unknown_words,
            seed=self.seed,
            num_workers=self.workers,
        )
        result = transfer(options, self.out, command="plait " + " ".join(sys.argv[1:]))
        if self.json:
            print_json(asdict(result))
        else:
            console.print(transfer_table(result))
            for sentence in conclude_transfer(result):
                console.print(f"• {sentence}", markup=False, highlight=False)
        console.print(f"report: {self.out / REPORT_FILE}")
