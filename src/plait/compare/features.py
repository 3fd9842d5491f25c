"""Fill the feature cache once, before the trainings that share it."""

from collections.abc import Sequence

from plait.compare.console import progress_bar
from plait.config import RunConfig
from plait.data.dataset import Demonstrations
from plait.data.normalize import Normalizer
from plait.policy import build_policy
from plait.training.run import describe_data, prepare_features


def encode_once(runs: Sequence[RunConfig], data: Demonstrations) -> None:
    """Encode the dataset with the frozen encoders of some trainings, each kind once.

    Trainings whose encoders differ in nothing share their tokens, whatever their fusion and seed.

    Raises:
        PlaitError: Of the encoders, or of the cache.
    """
    done: list[object] = []
    for run in runs:
        spec = describe_data(data, run.data.image_size)
        normalizer = Normalizer(proprio_dim=spec.proprio_dim, action_dim=spec.action_dim)
        policy = build_policy(run.policy, spec, normalizer, run.training.seed)
        frozen = policy.frozen_encoders()
        if not frozen or frozen in done:
            continue
        done.append(frozen)
        with progress_bar("encode frames", data.num_steps * len(data.cameras)) as show:
            prepare_features(policy, data, run, show)
