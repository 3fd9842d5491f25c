"""Print what comparing ten strategies costs from cached features, against the textbook's way.

    python benchmarks/feature_cache.py [--frames 1000] [--looks 1.4] [--seeds 3] [--fusion ...]

The image encoder is a CLIP ViT-B/32 vision tower (88 M parameters, random weights: arithmetic is
the same), frozen. The textbook's way runs it in every training step of one strategy (`concat`).
Plait's runs it once a frame, writes the tokens as float16, and trains every strategy with every
seed from there. Both sides take the same number of steps of the same batch size; `--looks` is how
often a frame is looked at in one training (1.4 in the default comparison: 140,800 samples from
about 100,000 frames seen; more looks favour the cache). The figure is

    (features once + strategies x seeds trainings from them) / (one training with the encoder in it)

Everything on one core.
"""

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import transformers

import plait.fusion
from plait import discovery
from plait.compare.demonstrations import record_demonstrations
from plait.config import Component, DataConfig, PolicyConfig, RunConfig, TrainingConfig
from plait.data.dataset import Demonstrations
from plait.data.normalize import Normalizer
from plait.encoders import parse_encoder
from plait.policy import Policy, build_policy
from plait.results import describe_machine
from plait.training.batches import BatchSource, describe_data
from plait.training.loop import Trainer
from plait.training.run import prepare_features
from plait.types import VISION

BATCH_SIZE = 64
IMAGE_SIZE = 64
PREPROCESSING = (
    '{"crop_size": 224, "do_center_crop": true, "do_normalize": true, "size": 224, '
    '"image_mean": [0.481, 0.458, 0.408], "image_std": [0.269, 0.261, 0.276]}'
)


def make_clip(folder: Path) -> str:
    """Save a vision tower of the size of CLIP ViT-B/32 and return its folder."""
    config = transformers.CLIPVisionConfig(
        hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
        image_size=224, patch_size=32,
    )  # fmt: skip
    transformers.CLIPVisionModel(config).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(PREPROCESSING)
    return str(folder)


def make_run(root: Path, model: str, fusion: str, seed: int, num_steps: int) -> RunConfig:
    """Spell out one training."""
    return RunConfig(
        data=DataConfig(path=str(root), cameras=("base",), image_size=IMAGE_SIZE),
        policy=PolicyConfig(
            fusion=Component(name=fusion), vision=parse_encoder(f"hf:{model}", VISION)
        ),
        training=TrainingConfig(
            num_steps=num_steps, batch_size=BATCH_SIZE, warmup_steps=2, seed=seed
        ),
    )


def make_policy(run: RunConfig, data: Demonstrations) -> Policy:
    """Build the policy of a run."""
    spec = describe_data(data, IMAGE_SIZE)
    normalizer = Normalizer.from_stats(data.norm_stats(np.arange(data.num_episodes)))
    return build_policy(run.policy, spec, normalizer, run.training.seed)


def train(run: RunConfig, data: Demonstrations, *, from_cache: bool) -> float:
    """Train and return the seconds: building, and hashing or loading features, included."""
    start = time.perf_counter()
    policy = make_policy(run, data)
    features = prepare_features(policy, data, run) if from_cache else None
    source = BatchSource(data, np.arange(data.num_episodes), run.training, run.masked, features)
    trainer = Trainer(policy, run.training)
    for step in range(run.training.num_steps):
        trainer.step(step, source(step))
    return time.perf_counter() - start


def main() -> None:
    """Record frames, time both ways, print the table and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--looks", type=float, default=1.4)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--fusion", default=",".join(discovery.available(plait.fusion)))
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    transformers.utils.logging.disable_progress_bar()
    fusions = options.fusion.split(",")
    with TemporaryDirectory() as folder:
        root, model = Path(folder) / "demos", make_clip(Path(folder) / "clip")
        record_demonstrations(
            "tabletop/touch", root, num_episodes=max(2, options.frames // 9), noise=0.1,
            cameras=("base",), image_size=IMAGE_SIZE, num_workers=1,
        )  # fmt: skip
        data = Demonstrations.open(root, image_size=IMAGE_SIZE)
        num_steps = max(1, round(options.looks * data.num_steps / BATCH_SIZE))
        print(f"{data.num_steps} frames, {num_steps} steps of {BATCH_SIZE} samples a training")
        textbook = train(make_run(root, model, "concat", 0, num_steps), data, from_cache=False)
        print(f"textbook's way, concat, one seed: {textbook:.1f} s", flush=True)
        start = time.perf_counter()
        run = make_run(root, model, fusions[0], 0, num_steps)
        prepare_features(make_policy(run, data), data, run)
        encoding = time.perf_counter() - start
        print(f"features: {encoding:.1f} s", flush=True)
        trainings = {}
        for fusion in fusions:
            runs = [make_run(root, model, fusion, s, num_steps) for s in range(options.seeds)]
            trainings[fusion] = sum(train(run, data, from_cache=True) for run in runs)
            print(f"{fusion}, {options.seeds} seeds: {trainings[fusion]:.1f} s", flush=True)
    total = encoding + sum(trainings.values())
    machine = describe_machine()
    print(f"{len(fusions)} strategies x {options.seeds} seeds from cached features: {total:.1f} s")
    print(f"ratio {total / textbook:.2f}  ({machine.processor}, {machine.num_cores} cores)")


if __name__ == "__main__":
    main()
