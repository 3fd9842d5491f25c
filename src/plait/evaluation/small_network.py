"""A network that learns in seconds: images, and where wanted the state and the instruction.

Two convolutions whose channels the instruction scales and shifts (FiLM), then where each channel
is seen (spatial softmax) and how strongly. It has to be able to bind a word to a place, which sums
of what each modality tells cannot, and it has to do so from a few hundred batches.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

CHANNELS, HIDDEN, WORD_WIDTH = 48, 128, 32
CELL = 4
BATCH_SIZE = 128
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 0.05
# How often, in one training, the weights are compared on the episodes set apart.
NUM_LOOKS = 10
MAX_LOOKED_AT = 512
FILM_STD = 0.2


@dataclass(frozen=True)
class Inputs:
    """What the network reads.

    Attributes:
        images: All cameras, channels after channels.
        proprio: Standardised states; no columns where the network is not to see any.
        words: Words of the instruction and which one it is; no columns where it is not to know.
    """

    images: UInt8[Tensor, "samples channels height width_px"]
    proprio: Float[Tensor, "samples proprio_dim"]
    words: Float[Tensor, "samples num_words"]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Int64[Tensor, " chosen"]) -> "Inputs":
        return Inputs(self.images[index], self.proprio[index], self.words[index])

    def without_words(self) -> "Inputs":
        """Return the same with the instruction withheld."""
        return replace(self, words=self.words[:, :0])


class SmallNetwork(nn.Module):
    """See the module.

    Args:
        like: Inputs of the sizes to be read.
        num_outputs: Numbers to predict.
    """

    def __init__(self, like: Inputs, num_outputs: int) -> None:
        super().__init__()
        num_words, proprio_dim = like.words.shape[1], like.proprio.shape[1]
        self.cells = nn.Conv2d(like.images.shape[1], CHANNELS, CELL, stride=CELL)
        self.first = nn.Conv2d(CHANNELS, CHANNELS, 3, stride=2, padding=1)
        self.second = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.embed = nn.Linear(num_words, WORD_WIDTH) if num_words else None
        self.film = nn.Linear(WORD_WIDTH, 4 * CHANNELS)
        nn.init.normal_(self.film.weight, std=FILM_STD)
        nn.init.zeros_(self.film.bias)
        num_read = 3 * CHANNELS + WORD_WIDTH + proprio_dim
        self.read = nn.Sequential(
            nn.Linear(num_read, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, num_outputs)
        )

    def forward(self, inputs: Inputs) -> Float[Tensor, "samples outputs"]:
        """Predict."""
        words = inputs.images.new_zeros((len(inputs), WORD_WIDTH), dtype=torch.float32)
        if self.embed is not None:
            words = self.embed(inputs.words)
        scale, shift, scale2, shift2 = self.film(words)[..., None, None].chunk(4, dim=1)
        grid = F.relu(self.cells(inputs.images.float() / 127.5 - 1))
        grid = F.relu(self.first(grid) * (1 + scale) + shift)
        grid = (grid + self.second(grid)) * (1 + scale2) + shift2
        seen = [places(grid), F.relu(grid).mean(dim=(2, 3))]
        return self.read(torch.cat([*seen, words, inputs.proprio], dim=1))


def places(grid: Float[Tensor, "samples channels rows columns"]) -> Float[Tensor, "samples twice"]:
    """Return the mean row and column of each channel's softmax, -1 to 1 (Finn et al., 2016)."""
    weights = grid.flatten(2).softmax(dim=2).view_as(grid)
    rows = torch.linspace(-1, 1, grid.shape[2])
    columns = torch.linspace(-1, 1, grid.shape[3])
    return torch.cat([weights.sum(dim=3) @ rows, weights.sum(dim=2) @ columns], dim=1)


Loss = Callable[[Tensor, Int64[Tensor, " chosen"]], Tensor]


def train_network(
    inputs: Inputs,
    num_outputs: int,
    loss_of: Loss,
    sides: tuple[Int64[np.ndarray, " fit"], Int64[np.ndarray, " chosen"]],
    *,
    num_steps: int,
    seed: int,
    on_step: Callable[[], None] = lambda: None,
) -> SmallNetwork:
    """Train for a fixed number of steps and keep the weights that do best on what is set apart.

    Args:
        inputs: Of all training samples.
        num_outputs: Numbers to predict.
        loss_of: Takes predictions and which samples they are for.
        sides: Samples to learn from, and samples to choose the weights by.
        num_steps: Batches.
        seed: Of weights and batches.
        on_step: Called after each batch.
    """
    fit, chosen = (torch.from_numpy(side) for side in sides)
    chosen = chosen[torch.linspace(0, len(chosen) - 1, min(len(chosen), MAX_LOOKED_AT)).long()]
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        network = SmallNetwork(inputs, num_outputs)
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    best, kept = float("inf"), network.state_dict()
    for step in range(1, num_steps + 1):
        optimizer.param_groups[0]["lr"] = learning_rate(step, num_steps)
        index = fit[torch.randint(len(fit), (BATCH_SIZE,), generator=generator)]
        optimizer.zero_grad()
        loss_of(network(inputs[index]), index).backward()
        optimizer.step()
        if step % max(num_steps // NUM_LOOKS, 1) == 0 or step == num_steps:
            error = float(loss_of(predict(network, inputs[chosen]), chosen))
            if error < best:
                best, kept = error, copy.deepcopy(network.state_dict())
        on_step()
    network.load_state_dict(kept)
    return network


def learning_rate(step: int, num_steps: int) -> float:
    """Rise over a tenth of the steps, then fall to nothing along a cosine."""
    warm = max(num_steps // 10, 1)
    if step <= warm:
        return LEARNING_RATE * step / warm
    return LEARNING_RATE * 0.5 * (1 + float(np.cos(np.pi * (step - warm) / (num_steps - warm))))


@torch.no_grad()
def predict(network: SmallNetwork, inputs: Inputs) -> Float[Tensor, "samples outputs"]:
    """Predict part by part, for memory."""
    parts = torch.arange(len(inputs)).split(256)
    return torch.cat([network(inputs[part]) for part in parts])
