"""What is contrasted, and how the work is cut: the settings of a contrast, and where it runs."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from torch import distributed as dist

from plait.alignment.products import fastest_exact
from plait.errors import OptionError

AUTO, BF16 = "auto", "bf16"
PRECISIONS = (AUTO, "highest", "high", "medium", BF16)
# Rows, columns and kept bytes. A core's cache holds a tile and its operands; a GPU needs large
# products to be busy, and has memory to spare.
CPU_TILES = (512, 512, 32 * 2**20)
GPU_TILES = (4096, 4096, 512 * 2**20)


@dataclass(frozen=True)
class Pair:
    """Two modalities that are contrasted, by their place in the list of embeddings.

    Attributes:
        first: Whose samples are the rows.
        second: Whose samples are the columns.
        weight: Of this pair in the total.
        groups: Samples of the same group are no negatives of one another: they tell us nothing
            when both were given the same instruction. None where all others are negatives.
        present: False where a sample lacks one of the two; it then is neither positive nor
            negative. None where nothing is missing.
    """

    first: int
    second: int
    weight: float = 1.0
    groups: Int[Tensor, " batch"] | None = None
    present: Bool[Tensor, " batch"] | None = None


@dataclass(frozen=True)
class Tiling:
    """How the work is cut.

    What is None is chosen by the device: small tiles on a processor, large ones on a GPU.

    Precisions of the products; sums, of whatever, are float32 or better in all of them:

    - `auto`: the fastest that keeps float32's accuracy. On a processor that is `medium` where a
      trial finds it exact, else `highest`; on a GPU it is `highest`.
    - `highest`, `high`, `medium`: as `torch.set_float32_matmul_precision` has them. `medium` is
      bfloat16 on processors with AMX, and float32 by another library, often a faster one, on those
      without. On a GPU `high` and `medium` are TF32.
    - `bf16`: the products of the gradient, two of three, take bfloat16 operands on every device,
      and what is kept is kept in bfloat16. Logits stay float32 (TF32 on a GPU): rounded, a scale
      of 100 would make of them any gradient at all. Worth it where bfloat16 is much faster than
      float32, as with AVX512-BF16 or AMX.

    Attributes:
        rows: Rows of a tile.
        columns: Columns of a tile.
        kept_bytes: How much of one pair's exponentials is kept; what does not fit is made twice.
        precision: Of the products, as above.

    Raises:
        OptionError: If a size is below one, or there is no such precision.
    """

    rows: int | None = None
    columns: int | None = None
    kept_bytes: int | None = None
    precision: str = AUTO

    def __post_init__(self) -> None:
        sizes = [size for size in (self.rows, self.columns) if size is not None]
        if any(size < 1 for size in sizes):
            raise OptionError(f"a tile of {self.rows}×{self.columns} holds nothing")
        if self.precision not in PRECISIONS:
            known = ", ".join(PRECISIONS)
            raise OptionError(f"precision must be one of {known}, but is {self.precision!r}")


@dataclass(frozen=True)
class Cut:
    """A `Tiling` of which nothing is left open.

    Attributes:
        precision: One that PyTorch knows.
        gradient_dtype: Of the operands of the gradient's products; None for the embeddings' own.
    """

    rows: int
    columns: int
    kept_bytes: int
    precision: str
    gradient_dtype: torch.dtype | None

    @classmethod
    def of(cls, tiling: Tiling, like: Tensor) -> "Cut":
        """Choose what a tiling left open, for the device of some embeddings."""
        is_cpu = like.device.type == "cpu"
        rows, columns, kept_bytes = CPU_TILES if is_cpu else GPU_TILES
        precision = tiling.precision
        if precision == AUTO or (precision == BF16 and is_cpu):
            precision = fastest_exact(like.device, like.shape[1])
        elif precision == BF16:
            precision = "high"
        return cls(
            rows if tiling.rows is None else tiling.rows,
            columns if tiling.columns is None else tiling.columns,
            kept_bytes if tiling.kept_bytes is None else tiling.kept_bytes,
            precision,
            torch.bfloat16 if tiling.precision == BF16 else None,
        )


@dataclass(frozen=True)
class Job:
    """What is no tensor of the graph.

    Attributes:
        has_absent_nan: Whether something that is absent from all pairs is not finite.
    """

    pairs: tuple[Pair, ...]
    cut: Cut
    group: dist.ProcessGroup | None
    has_absent_nan: bool

    @property
    def world(self) -> int:
        """Number of processes."""
        return 1 if self.group is None else dist.get_world_size(self.group)

    @property
    def rank(self) -> int:
        """Which of them this is."""
        return 0 if self.group is None else dist.get_rank(self.group)

    def gather(self, local: Tensor) -> Tensor:
        """Put the parts of all processes one after another."""
        if self.group is None:
            return local
        parts = [torch.empty_like(local) for _ in range(self.world)]
        dist.all_gather(parts, local.contiguous(), group=self.group)
        return torch.cat(parts)

    def add_up(self, values: Tensor) -> Tensor:
        """Sum a tensor over the processes, in place."""
        if self.group is not None:
            dist.all_reduce(values, group=self.group)
        return values

    def counts(self, like: Tensor) -> list[int]:
        """Return how many samples of all processes take part in each pair."""
        everyone = torch.full((), len(like), device=like.device)
        local = [everyone if p.present is None else p.present.sum() for p in self.pairs]
        # Read together: a GPU is waited for once, not once a pair.
        return self.add_up(torch.stack(local)).tolist()
