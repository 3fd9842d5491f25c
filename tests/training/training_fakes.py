"""A small policy and batches that are a pure function of the step."""

from plait.config import Component, PolicyConfig, TrainingConfig
from plait.data.normalize import Normalizer
from plait.policy import build_policy
from plait.testing import fake_batch
from plait.testing.fake import FAKE_DATA

CONFIG = TrainingConfig(
    num_steps=6,
    batch_size=3,
    learning_rate=3e-3,
    warmup_steps=2,
    validation_interval=2,
    checkpoint_interval=3,
    seed=5,
)


def make_policy(fusion="film", seed=0, **options):
    component = Component(name=fusion, options={"hidden_dim": 16, **options})
    config = PolicyConfig(fusion=component, width=24, action_horizon=5)
    normalizer = Normalizer(proprio_dim=FAKE_DATA.proprio_dim, action_dim=FAKE_DATA.action_dim)
    return build_policy(config, FAKE_DATA, normalizer, seed)


def batch_at(index):
    return fake_batch(seed=100 + index)


VALIDATION = (fake_batch(seed=1), fake_batch(seed=2))
