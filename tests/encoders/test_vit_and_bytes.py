"""The vision transformer against patches cut by hand, and the byte encoder's reading of text."""

from dataclasses import replace

import pytest
import torch

from plait.encoders.bytes import ByteEncoder
from plait.encoders.vit import ViTEncoder
from plait.errors import OptionError
from plait.testing import fake_observation
from plait.testing.fake import FAKE_DATA
from plait.types import LANGUAGE


def build_vit(level="stem", **options):
    torch.manual_seed(0)
    return ViTEncoder(FAKE_DATA, 24, level, patch_size=4, **options).eval()


def test_a_stem_token_is_the_linear_image_of_its_own_patch():
    encoder, observation = build_vit(), fake_observation()
    tokens = encoder(observation).values.unflatten(1, (2, 3, 4, 4))
    weight, bias = encoder.embed.weight.flatten(1), encoder.embed.bias
    for camera, name in enumerate(FAKE_DATA.cameras):
        image = observation.images[name][1, 2].float() / 64 - 2
        patch = image[:, 8:12, 4:8].flatten()
        place = encoder.position[2 * 4 + 1] + encoder.view_embedding[camera * 3 + 2, 0]
        expected = encoder.norm(weight @ patch + bias) + place
        torch.testing.assert_close(tokens[1, camera, 2, 2, 1], expected)


def test_patches_of_one_view_see_one_another_and_no_other_view():
    encoder, observation = build_vit("features"), fake_observation()
    before = encoder(observation).values.unflatten(1, (2, 3, 16))
    images = {name: image.clone() for name, image in observation.images.items()}
    images["wrist"][0, 1, :, 0, 0] = 255 - images["wrist"][0, 1, :, 0, 0]
    after = encoder(replace(observation, images=images)).values.unflatten(1, (2, 3, 16))
    changed = (before != after).any(dim=-1)
    assert changed[0, 1, 1].all()
    changed[0, 1, 1] = False
    assert not changed.any()


def test_patches_must_fill_the_image():
    with pytest.raises(OptionError, match="patches of 5 pixels do not fill an image of 16"):
        ViTEncoder(FAKE_DATA, 24, "stem", patch_size=5)


def build_bytes(level="stem", **options):
    torch.manual_seed(0)
    return ByteEncoder(FAKE_DATA, 24, level, **options).eval()


def say(*instructions):
    return replace(fake_observation(batch_size=len(instructions)), instruction=instructions)


def test_bytes_are_ids_from_one_padded_to_whole_groups():
    ids = build_bytes(stride=2).tokenize(("ab c", "é", ""))
    assert ids.tolist() == [[98, 99, 33, 100], [196, 170, 0, 0], [0, 0, 0, 0]]


def test_case_and_spaces_do_not_matter_but_every_letter_does():
    encoder = build_bytes("features")
    tokens = encoder(say("Push  the red cube", "push the red cube", "push the rod cube"))
    assert torch.equal(tokens.values[0], tokens.values[1])
    assert not torch.allclose(tokens.values[1], tokens.values[2])
    assert tokens.mask.sum(dim=1).tolist() == [6, 6, 6]


def test_any_script_can_be_read_and_nothing_said_is_no_token():
    tokens = build_bytes("features")(say("拿起红色方块", "🤖", ""))
    assert tokens.mask.sum(dim=1).tolist() == [6, 2, 0]
    assert torch.isfinite(tokens.values).all()


def test_an_absent_instruction_is_not_read():
    observation = say("x" * 500, "lift")
    present = torch.tensor([False, True])
    observation = replace(
        observation, modality_mask={**observation.modality_mask, LANGUAGE: present}
    )
    assert build_bytes()(observation).mask.any(dim=1).tolist() == [False, True]


def test_a_long_instruction_is_refused_by_its_length():
    with pytest.raises(OptionError, match="has 97 bytes, more than the 96"):
        build_bytes().tokenize(("x" * 97,))
    with pytest.raises(OptionError, match="stride 5 must be at least 1 and divide max_bytes"):
        build_bytes(stride=5, max_bytes=96)


def test_the_longest_instruction_of_the_data_is_read_whole():
    longest = "x" * 130
    encoder = ByteEncoder(replace(FAKE_DATA, most_bytes=130), 24, "stem", stride=4)
    assert encoder.tokenize((longest,)).shape == (1, 132)
    with pytest.raises(OptionError, match="more than the 132"):
        encoder.tokenize((longest + "xyz",))
