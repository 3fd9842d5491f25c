"""From the environment's actions to what a head predicts, and back.

    environment --represent--> numbers --normalise--> about [-1, 1] --bound--> head's target
    environment <--restore---- numbers <-unnormalise- about [-1, 1] <--bound-- head's prediction

| mode | a number, a_i | a rotation, R_i |
| --- | --- | --- |
| absolute | a_i | R_i |
| relative | a_i - s | Sᵀ R_i |
| delta | a_i - a_(i-1), of the first a_0 - s | R_(i-1)ᵀ R_i, of the first Sᵀ R_0 |

s and S are the state at the chunk's start. Rotations become six numbers (see `rotations`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from plait.action_spec import (
    ABSOLUTE,
    DELTA,
    GRIPPER_BINARY,
    RELATIVE,
    ROTATION_DIMS,
    ActionSpec,
)
from plait.config import DataSpec
from plait.data.action_groups import DimensionGroup, group_dimensions
from plait.data.rotations import from_columns, from_matrix, product, to_columns, to_matrix

Chunk = Float[Tensor, "batch horizon action_dim"]
Represented = Float[Tensor, "batch horizon represented_dim"]
State = Float[Tensor, "batch proprio_dim"]
# Numbers of one group as they are composed: themselves, or rotation matrices.
Points = Shaped[Tensor, "batch horizon *point"]
# A point a step, or one for all.
Before = Shaped[Tensor, "batch #horizon *point"]


@dataclass(frozen=True)
class ActionTransform:
    """Represents the actions of some data as a spec says, and restores them.

    Args:
        groups: Every dimension of an action in exactly one.
    """

    groups: tuple[DimensionGroup, ...]

    @classmethod
    def of(cls, spec: ActionSpec, data: DataSpec) -> "ActionTransform":
        """Put a spec to some data.

        Raises:
            OptionError: If it does not fit them, or contradicts itself.
            UnknownNameError: If the data have no dimension of some name.
        """
        return cls(group_dimensions(spec, data))

    @property
    def represented_dim(self) -> int:
        """Numbers of one action as a head predicts it."""
        return sum(group.represented_dim for group in self.groups)

    @property
    def needs_state(self) -> bool:
        """Whether actions are told by how they differ from the state."""
        return any(group.mode != ABSOLUTE for group in self.groups)

    @property
    def normalizations(self) -> tuple[str, ...]:
        """How each number that a head predicts is normalised."""
        return tuple(g.normalization for g in self.groups for _ in range(g.represented_dim))

    @cached_property
    def is_identity(self) -> bool:
        """Whether nothing is changed."""
        only = self.groups[0]
        has_order = len(self.groups) == 1 and only.dims == tuple(range(len(only.dims)))
        return has_order and only.mode == ABSOLUTE and only.kind not in ROTATION_DIMS

    @cached_property
    def _is_bounded(self) -> bool:
        return any(group.clip or group.kind == GRIPPER_BINARY for group in self.groups)

    def represent(self, actions: Chunk, state: State) -> Represented:
        """Return actions as a head predicts them, not normalised.

        What becomes of a step depends on it and on the steps before it alone.

        Args:
            actions: In the environment's own units.
            state: At the chunk's start; not read where it is not needed.
        """
        if self.is_identity:
            return actions
        return torch.cat([_represent(group, actions, state) for group in self.groups], dim=-1)

    def restore(self, represented: Represented, state: State) -> Chunk:
        """Undo `represent`."""
        if self.is_identity:
            return represented
        parts = represented.split([group.represented_dim for group in self.groups], dim=-1)
        restored = torch.cat(
            [_restore(g, part, state) for g, part in zip(self.groups, parts, strict=True)], dim=-1
        )
        order = [dim for group in self.groups for dim in group.dims]
        return restored[..., [order.index(dim) for dim in range(len(order))]]

    def bound(self, normalized: Represented) -> Represented:
        """Hold what is to be clipped in [-1, 1], and decide whether a binary gripper is open."""
        if not self._is_bounded:
            return normalized
        parts = normalized.split([group.represented_dim for group in self.groups], dim=-1)
        return torch.cat([_bound(g, p) for g, p in zip(self.groups, parts, strict=True)], dim=-1)


def _represent(group: DimensionGroup, actions: Chunk, state: State) -> Tensor:
    points = _points(group, actions, group.dims)
    if group.mode != ABSOLUTE:
        before = _points(group, state.unsqueeze(1), group.state_dims)
        if group.mode == DELTA:
            before = torch.cat([before, points[:, :-1]], dim=1)
        points = _difference(group, points, before)
    return to_columns(points) if group.kind in ROTATION_DIMS else points


def _restore(group: DimensionGroup, represented: Tensor, state: State) -> Tensor:
    is_rotation = group.kind in ROTATION_DIMS
    points = from_columns(represented) if is_rotation else represented
    if group.mode != ABSOLUTE:
        start = _points(group, state.unsqueeze(1), group.state_dims)
        points = _compose(group, start, points)
    return from_matrix(points, group.kind) if is_rotation else points


def _points(group: DimensionGroup, values: Tensor, dims: Sequence[int]) -> Points:
    """Read a group's numbers as what can be composed."""
    chosen = values[..., list(dims)]
    return to_matrix(chosen, group.kind) if group.kind in ROTATION_DIMS else chosen


def _difference(group: DimensionGroup, points: Points, before: Before) -> Points:
    """Return what leads from `before` to `points`."""
    if group.kind in ROTATION_DIMS:
        return product(before.transpose(-1, -2), points)
    return points - before


def _compose(group: DimensionGroup, start: Before, moves: Points) -> Points:
    """Undo `_difference`: every move from the start, or each from where the last one led."""
    is_rotation = group.kind in ROTATION_DIMS
    if group.mode == RELATIVE:
        return product(start, moves) if is_rotation else start + moves
    reached = [start[:, 0]]
    for move in moves.unbind(dim=1):
        last = reached[-1]
        reached.append(product(last, move) if is_rotation else last + move)
    return torch.stack(reached[1:], dim=1)


def _bound(group: DimensionGroup, normalized: Tensor) -> Tensor:
    if group.kind == GRIPPER_BINARY:
        return torch.where(normalized < 0, -1.0, 1.0).to(normalized.dtype)
    return normalized.clamp(-1, 1) if group.clip else normalized
