"""The policy as a whole: prediction, refusals, saving, loading and equal sizes."""

import errno
import json
import os
import stat
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

import plait.fusion
import plait.heads
from plait import discovery, model_folder
from plait.config import Component, PolicyConfig
from plait.data.normalize import Normalizer
from plait.errors import (
    CheckpointError,
    OptionError,
    OutputError,
    PlaitError,
    ShapeError,
    UnknownNameError,
)
from plait.policy import Policy, build_policy, match_parameters, parameter_count
from plait.testing import fake_batch, fake_observation
from plait.testing.fake import FAKE_DATA
from plait.types import LANGUAGE, MODALITIES, PROPRIO, VISION

FUSIONS = discovery.available(plait.fusion)


def config(fusion="concat", **options):
    component = Component(name=fusion, options=options)
    return PolicyConfig(fusion=component, width=24, action_horizon=5)


def normalizer():
    """A normaliser that is not the identity."""
    made = Normalizer(proprio_dim=FAKE_DATA.proprio_dim, action_dim=FAKE_DATA.action_dim)
    for buffer in made.buffers():
        if buffer.is_floating_point():
            buffer.add_(0.5)
    return made


def build(fusion="concat", seed=0, **options):
    return build_policy(config(fusion, **options), FAKE_DATA, normalizer(), seed)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_saved_policies_predict_the_same_bits(tmp_path, fusion):
    made, observation = build(fusion), fake_observation()
    made.save(tmp_path / "policy")
    loaded = Policy.load(tmp_path / "policy")
    expected = made.predict(observation)
    actual = loaded.predict(observation)
    assert torch.equal(actual.actions, expected.actions)
    assert actual.actions.shape == (3, 5, 11)
    assert actual.mask.all()
    assert (loaded.config, loaded.data) == (made.config, made.data)
    assert loaded.training is False
    assert sorted(p.name for p in (tmp_path / "policy").iterdir()) == [
        "policy.json",
        "policy.safetensors",
    ]


def test_predictions_are_in_the_units_of_the_environment():
    made, observation = build(), fake_observation()
    chunk = made.predict(observation)
    with torch.no_grad():
        bounded = made.eval().head.predict(made.fuse(observation))
    assert bounded.abs().max() <= 1
    torch.testing.assert_close(chunk.actions, made.normalizer.unnormalize_actions(bounded))
    assert not torch.equal(chunk.actions, bounded)


def test_the_state_is_normalised_before_it_is_encoded():
    made, observation = build(), fake_observation()
    seen = []
    made.encoders[PROPRIO].register_forward_hook(lambda _module, args, _out: seen.append(args[0]))
    made.predict(observation)
    expected = made.normalizer.normalize_proprio(observation.proprio)
    assert torch.equal(seen[0].proprio, expected)
    assert not torch.equal(expected, observation.proprio)


def test_prediction_keeps_the_mode_and_has_no_gradient():
    made = build()
    for is_training in (True, False):
        made.train(is_training)
        assert made.predict(fake_observation()).actions.requires_grad is False
        assert made.training is is_training


def test_the_loss_is_the_sum_of_its_parts():
    made, batch = build(), fake_batch()

    class Extra(type(made.fusion)):
        def forward(self, tokens):
            return replace(super().forward(tokens), losses={"balance": torch.tensor(0.25)})

    plain = made(batch)
    made.fusion.__class__ = Extra
    extended = made(batch)
    assert set(plain.parts) == {"action"}
    assert set(extended.parts) == {"action", "balance"}
    torch.testing.assert_close(extended.total, plain.total + 0.25)
    torch.testing.assert_close(plain.total, plain.parts["action"])


def test_the_loss_is_taken_on_normalised_actions():
    made, batch = build(), fake_batch()
    fused = made.fuse(batch.observation)
    chunk = batch.action_chunk
    actions = made.normalizer.normalize_actions(chunk.actions)
    expected = made.head.loss(fused, replace(chunk, actions=actions))
    torch.testing.assert_close(made(batch).total, expected)


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("modality", MODALITIES)
def test_an_absent_modality_is_not_read_by_the_whole_policy(fusion, modality):
    made, observation = build(fusion), fake_observation()
    other = fake_observation(seed=1)
    values = {
        VISION: {"images": other.images},
        LANGUAGE: {"instruction": ("hocus pocus", "", "?")},
        PROPRIO: {"proprio": torch.full_like(other.proprio, torch.nan)},
    }[modality]
    hidden = observation.without(modality)
    expected = made.predict(hidden).actions
    torch.testing.assert_close(made.predict(replace(hidden, **values)).actions, expected)
    assert torch.isfinite(expected).all()
    assert (expected - made.predict(observation).actions).abs().max() > 1e-5


def test_nothing_at_all_still_gives_finite_actions_and_gradients():
    batch = fake_batch()
    observation = batch.observation
    for modality in MODALITIES:
        observation = observation.without(modality)
    for fusion in FUSIONS:
        made = build(fusion)
        assert torch.isfinite(made.predict(observation).actions).all()
        made(replace(batch, observation=observation)).total.backward()
        gradients = [p.grad for p in made.parameters() if p.grad is not None]
        assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_the_seed_alone_decides_the_weights():
    state = torch.get_rng_state()
    first = build("film", seed=3).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    again, other = build("film", seed=3).state_dict(), build("film", seed=4).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


# --- Observations that do not fit ------------------------------------------------------------


def test_an_image_of_another_size_is_refused_with_both_shapes():
    observation = fake_observation(replace(FAKE_DATA, image_size=8))
    match = (
        r"image of camera 'base' has shape \(3, 3, 8, 8\), but \(3, 3, 16, 16\) was expected. "
        "Resize the images to 16×16"
    )
    with pytest.raises(ShapeError, match=match):
        build().predict(observation)


def test_a_missing_camera_is_refused_by_name():
    observation = fake_observation(replace(FAKE_DATA, cameras=("base", "front")))
    with pytest.raises(PlaitError, match=r"no camera 'wrist' \(it has: base, front\)"):
        build().predict(observation)


def test_more_cameras_than_needed_are_ignored():
    made, observation = build(), fake_observation()
    more = replace(observation, images={**observation.images, "front": observation.images["base"]})
    assert torch.equal(made.predict(more).actions, made.predict(observation).actions)


def test_nan_in_a_present_state_is_refused_and_in_an_absent_one_is_not():
    made, observation = build(), fake_observation()
    observation.proprio[1, 0, 2] = torch.nan
    with pytest.raises(PlaitError, match="the proprioception holds NaN or infinity; mask it"):
        made.predict(observation)
    mask = {**observation.modality_mask, PROPRIO: torch.tensor([True, False, True])}
    chunk = made.predict(replace(observation, modality_mask=mask))
    assert torch.isfinite(chunk.actions).all()
    observation.proprio[0, 0, 0] = torch.inf
    with pytest.raises(PlaitError, match="NaN or infinity"):
        made.predict(replace(observation, modality_mask=mask))


def test_a_state_of_another_size_is_refused():
    observation = fake_observation(replace(FAKE_DATA, proprio_dim=13))
    with pytest.raises(ShapeError, match=r"proprio has shape \(3, 13\), but \(3, 7\) was expected"):
        build().predict(observation)


def test_another_window_is_refused():
    observation = fake_observation(replace(FAKE_DATA, observation_window=2))
    with pytest.raises(ShapeError, match=r"has shape \(2, 3, 16, 16\), but \(3, 3, 16, 16\)"):
        build().predict(observation)


def test_images_of_another_type_are_refused():
    observation = fake_observation()
    images = {name: image.float() / 255 for name, image in observation.images.items()}
    # Around the runtime type check of the constructor, which production does not have.
    object.__setattr__(observation, "images", images)
    with pytest.raises(PlaitError, match=r"'base' is torch.float32; expected uint8 in \[0, 255\]"):
        build().check(observation)


# --- Parts that do not fit -------------------------------------------------------------------


def test_tokens_of_another_width_than_promised_are_refused(monkeypatch):
    made = build()
    spec = made.encoders[LANGUAGE].token_spec
    made.encoders[LANGUAGE].token_spec = replace(spec, width=spec.width + 1)
    match = rf"tokens of the language encoder has shape .*{spec.width}\), but .*{spec.width + 1}\)"
    with pytest.raises(ShapeError, match=match):
        made.fuse(fake_observation())
    made.encoders[LANGUAGE].token_spec = spec
    forward = made.fusion.forward

    def too_wide(tokens):
        fused = forward(tokens)
        wide = [g.with_values(torch.cat([g.values, g.values], dim=-1)) for g in fused.groups]
        return replace(fused, groups=tuple(wide))

    monkeypatch.setattr(made.fusion, "forward", too_wide)
    with pytest.raises(ShapeError, match="a token group of the fusion has shape"):
        made.fuse(fake_observation())


def test_an_unknown_option_gets_the_close_match():
    match = "unknown option of film 'num_block'; did you mean 'num_blocks'"
    with pytest.raises(UnknownNameError, match=match):
        build("film", num_block=2)


def test_an_encoder_of_another_modality_is_refused():
    wrong = replace(config(), vision=Component(name="state"))
    match = "the encoder 'state' reads proprio, so it cannot be used for vision"
    with pytest.raises(OptionError, match=match):
        build_policy(wrong, FAKE_DATA, normalizer(), 0)


@pytest.mark.parametrize("width", [22, 30])
def test_a_width_that_does_not_divide_is_a_user_error(width):
    wrong = replace(config("transformer"), width=width)
    with pytest.raises(OptionError, match=f"cannot build (conv|words|transformer): width {width}"):
        build_policy(wrong, FAKE_DATA, normalizer(), 0)


# --- Files -----------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    build().save(tmp_path / "policy")
    return tmp_path / "policy"


def change_json(folder, **changes):
    path = folder / "policy.json"
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, **changes}))


def test_a_missing_policy_is_refused(tmp_path):
    with pytest.raises(
        CheckpointError, match=r"none/policy.json: no such file; expected the folder"
    ):
        Policy.load(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"file/policy.json: no such file"):
        Policy.load(tmp_path / "file")


def test_missing_weights_are_refused(folder):
    (folder / "policy.safetensors").unlink()
    with pytest.raises(CheckpointError, match="no such file; the policy is incomplete"):
        Policy.load(folder)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_truncated_weights_are_refused(folder, share):
    path = folder / "policy.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CheckpointError, match=r"not a whole safetensors file .* copy or train it"):
        Policy.load(folder)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_format_version_is_refused(folder, version):
    change_json(folder, format_version=version, plait_version="9.9")
    match = rf"format version {version}, written by Plait 9.9; this Plait \(.*\) reads version 1"
    with pytest.raises(CheckpointError, match=match):
        Policy.load(folder)


@pytest.mark.parametrize("text", ["", "{", "\x00"])
def test_broken_json_is_refused(folder, text):
    (folder / "policy.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"policy.json: not valid JSON"):
        Policy.load(folder)


def test_json_of_another_kind_is_refused(folder):
    (folder / "policy.json").write_text("[]")
    with pytest.raises(CheckpointError, match="format version None, written by Plait unknown"):
        Policy.load(folder)


def test_a_config_that_no_longer_fits_is_refused(folder):
    change_json(folder, config={"fusion": {"name": "flim"}})
    with pytest.raises(CheckpointError, match=r"policy.json: unknown fusion 'flim'; did you mean"):
        Policy.load(folder)
    change_json(folder, config={"width": 24})
    with pytest.raises(CheckpointError, match="PolicyConfig lacks the field 'fusion'"):
        Policy.load(folder)


def test_weights_of_another_policy_are_refused(folder, tmp_path):
    build("concat", hidden_dim=13).save(tmp_path / "other")
    (tmp_path / "other" / "policy.safetensors").replace(folder / "policy.safetensors")
    with pytest.raises(
        CheckpointError, match=r"the weights do not fit .*policy.json: size mismatch"
    ):
        Policy.load(folder)


def test_a_missing_tensor_is_refused(folder):
    path = folder / "policy.safetensors"
    tensors = load_file(path)
    del tensors["fusion.mlp.expand.weight"]
    save_file(tensors, path)
    with pytest.raises(CheckpointError, match=r"do not fit .*fusion.mlp.expand.weight"):
        Policy.load(folder)


def test_saving_replaces_a_policy_whole(folder):
    other = build(seed=7)
    other.save(folder)
    observation = fake_observation()
    loaded = Policy.load(folder).predict(observation)
    assert torch.equal(loaded.actions, other.predict(observation).actions)
    assert [path.name for path in folder.parent.iterdir()] == ["policy"]


def test_others_may_read_what_was_saved(folder):
    model_folder.save_tensors(folder / "more.safetensors", build().state_dict(), {}, what="more")
    saved = [folder, *folder.rglob("*")]
    assert {path.name for path in saved} > {"policy.safetensors", "more.safetensors"}
    assert [path for path in saved if not path.stat().st_mode & stat.S_IROTH] == []


def test_saving_never_deletes_other_work(folder):
    work = folder.parent / "results.json"
    work.write_text("{}")
    match = "holds (policy|results.json), which is no part of a policy; choose another folder"
    with pytest.raises(OutputError, match=match):
        build().save(folder.parent)
    assert work.read_text() == "{}"
    assert (folder / "policy.json").exists()


def test_a_full_disk_leaves_the_old_policy(folder, monkeypatch):
    before = (folder / "policy.safetensors").read_bytes()

    def fail(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(model_folder, "save_file", fail)
    with pytest.raises(OutputError, match=r"cannot save the policy to .*No space left on device"):
        build(seed=7).save(folder)
    assert (folder / "policy.safetensors").read_bytes() == before
    assert [path.name for path in folder.parent.iterdir()] == ["policy"]


def test_a_folder_under_a_regular_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("here")
    with pytest.raises(OutputError, match=r"cannot save the policy to .*file/policy"):
        build().save(tmp_path / "file" / "policy")
    with pytest.raises(OutputError, match=r"cannot save the policy to .*file"):
        build().save(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "here"


# --- Equal sizes -----------------------------------------------------------------------------


@pytest.mark.parametrize("fusion", FUSIONS)
def test_strategies_are_brought_to_the_same_size(fusion):
    data = replace(FAKE_DATA, image_size=64, cameras=("base", "wrist"), observation_window=1)
    base = PolicyConfig(fusion=Component(name=fusion))
    target = 350_000
    matched = match_parameters(base, data, target)
    count = parameter_count(matched, data)
    assert abs(count - target) / target < 0.02
    made = build_policy(matched, data, normalizer(), 0)
    assert made.num_parameters() == count
    assert matched.fusion.options["hidden_dim"] % 8 == 0
    assert matched.fusion.name == fusion


def test_matching_keeps_the_other_options_and_the_random_state():
    state = torch.get_rng_state()
    base = config("film", num_blocks=2)
    matched = match_parameters(base, FAKE_DATA, 120_000)
    assert torch.equal(torch.get_rng_state(), state)
    assert matched.fusion.options["num_blocks"] == 2
    assert replace(matched, fusion=base.fusion) == base
    # Too small a target gives the smallest size there is.
    assert match_parameters(base, FAKE_DATA, 1).fusion.options["hidden_dim"] == 8


@pytest.mark.parametrize("head", discovery.available(plait.heads))
@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_fusion_works_with_every_head(fusion, head):
    wanted = replace(config(fusion), head=Component(name=head))
    made = build_policy(wanted, FAKE_DATA, normalizer(), 0)
    batch = fake_batch()
    torch.manual_seed(0)
    loss = made(batch).total
    assert torch.isfinite(loss)
    loss.backward()
    # Some of a head's options are for what it predicts, so only the fusion must be reached whole.
    silent = [name for name, p in made.fusion.named_parameters() if p.grad is None]
    assert not silent
    chunk = made.eval().predict(batch.observation)
    assert chunk.actions.shape == (3, 5, 11)
    blind = batch.observation.without(VISION)
    noisy = replace(blind, images={k: 255 - v for k, v in blind.images.items()})
    assert torch.equal(made.predict(blind).actions, made.predict(noisy).actions)
    assert torch.isfinite(made.predict(blind).actions).all()
