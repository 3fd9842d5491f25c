"""Frozen encoders run once a dataset; what they made is never stale, partial or another's."""

import json
import multiprocessing
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from plait.backbones.vision import VisionBackbone
from plait.compare.demonstrations import record_demonstrations
from plait.config import Component, DataConfig, PolicyConfig, RunConfig, TrainingConfig
from plait.data.dataset import Demonstrations
from plait.data.normalize import Normalizer
from plait.encoders import parse_encoder
from plait.errors import OutputError, PlaitError, UnknownNameError
from plait.policy import Policy, build_policy
from plait.training import feature_cache
from plait.training.batches import BatchSource, describe_data, validation_batches
from plait.training.feature_cache import open_features
from plait.training.run import prepare_features, train
from plait.types import LANGUAGE, VISION

IMAGE_SIZE = 16


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "demos"
    options = {"cameras": ("base", "wrist"), "image_size": IMAGE_SIZE, "num_workers": 1}
    record_demonstrations("tabletop/touch", root, num_episodes=3, **options)
    return root


@pytest.fixture
def demos(recorded, tmp_path):
    """Return a copy of the dataset with no cache of features in it."""
    return shutil.copytree(
        recorded, tmp_path / "demos", ignore=shutil.ignore_patterns(".plait_cache")
    )


def open_data(path):
    return Demonstrations.open(path, image_size=IMAGE_SIZE, action_horizon=2)


def make_run(path, model, *, vision="frozen", text="frozen", fusion="film", **training):
    config = PolicyConfig(
        fusion=Component(name=fusion, options={"hidden_dim": 8}),
        vision=parse_encoder(f"hf:{model}", VISION, tuning=vision),
        language=parse_encoder(f"hf:{model}", LANGUAGE, tuning=text),
        width=16,
        action_horizon=2,
    )
    options = {"num_steps": 3, "batch_size": 4, "warmup_steps": 1, "validation_interval": 2}
    return RunConfig(
        data=DataConfig(path=str(path), image_size=IMAGE_SIZE),
        policy=config,
        training=TrainingConfig(**{**options, **training}),
    )


def make_policy(run, data):
    spec = describe_data(data, IMAGE_SIZE)
    normalizer = Normalizer(proprio_dim=spec.proprio_dim, action_dim=spec.action_dim)
    return build_policy(run.policy, spec, normalizer, 0)


@pytest.fixture
def count_images(monkeypatch):
    """Count the images that any vision backbone encodes."""
    counted = []
    forward = VisionBackbone.forward

    def counting(self, images):
        counted.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(VisionBackbone, "forward", counting)
    return counted


def cache_files(path):
    return sorted((path / ".plait_cache").glob("features-*.npy"))


@pytest.mark.parametrize(("dtype", "error"), [("fp32", 0.0), ("fp16", 2e-3), ("bf16", 2e-2)])
def test_cached_tokens_are_those_of_the_encoder(tiny, demos, dtype, error):
    data, run = open_data(demos), make_run(demos, tiny("clip"))
    policy = make_policy(run, data)
    features = open_features(policy.encoders, data, dtype)
    steps = np.array([0, 7, data.num_steps - 1])
    observation = data.gather(steps).observation
    cached = features.add_to(observation, data.window(steps))
    assert set(cached.features) == {"base", "wrist"}
    live, stored = (policy.encoders[VISION](each) for each in (observation, cached))
    assert torch.equal(live.mask, stored.mask)
    # One pass encodes other batches than the other: the last bits differ even in float32.
    torch.testing.assert_close(stored.values, live.values, atol=error + 1e-5, rtol=0)
    assert stored.values.dtype == torch.float32


def test_a_frozen_encoder_sees_every_frame_once_for_all_strategies_and_seeds(
    tiny, demos, tmp_path, count_images
):
    data = open_data(demos)
    for fusion in ("film", "concat"):
        for seed in (0, 1):
            run = make_run(demos, tiny("clip"), fusion=fusion, seed=seed)
            train(run, tmp_path / f"{fusion}-{seed}", demonstrations=data)
    assert sum(count_images) == 2 * data.num_steps  # two cameras
    assert len(cache_files(demos)) == 2


def test_early_fusion_over_a_stem_of_its_own_has_a_cache_of_its_own(tiny, demos):
    data = open_data(demos)
    for fusion, stem_layers in (("concat", 1), ("early", None), ("early", 1)):
        run = make_run(demos, tiny("clip"), fusion=fusion)
        options = {**run.policy.vision.options, "stem_layers": stem_layers}
        vision = replace(run.policy.vision, options=options)
        run = replace(run, policy=replace(run.policy, vision=vision))
        open_features(make_policy(run, data).encoders, data)
    # Two cameras; `early` without stem layers reads what `concat` does.
    assert len(cache_files(demos)) == 4


def test_training_from_the_cache_is_training_without_it(tiny, demos, tmp_path):
    data = open_data(demos)
    losses = {}
    for dtype in ("off", "fp32"):
        run = make_run(demos, tiny("clip"))
        run = replace(run, data=replace(run.data, feature_cache=dtype))
        trained = train(run, tmp_path / dtype, demonstrations=data)
        losses[dtype] = [point.train_loss for point in trained.position.curve]
    assert losses["fp32"] == pytest.approx(losses["off"], rel=1e-4)


def test_augmented_images_and_trained_encoders_are_encoded_in_every_step(tiny, demos, count_images):
    data = open_data(demos)
    episodes = np.arange(data.num_episodes)
    for options in ({"image_shift": 2}, {"vision": "full"}, {"vision": "lora"}):
        run = make_run(demos, tiny("clip"), **options)
        policy = make_policy(run, data)
        batch = BatchSource(
            data, episodes, run.training, run.masked, prepare_features(policy, data, run)
        )(0)
        assert not batch.observation.features
        policy(batch)
        assert count_images == [4, 4]
        count_images.clear()
    assert not cache_files(demos)


def test_validation_of_the_result_has_no_features_left_to_trust(tiny, demos, tmp_path):
    run = make_run(demos, tiny("clip"))
    trained = train(run, tmp_path / "run")
    assert all(not batch.observation.features for batch in trained.validation)


@pytest.mark.parametrize("change", ["weights", "pixels", "recording", "dtype"])
def test_whatever_changes_makes_another_cache(tiny, demos, tmp_path, change):
    model = Path(shutil.copytree(tiny("clip"), tmp_path / "clip"))
    data = open_data(demos)
    first = open_features(make_policy(make_run(demos, model), data).encoders, data)
    before = {camera: np.array(tokens) for camera, tokens in first.frames.items()}
    dtype = "fp16"
    if change == "weights":
        from safetensors.torch import load_file, save_file

        weights = load_file(model / "model.safetensors")
        name = next(n for n in weights if "vision" in n and n.endswith("patch_embedding.weight"))
        weights[name] += 0.1
        save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    elif change == "pixels":
        path = model / "preprocessor_config.json"
        path.write_text(path.read_text().replace("0.4814", "0.1814"))
    elif change == "recording":
        shutil.rmtree(demos)
        options = {"cameras": ("base", "wrist"), "image_size": IMAGE_SIZE, "num_workers": 1}
        record_demonstrations("tabletop/touch", demos, num_episodes=3, seed=50, **options)
        data = open_data(demos)
    else:
        dtype = "fp32"
    policy = make_policy(make_run(demos, model), data)
    again = open_features(policy.encoders, data, dtype)
    for camera, tokens in again.frames.items():
        same_shape = tokens.shape == before[camera].shape
        assert not (same_shape and np.array_equal(tokens, before[camera]))
    observation = data.gather(np.array([3])).observation
    cached = again.add_to(observation, data.window(np.array([3])))
    live = policy.encoders[VISION](observation).values
    torch.testing.assert_close(policy.encoders[VISION](cached).values, live, atol=3e-3, rtol=0)


def test_an_interrupted_construction_goes_on(tiny, demos, monkeypatch, count_images):
    monkeypatch.setattr(feature_cache, "FRAMES_PER_CALL", 4)
    monkeypatch.setattr(feature_cache, "CALLS_PER_SAVE", 1)
    data, run = open_data(demos), make_run(demos, tiny("clip"))

    class PulledPlugError(Exception):
        pass

    def pull(done, total):
        if done >= 12:
            raise PulledPlugError

    with pytest.raises(PulledPlugError):
        open_features(make_policy(run, data).encoders, data, on_progress=pull)
    assert not cache_files(demos)
    (partial,) = (demos / ".plait_cache").glob("features-base-*.partial")
    with partial.open("ab") as file:
        file.write(b"torn")  # what the crash left of the next rows
    count_images.clear()
    features = open_features(make_policy(run, data).encoders, data)
    assert sum(count_images) == 2 * data.num_steps - 12
    shutil.rmtree(demos / ".plait_cache")
    whole = open_features(make_policy(run, data).encoders, data)
    for camera, tokens in whole.frames.items():
        assert np.array_equal(tokens, features.frames[camera])
    leftovers = [p for p in (demos / ".plait_cache").iterdir() if "partial" in p.name]
    assert not leftovers
    assert not list((demos / ".plait_cache").glob("*.progress.json"))


def test_progress_notes_that_make_no_sense_are_not_believed(tiny, demos):
    data, run = open_data(demos), make_run(demos, tiny("clip"))
    policy = make_policy(run, data)
    expected = open_features(policy.encoders, data).frames["base"].copy()
    (path,) = (demos / ".plait_cache").glob("features-base-*.npy")
    path.rename(path.with_suffix(".partial"))
    with path.with_suffix(".partial").open("r+b") as file:
        file.truncate(500)
    path.with_suffix(".progress.json").write_text(json.dumps({"rows": 10**6}))
    assert np.array_equal(open_features(policy.encoders, data).frames["base"], expected)


def test_a_damaged_cache_is_made_anew(tiny, demos):
    data, run = open_data(demos), make_run(demos, tiny("clip"))
    policy = make_policy(run, data)
    expected = open_features(policy.encoders, data).frames["base"].copy()
    (path,) = (demos / ".plait_cache").glob("features-base-*.npy")
    path.write_bytes(path.read_bytes()[:200])
    assert np.array_equal(open_features(policy.encoders, data).frames["base"], expected)


def _build_in_process(path, model, counts):
    data = open_data(path)
    seen = []
    open_features(
        make_policy(make_run(path, model), data).encoders,
        data,
        on_progress=lambda *each: seen.append(each),
    )
    counts.put(len(seen))


@pytest.mark.slow
def test_two_processes_build_it_once(tiny, demos):
    open_data(demos)  # decoded images, so that both arrive at the features together
    context = multiprocessing.get_context("spawn")
    counts = context.Queue()
    arguments = (demos, tiny("clip"), counts)
    workers = [context.Process(target=_build_in_process, args=arguments) for _ in range(2)]
    for worker in workers:
        worker.start()
    calls = sorted(counts.get(timeout=120) for _ in workers)
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    data = open_data(demos)
    per_camera = -(-data.num_steps // feature_cache.FRAMES_PER_CALL)
    # Each camera's file was built by one of the two; the other found it there.
    assert sum(calls) == 2 * per_camera
    assert len(cache_files(demos)) == 2


def test_no_room_and_no_such_format(tiny, demos, monkeypatch):
    data, run = open_data(demos), make_run(demos, tiny("clip"))
    policy = make_policy(run, data)
    with pytest.raises(UnknownNameError, match="unknown feature cache 'fp8'"):
        open_features(policy.encoders, data, "fp8")
    usage = shutil.disk_usage(demos)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OutputError, match=r"features of base take .* has only 0 MiB free"):
        open_features(policy.encoders, data)


def test_features_too_large_for_half_precision_are_refused(tiny, demos):
    data, run = open_data(demos), make_run(demos, tiny("clip"))
    policy = make_policy(run, data)
    with torch.no_grad():
        for parameter in policy.encoders[VISION].backbone.parameters():
            parameter.mul_(1e4)
    with pytest.raises(PlaitError, match=r"not finite in float16; use --feature-cache bf16"):
        open_features(policy.encoders, data, "fp16")


def test_instructions_are_encoded_once_a_dataset(tiny, demos, monkeypatch):
    data, run = open_data(demos), make_run(demos, tiny("bert"), vision=None)
    run = replace(run, policy=replace(run.policy, vision=Component(name="conv")))
    open_features(make_policy(run, data).encoders, data)
    policy = make_policy(run, data)
    monkeypatch.setattr(
        policy.encoders[LANGUAGE].backbone, "forward", lambda texts: pytest.fail(f"ran {texts}")
    )
    open_features(policy.encoders, data)
    batch = BatchSource(data, np.arange(data.num_episodes), run.training, run.masked)(0)
    assert torch.isfinite(policy(batch).total)


def test_a_saved_policy_needs_neither_the_model_nor_the_cache(tiny, demos, tmp_path):
    model = Path(shutil.copytree(tiny("clip"), tmp_path / "clip"))
    data, run = open_data(demos), make_run(demos, model, vision="lora")
    trained = train(run, tmp_path / "run", demonstrations=data)
    observation = data.gather(np.array([0, 5])).observation
    expected = trained.policy.predict(observation).actions
    shutil.rmtree(model)
    loaded = Policy.load(tmp_path / "run" / "policy")
    torch.testing.assert_close(loaded.predict(observation).actions, expected)
    assert loaded.config == trained.policy.config
    loaded.save(tmp_path / "copy")
    again = Policy.load(tmp_path / "copy")
    torch.testing.assert_close(again.predict(observation).actions, expected)


def test_checkpoints_leave_out_what_is_frozen_and_resume_all_the_same(tiny, demos, tmp_path):
    data, run = open_data(demos), make_run(demos, tiny("clip"), checkpoint_interval=2)
    whole = train(run, tmp_path / "whole", demonstrations=data)

    class PulledPlugError(Exception):
        pass

    def pull(progress):
        if progress.step == 3:
            raise PulledPlugError

    with pytest.raises(PulledPlugError):
        train(run, tmp_path / "broken", demonstrations=data, on_progress=pull)
    checkpoint = tmp_path / "broken" / "checkpoint.safetensors"
    from safetensors import safe_open

    with safe_open(checkpoint, framework="pt") as file:
        assert not [name for name in file.keys() if ".backbone." in name]  # noqa: SIM118
    resumed = train(run, tmp_path / "broken", demonstrations=data)
    expected, found = whole.policy.state_dict(), resumed.policy.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_validation_features_follow_their_steps(tiny, demos):
    data, run = open_data(demos), make_run(demos, tiny("clip"))
    policy = make_policy(run, data)
    features = open_features(policy.encoders, data, "fp32")
    episodes = np.arange(data.num_episodes)
    plain = validation_batches(data, episodes, run.training.batch_size)
    cached = validation_batches(data, episodes, run.training.batch_size, features=features)
    for first, second in zip(plain, cached, strict=True):
        assert second.observation.features
        torch.testing.assert_close(policy(first).total, policy(second).total, rtol=1e-4, atol=1e-5)
