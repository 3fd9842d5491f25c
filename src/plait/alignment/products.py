"""How large products are cut into tiles and how exactly they are taken."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor

# Of a cosine. Float32 stays a few times below; TF32 and bfloat16 miss by a hundred times and more.
LARGEST_ERROR = 5e-7
# Half a tile of the contrast each way: a library may multiply small matrices in another way.
PROBE_SHAPE = (256, 512)


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


@contextmanager
def exact_products(values: Float[Tensor, "rows width"]) -> Iterator[None]:
    """Let float32 products be taken the fastest way that keeps float32's accuracy."""
    with matmul_precision(fastest_exact(values.device, values.shape[1])):
        yield


def fastest_exact(device: torch.device, width: int) -> str:
    """Return the fastest of PyTorch's precisions that keeps float32's accuracy.

    PyTorch leaves `highest` to MKL, which is slow on many AMD processors, and `medium` to oneDNN,
    which may use bfloat16. It does on processors with AMX; on others it multiplies in float32, up
    to twice as fast as MKL. Nothing but accuracy decides, never a clock: the same machine gives the
    same numbers in every run. A GPU means what it says by `medium`, so there it is `highest`.

    Args:
        device: Where the products are taken.
        width: Length of the vectors that are multiplied.
    """
    is_exact = device.type == "cpu" and medium_is_exact(width)
    return "medium" if is_exact else "highest"


@functools.cache
def medium_is_exact(width: int) -> bool:
    """Try `medium` on this processor, once: are its products as good as float32's?

    Tried are the three products of a contrast, on random vectors: the user's own might hold only
    ones and zeros, which bfloat16 multiplies without an error.
    """
    generator = torch.Generator().manual_seed(0)
    rows, columns = (
        torch.randn(size, width, generator=generator, device="cpu", dtype=torch.float32)
        for size in PROBE_SHAPE
    )
    tile = torch.rand(PROBE_SHAPE, generator=generator, device="cpu", dtype=torch.float32)
    products = ((rows, columns.T), (tile, columns), (tile.T, rows))
    # The answer is kept, so it must not depend on who asks first, and from where.
    with torch.autocast("cpu", enabled=False), matmul_precision("medium"):
        return all(_error(left, right) < LARGEST_ERROR for left, right in products)


def _error(left: Tensor, right: Tensor) -> float:
    """Return the largest error of a product, relative to the lengths of the vectors multiplied."""
    error = (left @ right).double().sub_(left.double() @ right.double())
    lengths = left.norm(dim=1)[:, None] * right.norm(dim=0)
    return float((error / lengths).abs().max())
