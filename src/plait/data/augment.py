"""Random shifts of image batches, still uint8 (Yarats et al., 2021, DrQ)."""

import torch
from jaxtyping import UInt8
from torch import Tensor


def random_shift(
    images: UInt8[Tensor, "batch window 3 height width_px"],
    max_shift: int,
    generator: torch.Generator,
) -> UInt8[Tensor, "batch window 3 height width_px"]:
    """Shift every sample by its own whole number of pixels, repeating the edge.

    Args:
        images: Images; all steps of a window move together.
        max_shift: Largest shift along each axis in pixels.
        generator: Source of the shifts.
    """
    batch, _, _, height, width_px = images.shape
    shifts = torch.randint(-max_shift, max_shift + 1, (2, batch), generator=generator)
    rows = (torch.arange(height) + shifts[0, :, None]).clamp(0, height - 1)
    columns = (torch.arange(width_px) + shifts[1, :, None]).clamp(0, width_px - 1)
    sample = torch.arange(batch)
    # Two one-dimensional gathers read whole rows; one two-dimensional gather reads pixels.
    moved = images.permute(0, 3, 1, 2, 4)[sample[:, None], rows]
    moved = moved.permute(0, 4, 2, 3, 1)[sample[:, None], columns]
    return moved.permute(0, 2, 3, 4, 1)
