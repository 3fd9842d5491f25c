"""How a policy's actions are represented and scaled: plain frozen values, JSON in and out.

`plait.data.actions` does what is said here. Dimensions that no group names are numbers such as
joint angles or positions (`joint`), in the mode and normalisation of the whole.
"""

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal[
    "joint", "eef_position", "rotation6d", "rpy", "axis_angle", "gripper_binary", "gripper"
]
Mode = Literal["absolute", "delta", "relative"]
Normalization = Literal["quantile", "minmax", "zscore", "none"]

KINDS: tuple[str, ...] = get_args(Kind)
MODES: tuple[str, ...] = get_args(Mode)
NORMALIZATIONS: tuple[str, ...] = get_args(Normalization)
# Numbers that one rotation has in the data.
ROTATION_DIMS = {"rotation6d": 6, "rpy": 3, "axis_angle": 3}
JOINT: Kind = "joint"
GRIPPER: Kind = "gripper"
GRIPPER_BINARY: Kind = "gripper_binary"
ABSOLUTE: Mode = "absolute"
DELTA: Mode = "delta"
RELATIVE: Mode = "relative"


@dataclass(frozen=True, kw_only=True)
class ActionGroup:
    """Some dimensions of an action that are treated alike; of a rotation, exactly its numbers.

    Attributes:
        dims: Which dimensions, counted from 0; or
        names: their names in `info.json`.
        kind: What they are.
        mode: What the head predicts: the `absolute` action, the `delta` to the action before (of
            the first, to the state), or the action `relative` to the state at the chunk's start.
            None is that of the whole; a gripper's is `absolute` then.
        state_dims: Dimensions of the state with the same quantities, in the same order; or
        state_names: their names. Where neither is given, those with the actions' names.
        normalization: None is that of the whole; a rotation's is `none` then.
        clip: Whether normalised values are held in [-1, 1]. None is as the whole does.
    """

    dims: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    kind: Kind = "joint"
    mode: Mode | None = None
    state_dims: tuple[int, ...] = ()
    state_names: tuple[str, ...] = ()
    normalization: Normalization | None = None
    clip: bool | None = None


@dataclass(frozen=True, kw_only=True)
class ActionSpec:
    """How every dimension of an action is represented and scaled.

    Attributes:
        mode: Of joints, positions and rotations.
        normalization: Of all but rotations and grippers that are open or closed.
        clip: Whether what is normalised by extremes or quantiles is held in [-1, 1], in targets
            and in predictions.
        groups: Dimensions that are something else, or treated otherwise.
    """

    mode: Mode = "absolute"
    normalization: Normalization = "minmax"
    clip: bool = False
    groups: tuple[ActionGroup, ...] = ()
