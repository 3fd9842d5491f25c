"""`plait align`."""

import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from plait.cli.options import Learning, Towers, json_options, print_json

if TYPE_CHECKING:
    from plait.config import AlignConfig


@dataclass(frozen=True, kw_only=True)
class Align(Learning):
    """Align vision, text and action contrastively; measure retrieval and the modality gap."""

    objective: str = "info_nce"
    """info_nce, sigmoid, gram, symile, or module:Class."""
    options: str = "{}"
    """Options of the objective as JSON, e.g. '{"repeats": "keep", "fused_weight": 0}'."""
    parts: Towers = field(default_factory=Towers)
    out: Path = Path("outputs/align")
    """Folder of the towers, the results and the report; an interrupted call goes on in it."""
    width: int = 48
    """Size of the token axis; a policy that starts from the towers must have the same."""
    embedding_dim: int = 64
    """Size of the shared space."""
    action_horizon: int = 8
    """Steps of the action chunks."""
    action_sees_proprio: bool = False
    """Let the action tower read the robot's state, too."""
    shares_projection: bool = False
    """Give all towers one last layer, which narrows the gap between modalities."""
    patience: int = 5
    """Validations without better held-out retrieval after which to stop; 0 for never."""
    batch_size: int = 256
    """Samples a step; every other one is a negative."""
    micro_batch_size: int = 0
    """Samples encoded at a time, for batches that do not fit; 0 for all at once."""
    validation_fraction: float = 0.1
    """Share of the episodes held out."""

    def run(self) -> None:
        """Align, with a progress bar, and print the retrieval table."""
        from plait.compare.align import REPORT_FILE, align
        from plait.compare.console import console
        from plait.report.alignment import alignment_table, conclude_alignment

        result = align(
            self._config(),
            self.out,
            command="plait " + " ".join(sys.argv[1:]),
            tensorboard=self.tensorboard,
        )
        if self.json:
            print_json(asdict(result))
        else:
            console.print(alignment_table(result))
            for sentence in conclude_alignment(result):
                console.print(f"• {sentence}")
        console.print(f"towers: {self.out / 'aligner'}   report: {self.out / REPORT_FILE}")

    def _config(self) -> "AlignConfig":
        from plait.config import AlignConfig, AlignerConfig, Component

        aligner = AlignerConfig(
            objective=Component(name=self.objective, options=json_options(self.options)),
            width=self.width,
            embedding_dim=self.embedding_dim,
            action_horizon=self.action_horizon,
            action_sees_proprio=self.action_sees_proprio,
            shares_projection=self.shares_projection,
            micro_batch_size=self.micro_batch_size,
            **self.parts.given(),
        )
        return AlignConfig(
            data=self.data_config(self.parts, validation_fraction=self.validation_fraction),
            aligner=aligner,
            training=self.training_config(),
            patience=self.patience,
        )
