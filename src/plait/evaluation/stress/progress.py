"""How far each scene gets: the furthest phase that the tabletop names in it."""

from plait.envs.tabletop.env import TabletopEnv
from plait.evaluation.rollout import Environment

# Each is a step further than the one before; those in one row are as far.
STAGES = (("approach",), ("push", "grasp"), ("lift", "carry"))
AT_THE_OBJECT, IN_HAND, DONE = 1, 2, 3


class Progress:
    """Watches scenes; hand it to `evaluate_policy` as `on_frame`.

    Attributes:
        furthest: The furthest phase by the seed of the scene; of other environments nothing.
    """

    def __init__(self) -> None:
        self.furthest: dict[int, str] = {}

    def __call__(self, seed: int, env: Environment) -> None:
        """Note a scene as it is now."""
        tabletop = env.unwrapped
        if isinstance(tabletop, TabletopEnv):
            now, before = tabletop.referee.phase(), self.furthest.get(seed)
            if before is None or stage(now) > stage(before):
                self.furthest[seed] = now


def stage(phase: str) -> int:
    """Return how far a phase is: 0 before the object is met, 1 at it, 2 with it in hand."""
    return next(index for index, names in enumerate(STAGES) if phase in names)
