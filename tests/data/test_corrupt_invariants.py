"""What holds for every corruption: of a batch, of a rollout, of its name and severity."""

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from corrupt_fakes import (
    NAMES,
    OF_IMAGES,
    OPTIONS,
    STATELESS,
    build,
    differences,
    observe,
    parts,
    raw_observation,
    samples,
    smooth_pictures,
)

from plait.data.corrupt import (
    CorruptorChain,
    EpisodeCorruptor,
    all_corruptions,
    corruption,
    corruption_class,
    with_raw_masks,
)
from plait.data.corrupt.raw import from_raw, into_raw
from plait.errors import OptionError, PlaitError, ShapeError, UnknownNameError
from plait.types import Observation

SEEDS, STEPS = torch.tensor([11, 2**40 + 5, 7]), torch.tensor([3, 0, 29])
DOCS = Path(__file__).parents[2] / "docs" / "corruptions.md"
RANDOM = sorted(set(STATELESS) - {"gaussian_blur", "brightness", "contrast", "jpeg", "empty"})


def copy_of(observation):
    return observation.map_tensors(torch.clone)


@pytest.mark.parametrize("name", STATELESS)
@pytest.mark.parametrize("severity", [1, 3, 5])
def test_a_sample_is_corrupted_alike_alone_and_in_any_batch(name, severity):
    corrupt, observation = build(name, severity), samples()
    together = corrupt(observation, SEEDS, STEPS)
    for index in range(3):
        row = slice(index, index + 1)
        alone = corrupt(observation.select(row), SEEDS[row], STEPS[row])
        assert not differences(alone, together.select(row))
    order = [2, 0, 1]
    permuted = observation.map_tensors(lambda tensor: tensor[order])
    permuted = replace(permuted, instruction=tuple(observation.instruction[i] for i in order))
    expected = together.map_tensors(lambda tensor: tensor[order])
    expected = replace(expected, instruction=tuple(together.instruction[i] for i in order))
    assert not differences(corrupt(permuted, SEEDS[order], STEPS[order]), expected)


@pytest.mark.parametrize("name", STATELESS)
def test_it_changes_its_own_modality_in_a_copy(name):
    corrupt, observation = build(name), samples()
    before = copy_of(observation)
    changed = differences(observation, corrupt(observation, SEEDS, STEPS))
    assert changed
    assert all(part.startswith(corrupt.modality) for part in changed)
    assert not differences(before, observation)


@pytest.mark.parametrize("name", STATELESS)
def test_the_seed_decides(name):
    corrupt, observation = build(name, 3), samples()
    many = replace(
        observation.map_tensors(lambda tensor: tensor[torch.zeros(16, dtype=torch.int64)]),
        instruction=observation.instruction[:1] * 16,
    )
    first = corrupt(many, torch.arange(16))
    assert not differences(first, corrupt(many, torch.arange(16)))
    assert bool(differences(first, corrupt(many, torch.arange(16, 32)))) == (
        name in RANDOM or name == "empty"
    )


@pytest.mark.parametrize("name", OF_IMAGES)
def test_a_camera_is_corrupted_alike_beside_others_and_features_go(name):
    observation = samples()
    features = {camera: torch.zeros(3, 3, 5, 2) for camera in observation.images}
    observation = replace(observation, features=features)
    options = {"cameras": ("wrist",)}
    both = corruption(name, 5, **options)(observation, SEEDS, STEPS)
    assert torch.equal(both.images["base"], observation.images["base"])
    assert both.images["wrist"].dtype == torch.uint8
    assert not both.features
    only = Observation.complete(
        {"wrist": observation.images["wrist"]}, observation.instruction, observation.proprio
    )
    alone = corruption(name, 5)(only, SEEDS, STEPS)
    assert torch.equal(alone.images["wrist"], both.images["wrist"])


@pytest.mark.parametrize("name", OF_IMAGES)
def test_cameras_draw_for_themselves_in_any_order(name):
    observation = samples()
    same = dict.fromkeys(("base", "wrist"), observation.images["base"])
    corrupted = build(name)(replace(observation, images=same), SEEDS, STEPS).images
    assert torch.equal(corrupted["base"], corrupted["wrist"]) == (name not in RANDOM)
    turned = replace(observation, images=dict(reversed(same.items())))
    again = build(name)(turned, SEEDS, STEPS).images
    assert all(torch.equal(again[camera], corrupted[camera]) for camera in same)


@pytest.mark.parametrize("name", OF_IMAGES)
def test_pictures_change_more_with_every_severity(name):
    pictures = observe(smooth_pictures(num=40, size=64))
    seeds = torch.arange(40)
    changes = [
        (build(name, severity)(pictures, seeds).images["base"].float() - pictures.images["base"])
        .abs()
        .mean()
        for severity in (1, 2, 3, 4, 5)
    ]
    assert changes[0] > 0
    assert all(less < more for less, more in pairwise(changes)), changes


@pytest.mark.parametrize("name", STATELESS)
def test_a_rollout_is_corrupted_as_batches_of_one(name):
    corrupt = build(name, 4)
    corruptor = corrupt.start_episode(5)
    for step in range(4):
        raw = raw_observation(step)
        before = copy_of(from_raw(raw))
        seen = corruptor.observe(raw)
        expected = corrupt(from_raw(raw), torch.tensor([5]), torch.tensor([step]))
        assert not differences(from_raw(seen), expected)
        assert not differences(from_raw(raw), before)
        assert seen["extra"] == step
        assert corruptor.act(raw["proprio"]) is raw["proprio"]


@pytest.mark.parametrize("name", NAMES)
def test_a_reset_corruptor_is_as_good_as_new(name):
    used = build(name, 3).start_episode(1)
    play(used)
    used.reset(2)
    assert play(used) == play(build(name, 3).start_episode(2))


def play(corruptor, num_steps=6):
    """Everything that comes out of an episode, comparable."""
    played = []
    for step in range(num_steps):
        seen = parts(from_raw(corruptor.observe(raw_observation(step))))
        values = {key: getattr(value, "tolist", lambda v=value: v)() for key, value in seen.items()}
        played.append((values, corruptor.act(np.full(4, step, np.float32)).tolist()))
    return played


PER_EPISODE = [name for name in STATELESS if corruption_class(name).modality == "language"]
PER_EPISODE += ["proprio_bias", "occlusion", "camera_shift", "camera_rotation"]


@pytest.mark.parametrize("name", STATELESS)
def test_what_is_drawn_once_an_episode_does_not_depend_on_the_step(name):
    corrupt, observation = build(name, 3), samples()
    many = replace(
        observation.map_tensors(lambda tensor: tensor[:1].repeat_interleave(16, dim=0)),
        instruction=observation.instruction[:1] * 16,
    )
    seeds = torch.full((16,), 3)
    corrupted = corrupt(many, seeds, torch.arange(16))
    is_constant = not differences(corrupted, corrupt(many, seeds, torch.zeros_like(seeds)))
    assert is_constant == (name in PER_EPISODE or name not in RANDOM)


def test_a_plain_corruptor_changes_nothing():
    corruptor, raw = EpisodeCorruptor(), raw_observation()
    assert corruptor.observe(raw) is raw
    assert corruptor.act(raw["proprio"]) is raw["proprio"]


def test_a_chain_passes_through_each_in_turn():
    corruptions = [build("camera_shift"), build("masked_words"), build("action_delay", 1)]
    chain = CorruptorChain(corruptions, seed=4)
    chain.reset(9)
    one_by_one = [each.start_episode(9) for each in corruptions]
    for step in range(3):
        expected = raw_observation(step)
        for part in one_by_one:
            expected = part.observe(expected)
        assert not differences(from_raw(chain.observe(raw_observation(step))), from_raw(expected))
        assert chain.act(np.full(2, step + 1, np.float32)).tolist() == [step, step]


def test_masks_survive_the_way_into_a_raw_observation_and_back():
    raw = raw_observation()
    observation = from_raw(raw).without("proprio")
    masked = replace(
        observation, camera_mask={"base": torch.tensor([False]), "wrist": torch.tensor([True])}
    )
    back = into_raw(masked, raw)
    assert back["camera_mask"] == {"base": False, "wrist": True}
    assert back["modality_mask"] == {"vision": True, "language": True, "proprio": False}
    assert not differences(from_raw(back), masked)


def test_raw_masks_mark_the_samples_they_belong_to():
    raws = [{}, {"camera_mask": {"wrist": False}}, {"modality_mask": {"proprio": False}}]
    masked = with_raw_masks(samples(), raws)
    assert masked.camera_mask["wrist"].tolist() == [True, False, True]
    assert masked.camera_mask["base"].tolist() == [True, True, True]
    assert masked.modality_mask["proprio"].tolist() == [True, True, False]
    assert masked.modality_mask["vision"].tolist() == [True, True, True]
    assert not with_raw_masks(samples().without("proprio"), raws).modality_mask["proprio"].any()


@pytest.mark.parametrize("severity", [0, 6, -1])
def test_a_severity_that_does_not_exist_is_refused(severity):
    message = rf"^the severity of latency is {severity}, but must be 1, 2, 3, 4 or 5$"
    with pytest.raises(OptionError, match=message):
        corruption("latency", severity)


def test_a_name_that_does_not_exist_suggests_a_close_one():
    with pytest.raises(UnknownNameError, match="unknown corruption 'gausian_blur'; did you mean"):
        corruption("gausian_blur", 1)


def test_an_option_that_does_not_exist_is_named():
    with pytest.raises(UnknownNameError, match="unknown option of latency 'camera'; did you mean"):
        corruption("latency", 1, camera="base")
    with pytest.raises(OptionError, match=r"cannot build proprio_noise: .*'scale'"):
        corruption("proprio_noise", 1)


@pytest.mark.parametrize("name", [*OF_IMAGES, "latency", "frozen_frame"])
def test_a_camera_that_does_not_exist_is_named(name):
    corruptor = corruption(name, 1, cameras=("wrst",)).start_episode(0)
    with pytest.raises(UnknownNameError, match="unknown camera 'wrst'; did you mean 'wrist'"):
        corruptor.observe(raw_observation())


def test_every_sample_needs_a_seed_and_a_step():
    with pytest.raises(ShapeError, match=r"^seeds has shape \(2,\), but \(3,\) was expected"):
        build("contrast")(samples(), SEEDS[:2])


def test_a_class_of_ones_own_is_found_by_its_module_and_works_as_the_page_says(
    tmp_path, monkeypatch
):
    *_, example = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.S)
    (tmp_path / "own_corruption.py").write_text(example)
    monkeypatch.syspath_prepend(tmp_path)
    negative = corruption("own_corruption:Negative", 5, cameras=("base",))
    seen = negative.start_episode(0).observe(raw_observation())["images"]
    given = raw_observation()["images"]
    assert (seen["base"] == 255 - given["base"]).all()
    assert (seen["wrist"] == given["wrist"]).all()
    with pytest.raises(PlaitError, match=r"not a plait\.data\.corrupt\.base\.Corruption"):
        corruption("pathlib:Path", 1)


def test_names_are_listed_by_modality():
    listed = all_corruptions()
    assert list(listed) == ["vision", "language", "proprio", "action"]
    assert listed["proprio"] == (
        "proprio_bias",
        "proprio_delay",
        "proprio_dropout",
        "proprio_noise",
    )
    assert len(NAMES) == len(set(NAMES)) == 25
    assert set(OPTIONS) <= set(NAMES)
    for name in NAMES:
        kind = corruption_class(name)
        assert (kind.name, len(kind.strengths)) == (name, 5)
        assert kind.keeps.endswith(".")
        assert list(kind.strengths) in (sorted(kind.strengths), sorted(kind.strengths)[::-1])


def test_the_page_of_documentation_says_what_the_code_says():
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) \| .*? \|$", DOCS.read_text(), re.M)
    found = {name: tuple(cells) for name, *cells in rows}
    assert set(found) == set(NAMES)
    for name in NAMES:
        kind = corruption_class(name)
        numbers = " / ".join(f"{strength:g}" for strength in kind.strengths)
        assert found[name] == (kind.modality, f"{numbers}: {kind.measure}", kind.keeps)
