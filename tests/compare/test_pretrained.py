"""A comparison over frozen pretrained encoders: encoded once, shared, saved whole."""

import json
from dataclasses import replace

import pytest
import torch

from plait.backbones.vision import VisionBackbone
from plait.cli import main
from plait.compare import preset
from plait.compare.demonstrations import record_demonstrations
from plait.compare.plan import make_plan
from plait.data.dataset import Demonstrations
from plait.encoders import parse_encoder
from plait.policy import Policy
from plait.testing import fake_observation
from plait.types import VISION


def test_a_budget_is_timed_from_the_cached_features(tiny, tmp_path, monkeypatch):
    data_path = tmp_path / "demos"
    record_demonstrations(
        "tabletop/touch", data_path, num_episodes=3, cameras=("base",), num_workers=1
    )
    data = Demonstrations.open(data_path, image_size=64, action_horizon=4)
    settings = preset("smoke")
    vision = parse_encoder(f"hf:{tiny('clip')}", VISION)
    settings = replace(settings, policy=replace(settings.policy, vision=vision))
    encoded = []
    forward = VisionBackbone.forward
    monkeypatch.setattr(
        VisionBackbone,
        "forward",
        lambda self, images: encoded.append(len(images)) or forward(self, images),
    )
    plan = make_plan(settings, tmp_path, data_path, data, num_workers=1, budget_seconds=3600.0)
    assert plan.settings.training.num_steps > settings.training.num_steps
    assert sum(encoded) == data.num_steps  # every frame once, and no step of the timing


@pytest.mark.slow
def test_strategies_share_what_a_frozen_encoder_made(tiny, tmp_path, capsys):
    model, out = f"hf:{tiny('clip')}", tmp_path / "out"
    arguments = [
        "compare",
        *("--preset", "smoke"),
        *("--fusion", "film,concat"),
        *("--vision", model),
        *("--language", model),
        *("--demonstrations", "4"),
        *("--episodes", "2"),
        *("--steps", "3"),
        *("--out", str(out)),
        "--no-controls",
        "--json",
    ]
    assert main(arguments) == 0
    assert {arm["fusion"] for arm in json.loads(capsys.readouterr().out)["arms"]} == {
        "film",
        "concat",
    }
    cache = out / "data" / ".plait_cache"
    assert len(list(cache.glob("features-base-*.npy"))) == 1
    assert len(list(cache.glob("features-language-*.safetensors"))) == 1
    assert (out / "report.html").exists()
    policy = Policy.load(out / "runs" / "film" / "seed-0" / "policy")
    assert policy.config.vision.options["model"] == tiny("clip")
    observation = fake_observation(policy.data, batch_size=2)
    assert torch.isfinite(policy.predict(observation).actions).all()
