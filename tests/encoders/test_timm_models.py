"""Adapters of timm models, on tiny random models in folders that timm itself wrote."""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from plait.backbones.vision import TimmVision
from plait.config import DataSpec
from plait.encoders.timm_vision import TimmVisionEncoder
from plait.errors import DataError, OptionError, PlaitError
from plait.testing import check_encoder

needs_timm = pytest.mark.skipif(
    importlib.util.find_spec("timm") is None, reason="timm is not installed: make test-timm"
)
DATA = DataSpec(cameras=("base",), image_size=32, proprio_dim=2, action_dim=2)
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
MODELS = {
    "vit": ("vit_tiny_patch16_224", {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 3}),
    "convnet": ("convnext_atto", {"dims": (8, 12, 16, 24), "depths": (1, 1, 1, 1)}),
    "resnet": ("resnet18", {}),
}


@pytest.fixture(scope="session")
def tiny_timm(tmp_path_factory):
    """Return a function that gives the folder of a tiny timm model."""
    import timm

    root = tmp_path_factory.mktemp("timm")

    def get(name):
        folder = root / name
        if not folder.exists():
            architecture, arguments = MODELS[name]
            torch.manual_seed(0)
            model = timm.create_model(architecture, **arguments)
            pixels = {"mean": MEAN, "std": STD, "input_size": (3, 32, 32)}
            timm.models.save_for_hf(
                model,
                folder,
                model_config={"pretrained_cfg": pixels},
                model_args=arguments,
                safe_serialization=True,
            )
        return str(folder)

    return get


@needs_timm
@pytest.mark.parametrize("tuning", ["frozen", "full"])
@pytest.mark.parametrize("name", MODELS)
def test_it_keeps_the_contract(tiny_timm, name, tuning):
    check_encoder(TimmVisionEncoder, model=tiny_timm(name), tuning=tuning)


@needs_timm
def test_low_rank_tuning_keeps_the_contract(tiny_timm):
    check_encoder(TimmVisionEncoder, model=tiny_timm("vit"), tuning="lora")
    with pytest.raises(OptionError, match="no linear layer for LoRA; use tuning='full'"):
        TimmVisionEncoder(DATA, 8, "features", model=tiny_timm("resnet"), tuning="lora")


@needs_timm
@pytest.mark.parametrize(
    ("name", "width", "grid"),
    [("vit", 24, (4, 4)), ("convnet", 24, (1, 1)), ("resnet", 512, (1, 1))],
)
def test_sizes_and_pixels_are_the_models_own(tiny_timm, name, width, grid):
    backbone = TimmVision(tiny_timm(name), "frozen", 8)
    assert (backbone.width, backbone.grid, backbone.image_size) == (width, grid, 32)
    assert backbone.mean.flatten().tolist() == pytest.approx(MEAN)
    assert backbone.std.flatten().tolist() == pytest.approx(STD)


@needs_timm
@pytest.mark.parametrize("name", ["vit", "resnet"])
def test_tokens_equal_timms_own_features(tiny_timm, name):
    import timm

    folder = tiny_timm(name)
    model = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    image = np.random.default_rng(0).integers(0, 256, (1, 3, 32, 32), dtype=np.uint8)
    pixels = torch.from_numpy(image) / 255
    pixels = (pixels - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    with torch.no_grad():
        features = model.forward_features(pixels)
    expected = features[:, 1:] if name == "vit" else features.flatten(2).transpose(1, 2)
    backbone = TimmVision(folder, "frozen", 8)
    found = backbone(torch.from_numpy(image))
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5)


@needs_timm
def test_a_bad_folder_and_an_unknown_name(tiny_timm, tmp_path):
    folder = Path(shutil.copytree(tiny_timm("vit"), tmp_path / "vit"))
    (folder / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"no \.safetensors file"):
        TimmVision(str(folder), "frozen", 8)
    (folder / "config.json").unlink()
    with pytest.raises(DataError, match=r"config\.json: no such file"):
        TimmVision(str(folder), "frozen", 8)
    with pytest.raises(PlaitError, match="no pretrained model 'vit_tinny'"):
        TimmVision("vit_tinny", "frozen", 8)
    other = Path(shutil.copytree(tiny_timm("resnet"), tmp_path / "other"))
    config = json.loads((Path(tiny_timm("vit")) / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(PlaitError, match="other"):
        TimmVision(str(other), "frozen", 8)


@needs_timm
def test_saved_files_rebuild_the_model_without_its_weights(tiny_timm, tmp_path):
    from plait.backbones.loading import without_weights

    first = TimmVision(tiny_timm("vit"), "frozen", 8)
    first.save_files(tmp_path)
    with without_weights():
        second = TimmVision(str(tmp_path), "frozen", 8)
    second.load_state_dict(first.state_dict())
    image = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    assert torch.equal(first(image), second(image))


def test_without_a_model_it_says_what_to_write():
    with pytest.raises(OptionError, match="timm_vision needs a model"):
        TimmVisionEncoder(DATA, 8, "features")
