"""Options of how actions are represented and scaled."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from plait.action_spec import Mode, Normalization
from plait.errors import OptionError

if TYPE_CHECKING:
    from plait.action_spec import ActionSpec


@dataclass(frozen=True, kw_only=True)
class ActionOptions:
    """What a policy predicts of an action, and how that is scaled."""

    actions: Mode | None = None
    """What is predicted: the absolute action (default), its delta to the action before, or the
    action relative to the state that the chunk starts from. Grippers stay absolute."""
    normalization: Normalization | None = None
    """What brings actions to about [-1, 1]: minmax (default), quantile (1 % to 99 %), or zscore."""
    action_spec: Path | None = None
    """JSON file that says so for groups of dimensions: rotations, grippers, clipping."""

    def spec(self) -> "ActionSpec | None":
        """Return what was asked for; None for nothing.

        Raises:
            OptionError: If a file and an option say different things, or the file is wrong.
            DataError: If there is no such file.
        """
        from plait.action_spec import ActionSpec
        from plait.data.action_file import read_action_spec

        given = {"mode": self.actions, "normalization": self.normalization}
        named = {name: value for name, value in given.items() if value is not None}
        if self.action_spec is None:
            return ActionSpec(**named) if named else None  # type: ignore[arg-type]
        if named:
            raise OptionError(
                f"--action-spec {self.action_spec} says how actions are told and scaled; leave out "
                "--actions and --normalization, or write them into the file"
            )
        return read_action_spec(self.action_spec)
