"""A comparison over frozen pretrained encoders: encoded once, shared, saved whole."""

import json

import pytest
import torch

from plait.cli import main
from plait.policy import Policy
from plait.testing import fake_observation


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
