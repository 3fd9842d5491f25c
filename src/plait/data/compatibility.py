"""Whether data hold the actions that a policy was trained to predict."""

from plait.config import DataSpec
from plait.data.dataset import Demonstrations
from plait.errors import DataError

ADVICE = "Use data of the robot that the policy was trained for"


def refuse_other_actions(trained: DataSpec, data: Demonstrations) -> None:
    """Refuse data whose actions or states are other quantities, or the same in another order.

    Names are compared where both have them.

    Raises:
        DataError: Naming what differs first.
    """
    sides = (
        ("action", trained.action_dim, data.action_dim, trained.action_names, data.action_names),
        ("state", trained.proprio_dim, data.proprio_dim, trained.proprio_names, data.proprio_names),
    )
    for kind, size, found_size, names, found_names in sides:
        if size != found_size:
            numbers = f"the {size} that the policy was trained with"
            raise DataError(data.root, f"{found_size} numbers in an {kind}", numbers, ADVICE)
        if names and found_names and names != found_names:
            place = next(i for i in range(size) if names[i] != found_names[i])
            found = f"{kind} dimension {place} is {found_names[place]!r}"
            raise DataError(data.root, found, f"{names[place]!r}, as in training", ADVICE)
