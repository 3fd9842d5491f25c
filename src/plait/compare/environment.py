"""The environment a policy is evaluated in: with its cameras, size and kind of pictures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gymnasium import spaces

from plait.config import DataSpec
from plait.envs import family_of, make_env
from plait.errors import OptionError, ShapeError, UnknownNameError
from plait.evaluation.pictures import FRAMES_PER_SECOND
from plait.evaluation.rollout import Environment
from plait.evaluation.stress.policies import Wrapped
from plait.execution import PredictsChunks
from plait.policy import Policy
from plait.retrieval import RetrievalPolicy


@dataclass(frozen=True)
class EnvFactory:
    """Makes the environment of an evaluation; picklable.

    Attributes:
        env: Its name.
        cameras: To see through; those that it shows by default where empty.
        image_size: Height and width of the pictures in pixels.
        has_pictures: Whether a larger view for people is wanted as well.
        view: How pictures are taken, where the environment knows several ways; its own where empty.
    """

    env: str
    cameras: tuple[str, ...]
    image_size: int
    has_pictures: bool = False
    view: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self) -> Environment:
        """Make one environment.

        Where that can be, pictures are taken when a policy looks: it looks once in several steps.
        """
        options: dict[str, Any] = {"image_size": self.image_size}
        if self.cameras:
            options["cameras"] = self.cameras
        if self.has_pictures:
            options["render_mode"] = "rgb_array"
        if family_of(self.env).has_lazy_pictures:
            options["are_pictures_lazy"] = True
        return make_env(self.env, **options, **render_options(self.env, self.view))


def max_parallel(env: str) -> int:
    """Return how many environments one process may hold.

    Raises:
        UnknownNameError: If there is no such environment.
    """
    return family_of(env).max_parallel


def frame_stride(env: str) -> int:
    """Return the control steps from one frame of a film to the next, to play it in real time.

    Raises:
        UnknownNameError: If there is no such environment.
    """
    return max(round(family_of(env).fps / FRAMES_PER_SECOND), 1)


def spec_of(policy: PredictsChunks) -> DataSpec | None:
    """Return what a policy knows of its data; None for a user's own, which need not say."""
    while isinstance(policy, Wrapped):
        policy = policy.policy
    if isinstance(policy, RetrievalPolicy):
        return policy.aligner.data
    return policy.data if isinstance(policy, Policy) else None


def view_of(policy: PredictsChunks) -> Mapping[str, Any]:
    """Return how the pictures a policy was trained on were taken; empty where nothing says so."""
    spec = spec_of(policy)
    return {} if spec is None else spec.view


def render_options(env: str, view: Mapping[str, Any]) -> dict[str, Any]:
    """Return what makes an environment take its pictures in a view, if it knows several.

    Raises:
        UnknownNameError: If there is no such environment.
    """
    return {"render": dict(view)} if view and family_of(env).view({}) else {}


def check_fit(policy: PredictsChunks, name: str, factory: EnvFactory) -> int | None:
    """Refuse an environment that a policy cannot act in, before anything is played.

    Args:
        policy: Anything that predicts chunks.
        name: What errors call it.
        factory: Makes the environment.

    Returns:
        The size of an action of the environment; None where it is no row of numbers.

    Raises:
        OptionError: If the environment lacks a camera that the policy reads.
        ShapeError: If the state or the action is of another size.
        PlaitError: If the environment cannot be made.
    """
    # Raises what concerns the environment's name and the view, and so no camera.
    family_of(factory.env).view(render_options(factory.env, factory.view))
    try:
        env = factory()
    except UnknownNameError as error:
        cameras = ", ".join(policy.cameras)
        raise OptionError(
            f"{name} reads the cameras {cameras}, but {factory.env} lacks one: {error}"
        ) from error
    seen, action_dim = env.observation_space, _size(env.action_space)
    env.close()
    spec = spec_of(policy)
    proprio = seen.get("proprio") if isinstance(seen, spaces.Dict) else None
    if spec is not None and proprio is not None:
        found, expected = (spec.proprio_dim, spec.action_dim), (_size(proprio), action_dim)
        if found != expected:
            todo = f"It was trained on another robot than that of {factory.env}"
            raise ShapeError(f"(state, action) of {name}", found, expected, todo)
    return action_dim


def _size(space: spaces.Space[Any]) -> int | None:
    """Return how many numbers a flat space holds."""
    return int(space.shape[0]) if space.shape else None
