"""In which precision a model is trained, and whether the processor is any good at it."""

import torch

from plait.errors import OptionError

FP32, BF16 = PRECISIONS = ("fp32", "bf16")


def check_precision(precision: str) -> None:
    """Refuse a precision that cannot be trained in.

    Raises:
        OptionError: If it is neither `fp32` nor `bf16`.
    """
    if precision not in PRECISIONS:
        raise OptionError(f"precision must be 'fp32' or 'bf16', but is {precision!r}")


def is_autocast(precision: str, device: torch.device) -> bool:
    """Whether `bf16` is wanted, and not on a processor that has no instructions for it.

    There PyTorch falls back on reference code, fifteen times as slow as float32 and less accurate.
    """
    return precision == BF16 and (device.type != "cpu" or _has_bfloat16_instructions())


def _has_bfloat16_instructions() -> bool:
    # What oneDNN, which does PyTorch's work on processors, asks the processor for: AVX-512 on x86.
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
