"""Tiny models with random weights, in folders laid out as the hub lays them out."""

import json
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers.models.clip.tokenization_clip import CLIPTokenizer
from transformers.models.siglip2.tokenization_siglip2 import Siglip2Tokenizer

WORDS = ("blue", "bowl", "cube", "lift", "near", "push", "red", "the", "to")
VISION = {
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 8,
}
TEXT = {
    "hidden_size": 40,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 40,
}
CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def _save(folder: Path, model, preprocessing=None, tokenizer=None) -> Path:
    model.save_pretrained(folder)
    if preprocessing is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    return folder


def _byte_pair_tokenizer():
    """Return CLIP's tokenizer with single letters, and no merges, as its vocabulary."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    entries = [*letters, *(f"{letter}</w>" for letter in letters)]
    entries += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={entry: index for index, entry in enumerate(entries)}, merges=[])


def _word_tokenizer(specials, template, **roles):
    vocabulary = {word: index for index, word in enumerate((*specials, *WORDS))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=roles["unk_token"]))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[(each, vocabulary[each]) for each in specials]
    )
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **roles)


def clip(folder: Path) -> Path:
    tokenizer = _byte_pair_tokenizer()
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text = {**TEXT, **ends, "pad_token_id": tokenizer.pad_token_id, "vocab_size": len(tokenizer)}
    torch.manual_seed(0)
    model = transformers.CLIPModel(
        transformers.CLIPConfig(vision_config=VISION, text_config=text, projection_dim=24)
    )
    preprocessing = {
        "crop_size": 32,
        "do_center_crop": True,
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "CLIPFeatureExtractor",
        "image_mean": CLIP_MEAN,
        "image_std": CLIP_STD,
        "resample": 3,
        "size": 32,
    }
    return _save(folder, model, preprocessing, tokenizer)


def siglip(folder: Path) -> Path:
    tokenizer = _word_tokenizer(
        ("<unk>", "</s>"), "$A </s>", unk_token="<unk>", pad_token="</s>", eos_token="</s>"
    )
    text = {**TEXT, "vocab_size": len(tokenizer), "max_position_embeddings": 12}
    torch.manual_seed(0)
    model = transformers.SiglipModel(
        transformers.SiglipConfig(vision_config=VISION, text_config=text)
    )
    preprocessing = {
        "do_normalize": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_processor_type": "SiglipImageProcessor",
        "image_std": [0.5, 0.5, 0.5],
        "size": {"height": 32, "width": 32},
    }
    return _save(folder, model, preprocessing, tokenizer)


def siglip2(folder: Path) -> Path:
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    entries = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *letters]
    vocabulary = {entry: index for index, entry in enumerate(entries)}
    tokenizer = Siglip2Tokenizer(vocab=vocabulary, merges=[])
    text = {**TEXT, "vocab_size": len(tokenizer), "max_position_embeddings": 40}
    vision = {key: value for key, value in VISION.items() if key != "image_size"}
    torch.manual_seed(0)
    config = transformers.Siglip2Config(
        vision_config={**vision, "num_patches": 16}, text_config=text
    )
    preprocessing = {
        "do_normalize": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_processor_type": "Siglip2ImageProcessor",
        "image_std": [0.5, 0.5, 0.5],
        "max_num_patches": 16,
        "patch_size": 8,
    }
    return _save(folder, transformers.Siglip2Model(config), preprocessing, tokenizer)


def dinov2(folder: Path) -> Path:
    # As the hub has it: the model was built for larger images than its preprocessing makes.
    config = {key: value for key, value in VISION.items() if key != "intermediate_size"}
    config = transformers.Dinov2Config(**{**config, "image_size": 48}, mlp_ratio=2)
    torch.manual_seed(0)
    preprocessing = {
        "crop_size": {"height": 32, "width": 32},
        "do_center_crop": True,
        "do_normalize": True,
        "image_mean": IMAGENET_MEAN,
        "image_processor_type": "BitImageProcessor",
        "image_std": IMAGENET_STD,
        "size": {"shortest_edge": 36},
    }
    return _save(folder, transformers.Dinov2Model(config), preprocessing)


def dinov3(folder: Path) -> Path:
    torch.manual_seed(0)
    model = transformers.DINOv3ViTModel(
        transformers.DINOv3ViTConfig(**VISION, num_register_tokens=4)
    )
    preprocessing = {
        "do_normalize": True,
        "image_mean": IMAGENET_MEAN,
        "image_processor_type": "DINOv3ViTImageProcessorFast",
        "image_std": IMAGENET_STD,
        "size": {"height": 32, "width": 32},
    }
    return _save(folder, model, preprocessing)


def vit(folder: Path) -> Path:
    torch.manual_seed(0)
    preprocessing = {
        "do_normalize": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "size": {"height": 32, "width": 32},
    }
    return _save(folder, transformers.ViTModel(transformers.ViTConfig(**VISION)), preprocessing)


def bert(folder: Path) -> Path:
    tokenizer = _word_tokenizer(
        ("[PAD]", "[UNK]", "[CLS]", "[SEP]"),
        "[CLS] $A [SEP]",
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    )
    torch.manual_seed(0)
    config = transformers.BertConfig(**TEXT, vocab_size=len(tokenizer))
    return _save(folder, transformers.BertModel(config), tokenizer=tokenizer)


def t5(folder: Path) -> Path:
    tokenizer = _word_tokenizer(
        ("<pad>", "</s>", "<unk>"),
        "$A </s>",
        unk_token="<unk>",
        pad_token="<pad>",
        eos_token="</s>",
    )
    torch.manual_seed(0)
    config = transformers.T5Config(
        d_model=40, d_kv=10, d_ff=64, num_layers=2, num_heads=4, vocab_size=len(tokenizer)
    )
    return _save(folder, transformers.T5Model(config), tokenizer=tokenizer)


VISION_MODELS = {
    "clip": clip,
    "siglip": siglip,
    "siglip2": siglip2,
    "dinov2": dinov2,
    "dinov3": dinov3,
    "vit": vit,
}
TEXT_MODELS = {"clip": clip, "siglip": siglip, "siglip2": siglip2, "bert": bert, "t5": t5}
