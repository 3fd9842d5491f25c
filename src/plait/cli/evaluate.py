"""`plait evaluate`."""

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from plait.cli.options import names, print_json


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Roll a policy out in closed loop: success per task with 95 % intervals."""

    policy: Positional[Path]
    """Folder that Policy.save wrote."""
    env: str = "tabletop/touch"
    """Environment id."""
    episodes: int = 100
    """Scenes."""
    execution_horizon: int = 2
    """Steps of a chunk executed before the next look."""
    mask: str | None = None
    """Modalities hidden from the policy, separated by commas."""
    seed: int = 1_000_000
    """Seed of the first scene."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> None:
        """Evaluate and print the rates."""
        from plait.compare.console import console
        from plait.compare.single import evaluate_one, evaluation_table

        summary = evaluate_one(
            self.policy,
            self.env,
            num_episodes=self.episodes,
            execution_horizon=self.execution_horizon,
            masked=names(self.mask) or (),
            seed=self.seed,
        )
        if self.json:
            print_json(summary)
        else:
            console.print(evaluation_table(summary))
