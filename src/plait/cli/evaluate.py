"""`plait evaluate`."""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from tyro.conf import Positional

from plait.cli.options import names, print_json


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Roll a policy out in closed loop: success by task and group, with 95 % intervals."""

    policy: Positional[str]
    """Folder that Policy.save wrote, or module:function that returns what predicts."""
    env: str = "tabletop/touch"
    """Environment id."""
    episodes: int = 100
    """Scenes."""
    execution_horizon: int = 2
    """Steps of a chunk executed before the next look."""
    mask: str | None = None
    """Modalities hidden from the policy, separated by commas."""
    controls: bool = False
    """Play the same scenes again with the instruction, and with the images, hidden."""
    render: str | None = None
    """Take pictures otherwise than those the policy was trained on: opengl or raycast, where the
    environment knows both."""
    films: int = 2
    """Films of failures, and of successes, in the report."""
    out: Path | None = None
    """Folder of the cells, the results and the report; an interrupted call goes on in it. Nothing
    is kept by default."""
    workers: int | None = None
    """Processes; one a core by default."""
    seed: int = 1_000_000
    """Seed of the first scene."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> None:
        """Evaluate, with a progress bar, and print the rates."""
        from plait.compare.console import console
        from plait.compare.evaluate import REPORT_FILE, EvaluationOptions, evaluate
        from plait.report.evaluation import conclude_evaluation, evaluation_table

        options = EvaluationOptions(
            policy=self.policy,
            env=self.env,
            num_episodes=self.episodes,
            execution_horizon=self.execution_horizon,
            masked=names(self.mask) or (),
            has_controls=self.controls,
            num_films=self.films,
            render=self.render,
            seed=self.seed,
            num_workers=self.workers,
        )
        result = evaluate(options, self.out, command="plait " + " ".join(sys.argv[1:]))
        if self.json:
            print_json(asdict(result))
        else:
            console.print(evaluation_table(result))
            for sentence in conclude_evaluation(result):
                console.print(f"• {sentence}", markup=False, highlight=False)
        if self.out is not None:
            console.print(f"report: {self.out / REPORT_FILE}")
