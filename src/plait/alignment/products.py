"""How large products are cut into tiles and how exactly they are taken."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def spans(count: int, size: int) -> list[slice]:
    """Cut `count` rows into slices of `size`; the last may be shorter."""
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


@contextmanager
def matmul_precision(precision: str) -> Iterator[None]:
    """Set PyTorch's precision of float32 products for a while, then put the user's back."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
