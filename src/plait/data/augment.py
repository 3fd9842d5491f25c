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
        generator: Source of the shifts, on the CPU.
    """
    batch, window, channels, height, width_px = images.shape
    shifts = torch.randint(-max_shift, max_shift + 1, (2, batch), generator=generator)
    rows = (torch.arange(height) + shifts[0, :, None]).clamp(0, height - 1)
    columns = (torch.arange(width_px) + shifts[1, :, None]).clamp(0, width_px - 1)
    # One gather over flattened pixels: twice as fast as indexing rows and columns in turn.
    pixels = (rows[:, :, None] * width_px + columns[:, None, :]).view(batch, 1, -1)
    pixels = pixels.to(images.device).expand(batch, window * channels, -1)
    planes = images.reshape(batch, window * channels, height * width_px)
    return planes.gather(2, pixels).view(images.shape)
