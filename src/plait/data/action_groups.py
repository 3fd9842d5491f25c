"""An action spec put to some data: which dimensions, which states belong to them, what is done."""

from collections.abc import Sequence
from dataclasses import dataclass

from plait.action_spec import (
    ABSOLUTE,
    GRIPPER,
    GRIPPER_BINARY,
    JOINT,
    ROTATION_DIMS,
    ActionGroup,
    ActionSpec,
    Kind,
    Mode,
    Normalization,
)
from plait.config import DataSpec
from plait.errors import OptionError, UnknownNameError

# Only these have ends that values can be held between.
BOUNDED = ("minmax", "quantile")


@dataclass(frozen=True, kw_only=True)
class DimensionGroup:
    """Dimensions of an action that are treated alike, with nothing left open.

    Attributes:
        dims: In the environment's action.
        state_dims: The states of the same quantities; empty where none is needed.
        kind: What they are.
        mode: What the head predicts of them.
        normalization: Of what it predicts.
        clip: Whether that is held in [-1, 1].
    """

    dims: tuple[int, ...]
    state_dims: tuple[int, ...] = ()
    kind: Kind = "joint"
    mode: Mode = "absolute"
    normalization: Normalization = "minmax"
    clip: bool = False

    @property
    def represented_dim(self) -> int:
        """Numbers that a head predicts for them."""
        return 6 if self.kind in ROTATION_DIMS else len(self.dims)


def group_dimensions(spec: ActionSpec, data: DataSpec) -> tuple[DimensionGroup, ...]:
    """Give every dimension of an action to one group; those that no group names come first.

    Raises:
        OptionError: If a group does not fit the data, or contradicts itself.
        UnknownNameError: If the data have no dimension of some name.
    """
    if spec.clip and spec.normalization not in BOUNDED:
        raise OptionError(f"clip needs a normalization of {_any_of(BOUNDED)}, {_but(spec)}")
    named = [_dims(group, number, data) for number, group in enumerate(spec.groups, start=1)]
    taken = [dim for dims in named for dim in dims]
    for dim in taken:
        if taken.count(dim) > 1:
            raise OptionError(f"two groups of the action spec name {_describe([dim], data)}")
    rest = [dim for dim in range(data.action_dim) if dim not in taken]
    groups = [
        *_rest(rest, spec, data),
        *(
            _complete(group, dims, f"group {number} of the action spec", spec, data)
            for number, (group, dims) in enumerate(zip(spec.groups, named, strict=True), start=1)
        ),
    ]
    return tuple(groups)


def _rest(dims: Sequence[int], spec: ActionSpec, data: DataSpec) -> list[DimensionGroup]:
    """Treat the other dimensions as the whole; what is called a gripper stays absolute."""
    grippers = [dim for dim in dims if data.action_names and _is_gripper(data.action_names[dim])]
    # One group where it makes no difference, so that the order of the dimensions is kept.
    grippers = [] if spec.mode == ABSOLUTE else grippers
    others = [dim for dim in dims if dim not in grippers]
    parts: list[tuple[Kind, list[int]]] = [(JOINT, others), (GRIPPER, grippers)]
    return [
        _complete(ActionGroup(kind=kind), tuple(part), "the action", spec, data)
        for kind, part in parts
        if part
    ]


def _is_gripper(name: str) -> bool:
    return "gripper" in name.lower()


def _dims(group: ActionGroup, number: int, data: DataSpec) -> tuple[int, ...]:
    where = f"group {number} of the action spec"
    if bool(group.dims) == bool(group.names):
        raise OptionError(f"{where} must have either dims or names")
    if group.names:
        return _by_name("action dimension", group.names, data.action_names, where)
    _refuse_outside("action", group.dims, data.action_dim, where)
    return group.dims


def _complete(
    group: ActionGroup, dims: tuple[int, ...], where: str, spec: ActionSpec, data: DataSpec
) -> DimensionGroup:
    """Fill in what a group leaves to the whole, and refuse what cannot be."""
    is_gripper, is_rotation = group.kind in (GRIPPER, GRIPPER_BINARY), group.kind in ROTATION_DIMS
    if is_rotation and len(dims) != ROTATION_DIMS[group.kind]:
        raise OptionError(
            f"{where}: a rotation of kind {group.kind!r} has {ROTATION_DIMS[group.kind]} numbers, "
            f"but {len(dims)} are given"
        )
    mode = group.mode or (ABSOLUTE if is_gripper else spec.mode)
    normalization = group.normalization or ("none" if is_rotation else spec.normalization)
    if group.kind == GRIPPER_BINARY:
        if (mode, group.normalization or "minmax", bool(group.clip)) != (ABSOLUTE, "minmax", False):
            raise OptionError(
                f"{where}: a gripper that is open or closed is absolute, and its two levels become "
                "-1 and 1; it takes no mode, normalization or clip"
            )
        normalization = "minmax"
    clip = group.clip
    if clip is None:
        clip = spec.clip and normalization in BOUNDED and group.kind != GRIPPER_BINARY
    if clip and normalization not in BOUNDED:
        raise OptionError(f"{where}: clip needs a normalization of {_any_of(BOUNDED)}")
    return DimensionGroup(
        dims=dims,
        state_dims=() if mode == ABSOLUTE else _state_dims(group, dims, mode, where, data),
        kind=group.kind,
        mode=mode,
        normalization=normalization,
        clip=clip,
    )


def _state_dims(
    group: ActionGroup, dims: tuple[int, ...], mode: Mode, where: str, data: DataSpec
) -> tuple[int, ...]:
    """Find the state of every dimension: as given, by equal names, or else by its place."""
    if group.state_dims and group.state_names:
        raise OptionError(f"{where} must have either state_dims or state_names")
    if group.state_names:
        found = _by_name("state dimension", group.state_names, data.proprio_names, where)
    elif group.state_dims:
        _refuse_outside("state", group.state_dims, data.proprio_dim, where)
        found = group.state_dims
    elif data.action_names and data.proprio_names:
        names = [data.action_names[dim] for dim in dims]
        lacking = [dim for dim, n in zip(dims, names, strict=True) if n not in data.proprio_names]
        if lacking:
            raise _no_state(mode, _describe(lacking, data), "no state of the same name", where)
        found = tuple(data.proprio_names.index(name) for name in names)
    elif data.action_dim == data.proprio_dim:
        found = dims
    else:
        text = f"no names, and {data.action_dim} actions but {data.proprio_dim} states"
        raise _no_state(mode, _describe(dims, data), text, where)
    if len(found) != len(dims):
        raise OptionError(f"{where} has {len(dims)} dimensions, but {len(found)} states for them")
    return found


def _no_state(mode: Mode, dims: str, found: str, where: str) -> OptionError:
    return OptionError(
        f"{where}: {mode} actions need the state of {dims}, but the data have {found}; say in an "
        "action spec which state_dims or state_names they are, or make these dimensions absolute"
    )


def _by_name(kind: str, names: Sequence[str], known: Sequence[str], where: str) -> tuple[int, ...]:
    for name in names:
        if name not in known:
            hint = "" if known else "The data do not name them; give their numbers instead"
            raise UnknownNameError(f"{kind} in {where}:", name, known, hint=hint)
    return tuple(known.index(name) for name in names)


def _refuse_outside(kind: str, dims: Sequence[int], size: int, where: str) -> None:
    for dim in dims:
        if not 0 <= dim < size:
            raise OptionError(f"{where} names {kind} dimension {dim}; there are 0 to {size - 1}")


def _describe(dims: Sequence[int], data: DataSpec) -> str:
    names = [repr(data.action_names[dim]) for dim in dims] if data.action_names else dims
    return f"action dimension{'s' if len(dims) > 1 else ''} {', '.join(map(str, names))}"


def _any_of(names: Sequence[str]) -> str:
    return " or ".join(map(repr, names))


def _but(spec: ActionSpec) -> str:
    return f"but is asked for with {spec.normalization!r}"
