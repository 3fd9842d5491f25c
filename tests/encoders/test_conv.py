"""The image encoder: order of views, position of patches, masks of cameras."""

from dataclasses import replace

import pytest
import torch

from plait.encoders.conv import ConvEncoder
from plait.errors import OptionError
from plait.testing import fake_observation
from plait.testing.fake import FAKE_DATA
from plait.types import TokenSpec

PER_VIEW = 4  # 16 pixels in patches of 8, two by two


def build(level="features", data=FAKE_DATA, **options):
    torch.manual_seed(0)
    return ConvEncoder(data, 24, level, **options)


@pytest.mark.parametrize("level", ["stem", "features"])
def test_views_follow_cameras_then_steps(level):
    encoder, observation = build(level), fake_observation()
    assert encoder.token_spec == TokenSpec(24, (2, 2), 6)
    base = encoder(observation).values
    for camera_index, camera in enumerate(FAKE_DATA.cameras):
        for step in range(3):
            image = observation.images[camera].clone()
            image[:, step] = 255 - image[:, step]
            images = {**observation.images, camera: image}
            changed = (encoder(replace(observation, images=images)).values - base).abs().amax(-1)
            view = camera_index * 3 + step
            expected = torch.arange(24) // PER_VIEW == view
            assert torch.equal((changed > 1e-4).all(dim=0), expected)
            assert torch.equal((changed > 0).any(dim=0), expected)


def test_a_patch_sees_its_own_part_of_the_image():
    data = replace(FAKE_DATA, image_size=64, observation_window=1, cameras=("base",))
    encoder = build("stem", data)
    observation = fake_observation(data)
    image = observation.images["base"].clone()
    # Token (i, j) is the patch of 8 pixels that begins at (8 i, 8 j).
    image[..., 49:52, 9:12] = 255 - image[..., 49:52, 9:12]
    other = encoder(replace(observation, images={"base": image})).values
    changed = (other - encoder(observation).values).abs().amax(dim=(0, 2)).view(8, 8)
    assert changed.argmax().item() == 6 * 8 + 1
    # Elsewhere only the norm over the whole view notices.
    assert changed[:5].max() < 0.1 * changed.max()
    assert changed[:, 4:].max() < 0.1 * changed.max()


def test_masks_follow_camera_and_modality():
    encoder, observation = build(), fake_observation()
    wrist = {**observation.camera_mask, "wrist": torch.tensor([True, False, True])}
    vision = {**observation.modality_mask, "vision": torch.tensor([True, True, False])}
    mask = encoder(replace(observation, camera_mask=wrist, modality_mask=vision)).mask
    assert mask.tolist() == [[True] * 24, [True] * 12 + [False] * 12, [False] * 24]


def test_grey_is_the_same_everywhere_but_for_position_and_view():
    encoder = build("stem")
    observation = fake_observation()
    images = {camera: torch.full_like(i, 128) for camera, i in observation.images.items()}
    values = encoder(replace(observation, images=images)).values.unflatten(1, (6, PER_VIEW))
    plain = values - encoder.position - encoder.view_embedding
    torch.testing.assert_close(plain, plain[:1, :1].expand_as(plain))


@pytest.mark.parametrize(("stem_channels", "side"), [((), 4), ([5], 2), ((5, 7), 1)])
def test_every_stem_channel_halves_the_grid(stem_channels, side):
    encoder = build("stem", stem_channels=stem_channels)
    assert encoder.token_spec.grid == (side, side)
    assert encoder(fake_observation()).values.shape[1] == 6 * side * side


def test_patches_must_fit_the_image():
    match = "3 stem channels make patches of 32 pixels, which do not divide the image size 16"
    with pytest.raises(OptionError, match=match):
        build(stem_channels=(3, 5, 7))
