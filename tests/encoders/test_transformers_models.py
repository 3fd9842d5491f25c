"""Adapters of transformers models, on tiny random models in folders laid out as the hub's are."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

import tiny_models
from plait.backbones.loading import require_library, without_weights
from plait.backbones.text import TransformersText
from plait.backbones.vision import TransformersVision
from plait.config import DataSpec
from plait.encoders import parse_encoder
from plait.encoders.hf_text import TransformersTextEncoder
from plait.encoders.hf_vision import TransformersVisionEncoder
from plait.errors import DataError, OptionError, PlaitError, UnknownNameError
from plait.testing import check_encoder, fake_observation
from plait.testing.fake import FAKE_DATA
from plait.types import LANGUAGE, VISION

TUNINGS = ("frozen", "full", "lora")
DATA = DataSpec(cameras=("base",), image_size=32, proprio_dim=2, action_dim=2)


@pytest.mark.parametrize("tuning", TUNINGS)
@pytest.mark.parametrize("name", tiny_models.VISION_MODELS)
def test_vision_encoder_keeps_the_contract(tiny, name, tuning):
    check_encoder(TransformersVisionEncoder, model=tiny(name), tuning=tuning)


@pytest.mark.parametrize("tuning", TUNINGS)
@pytest.mark.parametrize("name", tiny_models.TEXT_MODELS)
def test_text_encoder_keeps_the_contract(tiny, name, tuning):
    check_encoder(TransformersTextEncoder, model=tiny(name), tuning=tuning)


@pytest.mark.parametrize(
    ("name", "mean"),
    [
        ("clip", tiny_models.CLIP_MEAN),
        ("siglip", [0.5, 0.5, 0.5]),
        ("siglip2", [0.5, 0.5, 0.5]),
        ("dinov2", tiny_models.IMAGENET_MEAN),
        ("dinov3", tiny_models.IMAGENET_MEAN),
        ("vit", [0.5, 0.5, 0.5]),
    ],
)
def test_sizes_and_pixels_are_the_models_own(tiny, name, mean):
    backbone = TransformersVision(tiny(name), None, "frozen", 8)
    assert (backbone.width, backbone.grid, backbone.image_size) == (48, (4, 4), 32)
    torch.testing.assert_close(backbone.mean.flatten(), torch.tensor(mean))


@pytest.mark.parametrize("name", sorted(set(tiny_models.VISION_MODELS) - {"siglip2"}))
def test_patch_tokens_equal_those_of_transformers_own_pipeline(tiny, name):
    # The model and the pixels through transformers alone; images of the model's size, so that
    # resizing, where libraries differ, plays no part.
    folder = tiny(name)
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    settings = json.loads((Path(folder) / "preprocessor_config.json").read_text())
    kind = {"clip": transformers.CLIPVisionModel, "siglip": transformers.SiglipVisionModel}
    model = kind.get(name, transformers.AutoModel).from_pretrained(folder).eval()
    processor = transformers.CLIPImageProcessorPil(
        do_resize=False,
        do_center_crop=False,
        image_mean=settings["image_mean"],
        image_std=settings["image_std"],
    )
    pixels = processor(Image.fromarray(image), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        hidden = model(pixel_values=pixels).last_hidden_state
    num_extra = {"clip": 1, "siglip": 0, "dinov2": 1, "dinov3": 5, "vit": 1}[name]
    assert hidden.shape[1] == 16 + num_extra
    backbone = TransformersVision(folder, None, "frozen", 8)
    found = backbone(torch.from_numpy(image).permute(2, 0, 1)[None])
    torch.testing.assert_close(found, hidden[:, num_extra:], atol=2e-5, rtol=1e-5)


def test_patches_of_siglip2_are_cut_as_its_own_processor_cuts_them(tiny):
    folder = tiny("siglip2")
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    from transformers.models.siglip2 import Siglip2ImageProcessorPil

    processor = Siglip2ImageProcessorPil.from_pretrained(folder)
    given = processor(Image.fromarray(image), return_tensors="pt")
    assert given["spatial_shapes"].tolist() == [[4, 4]]
    with torch.no_grad():
        expected = transformers.Siglip2VisionModel.from_pretrained(folder).eval()(**given)
    found = TransformersVision(folder, None, "frozen", 8)(
        torch.from_numpy(image).permute(2, 0, 1)[None]
    )
    torch.testing.assert_close(found, expected.last_hidden_state, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("name", tiny_models.TEXT_MODELS)
def test_word_tokens_equal_those_of_transformers_own_pipeline(tiny, name):
    folder, texts = tiny(name), ("push the red cube", "lift")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    padding = {"padding": True}
    if "siglip" in name:  # trained on text of one length, without a mask
        padding = {"padding": "max_length", "max_length": {"siglip": 12, "siglip2": 40}[name]}
    given = tokenizer(list(texts), return_tensors="pt", **padding)
    mask = given["attention_mask"].bool()
    if "siglip" in name:
        given = {"input_ids": given["input_ids"]}
    kind = {
        "clip": transformers.CLIPTextModel,
        "siglip": transformers.SiglipTextModel,
        "siglip2": transformers.Siglip2TextModel,
        "t5": transformers.T5EncoderModel,
    }
    model = kind.get(name, transformers.AutoModel).from_pretrained(folder).eval()
    with torch.no_grad():
        hidden = model(**given).last_hidden_state
        found = TransformersText(folder, None, "frozen", 8)(texts)
    assert found.mask.sum(1).tolist() == mask.sum(1).tolist()
    for row in range(len(texts)):
        own, expected = found.values[row][found.mask[row]], hidden[row][mask[row]]
        torch.testing.assert_close(own, expected, atol=2e-5, rtol=1e-5)


def test_images_of_another_size_are_resized_whole(tiny):
    backbone = TransformersVision(tiny("clip"), None, "frozen", 8)
    plain = torch.full((1, 3, 32, 32), 200, dtype=torch.uint8)
    larger = torch.full((1, 3, 80, 80), 200, dtype=torch.uint8)
    torch.testing.assert_close(backbone(larger), backbone(plain), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("stem_layers", "expected"), [(None, 2), (1, 1)])
def test_the_stem_keeps_only_the_blocks_it_reads(tiny, stem_layers, expected):
    stem = TransformersVisionEncoder(DATA, 8, "stem", model=tiny("clip"), stem_layers=stem_layers)
    blocks = {name.split(".layers.")[1][0] for name in stem.state_dict() if ".layers." in name}
    assert len(blocks) == expected


def test_what_each_tuning_trains(tiny):
    counts = {}
    for tuning in TUNINGS:
        encoder = TransformersVisionEncoder(DATA, 8, "features", model=tiny("clip"), tuning=tuning)
        trained = {name for name, value in encoder.named_parameters() if value.requires_grad}
        counts[tuning] = len([name for name in trained if name.startswith("backbone")])
        if tuning == "lora":
            inside = [name for name in trained if name.startswith("backbone")]
            assert all("lora_" in name for name in inside)
    assert counts["frozen"] == 0
    # Two blocks with six linear layers each, two matrices for each of them.
    assert counts["lora"] == 2 * 6 * 2
    assert counts["full"] > counts["lora"]


def test_low_rank_additions_change_nothing_before_training(tiny):
    observation = fake_observation(FAKE_DATA)
    torch.manual_seed(0)
    frozen = TransformersVisionEncoder(FAKE_DATA, 8, "features", model=tiny("clip"))
    torch.manual_seed(0)
    adapted = TransformersVisionEncoder(
        FAKE_DATA, 8, "features", model=tiny("clip"), tuning="lora", rank=2
    )
    adapted.view_embedding.data.copy_(frozen.view_embedding)
    torch.testing.assert_close(adapted(observation).values, frozen(observation).values)


def test_a_frozen_backbone_stays_in_evaluation_mode_and_outside_the_graph(tiny):
    encoder = TransformersVisionEncoder(DATA, 8, "features", model=tiny("dinov2")).train()
    assert encoder.training
    assert not any(part.training for part in encoder.backbone.modules())
    image = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    assert not encoder.encode_images(image).requires_grad


def test_given_features_take_the_place_of_the_images(tiny):
    encoder = TransformersVisionEncoder(FAKE_DATA, 8, "features", model=tiny("clip"))
    observation = fake_observation(FAKE_DATA)
    features = {
        camera: encoder.encode_images(images.flatten(0, 1)).unflatten(0, images.shape[:2])
        for camera, images in observation.images.items()
    }
    black = {camera: torch.zeros_like(images) for camera, images in observation.images.items()}
    cached = encoder(replace(observation, images=black, features=features))
    torch.testing.assert_close(cached.values, encoder(observation).values)
    tuned = TransformersVisionEncoder(FAKE_DATA, 8, "features", model=tiny("clip"), tuning="full")
    ignored = tuned(replace(observation, images=black, features=features))
    torch.testing.assert_close(ignored.values, tuned(replace(observation, images=black)).values)


def test_every_distinct_instruction_is_encoded_once_while_frozen(tiny, monkeypatch):
    encoder = TransformersTextEncoder(FAKE_DATA, 8, "features", model=tiny("bert"))
    seen = []
    encode = encoder.backbone.forward
    monkeypatch.setattr(
        encoder.backbone, "forward", lambda texts: seen.extend(texts) or encode(texts)
    )
    observation = replace(
        fake_observation(FAKE_DATA), instruction=("push", "lift the cube", "push")
    )
    first, again = encoder(observation), encoder(observation)
    assert seen == ["push", "lift the cube"]
    assert torch.equal(first.values, again.values)
    encoder.load_state_dict(encoder.state_dict())
    encoder(observation)
    assert len(seen) == 4  # other weights: everything anew


def test_without_weights_a_model_is_built_from_its_configuration_alone(tiny, tmp_path):
    folder = Path(shutil.copytree(tiny("clip"), tmp_path / "clip"))
    (folder / "model.safetensors").unlink()
    with without_weights():
        backbone = TransformersVision(str(folder), None, "frozen", 8)
    assert backbone.width == 48
    with pytest.raises(DataError, match=r"no \.safetensors file.*unpickled"):
        TransformersVision(str(folder), None, "frozen", 8)


def test_a_missing_model_says_where_it_was_looked_for_and_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for kind in (TransformersVision, TransformersText):
        with pytest.raises(PlaitError) as caught:
            kind("some-lab/some-model", None, "frozen", 8)
        text = str(caught.value)
        assert f"no folder {tmp_path / 'some-lab/some-model'}" in text
        assert "hf download some-lab/some-model --local-dir some-model" in text


def test_foreign_and_damaged_folders(tiny, tmp_path):
    empty = tmp_path / "notes"
    empty.mkdir()
    (empty / "todo.txt").write_text("x")
    with pytest.raises(DataError, match=r"config\.json: no such file .*todo\.txt.*save_pretrained"):
        TransformersVision(str(empty), None, "frozen", 8)
    with pytest.raises(OptionError, match="'bert', which has no image patches"):
        TransformersVision(tiny("bert"), None, "frozen", 8)
    with pytest.raises(OptionError, match="'dinov2', which reads no text"):
        TransformersText(tiny("dinov2"), None, "frozen", 8)
    folder = Path(shutil.copytree(tiny("clip"), tmp_path / "clip"))
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(DataError, match=r"preprocessor_config\.json: no such file.*image_mean"):
        TransformersVision(str(folder), None, "frozen", 8)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(PlaitError, match="clip"):
        TransformersText(str(folder), None, "frozen", 8)


def test_weights_of_another_model_are_refused(tiny, tmp_path):
    folder = Path(shutil.copytree(tiny("clip"), tmp_path / "clip"))
    shutil.copy(Path(tiny("dinov2")) / "model.safetensors", folder / "model.safetensors")
    with pytest.raises(PlaitError, match=r"the weights lack .* another model's weights"):
        TransformersVision(str(folder), None, "frozen", 8)


def test_an_instruction_that_is_too_long_is_refused(tiny):
    backbone = TransformersText(tiny("siglip"), None, "frozen", 8)
    with pytest.raises(OptionError, match="has 21 tokens, more than the 12"):
        backbone(("push " * 20,))


def test_unknown_tuning_and_missing_library(tiny):
    with pytest.raises(UnknownNameError, match="unknown tuning 'lorra'; did you mean 'lora'"):
        TransformersVisionEncoder(DATA, 8, "features", model=tiny("clip"), tuning="lorra")
    with pytest.raises(PlaitError, match=r"needs no_such_library.*pip install 'plait\[hf\]'"):
        require_library("no_such_library", "hf")
    with pytest.raises(OptionError, match="hf_vision needs a model"):
        TransformersVisionEncoder(DATA, 8, "features")


def test_the_short_forms_of_pretrained_encoders():
    found = parse_encoder("hf:openai/clip-vit-base-patch32", VISION, tuning="lora")
    assert found.name == "hf_vision"
    assert found.options == {"model": "openai/clip-vit-base-patch32", "tuning": "lora"}
    assert parse_encoder("hf:./bert", LANGUAGE).name == "hf_text"
    assert parse_encoder("timm:vit_small", VISION).options == {"model": "vit_small"}
    assert parse_encoder("conv", VISION).options == {}
    assert parse_encoder("my_module:MyEncoder", VISION).name == "my_module:MyEncoder"
    with pytest.raises(OptionError, match="timm: has no encoder for language"):
        parse_encoder("timm:vit_small", LANGUAGE)
    with pytest.raises(OptionError, match="names no model"):
        parse_encoder("hf:", VISION)
    with pytest.raises(OptionError, match="'conv' is not pretrained, so it has no tuning"):
        parse_encoder("conv", VISION, tuning="full")
