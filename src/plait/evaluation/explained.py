"""How much of the variance of held-out action chunks each modality explains.

    R² = 1 - Σ (a - â)² / Σ (a - ā)²    ā: mean action of the training episodes

over steps, the real steps of their chunks, and dimensions, each scaled as a policy's targets are.
0 is what the mean action explains, 1 is all; below 0 the model is worse than the mean, which
happens where it learned by heart what does not hold for other episodes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from numpy import ndarray
from torch import Tensor

from plait.data.dataset import Demonstrations
from plait.data.normalize import center_and_scale
from plait.evaluation.ridge import (
    Kernel,
    PatchFeatures,
    inner_split,
    masked_mean_by,
    ridge_predict,
    unit_kernel,
)
from plait.evaluation.small_network import Inputs, predict, train_network
from plait.results import Estimate
from plait.results.shortcuts import (
    MEANS,
    NETWORK,
    RIDGE,
    ExplainedActions,
    LanguageGain,
)

NUM_DRAWS = 1000
NUM_PROGRESS = 10
MAX_NETWORK_STEPS, MAX_RIDGE_STEPS, MAX_TEST_STEPS = 12_000, 2_000, 1_500
MIN_RANGE = 1e-4
# Instructions up to which each is told apart by more than its words.
MAX_NAMED = 256
IMAGES, STATE, IMAGES_STATE = "images", "state", "images + state"
ALL = "images + state + instruction"


@dataclass(frozen=True)
class Steps:
    """Steps of a dataset, with all that a model may see of them.

    Attributes:
        images: All cameras, channels after channels.
        proprio: States, as recorded.
        instructions: Number of each step's instruction.
        actions: Chunks, as recorded.
        mask: False past the end of the episode.
        episodes: Episode of each step.
        progress: Tenth of the episode, from 0.
    """

    images: UInt8[Tensor, "steps channels height width_px"]
    proprio: Float[Tensor, "steps proprio_dim"]
    instructions: Int64[Tensor, " steps"]
    actions: Float[Tensor, "steps horizon action_dim"]
    mask: Bool[Tensor, "steps horizon"]
    episodes: Int64[ndarray, " steps"]
    progress: Int64[Tensor, " steps"]

    @classmethod
    def gather(
        cls, data: Demonstrations, steps: Int64[ndarray, " steps"], texts: Sequence[str]
    ) -> "Steps":
        """Read steps of a dataset; `texts` numbers its instructions."""
        batch = data.gather(steps)
        seen, chunk = batch.observation, batch.action_chunk
        numbers = {text: number for number, text in enumerate(texts)}
        first, last = data.episode_bounds[:, 0], data.episode_bounds[:, 1]
        episodes = np.searchsorted(first, steps, side="right") - 1
        share = (steps - first[episodes]) / (last - first)[episodes]
        return cls(
            torch.cat([seen.images[camera][:, -1] for camera in data.cameras], dim=1),
            seen.proprio[:, -1],
            torch.tensor([numbers[text] for text in seen.instruction], dtype=torch.int64),
            chunk.actions,
            chunk.mask,
            episodes,
            torch.from_numpy((NUM_PROGRESS * share).astype(np.int64)),
        )

    def __len__(self) -> int:
        return len(self.images)

    def thin(self, number: int) -> "Steps":
        """Return at most so many, evenly spread."""
        index = even(np.arange(len(self)), number)
        chosen = torch.from_numpy(index)
        return Steps(
            self.images[chosen],
            self.proprio[chosen],
            self.instructions[chosen],
            self.actions[chosen],
            self.mask[chosen],
            self.episodes[index],
            self.progress[chosen],
        )


def even(steps: Int64[ndarray, " steps"], number: int) -> Int64[ndarray, " some"]:
    """Return at most so many of some steps, evenly spread."""
    if len(steps) <= number:
        return steps
    return steps[np.linspace(0, len(steps) - 1, number).round().astype(np.int64)]


def word_table(texts: Sequence[str]) -> Float[Tensor, "texts num_words"]:
    """Describe instructions by the words in them, and by which one each is.

    Words let what is learned of `the red ball` help with `the red cube`; which one it is keeps
    instructions apart that differ in the order of words alone. Where there are very many, that is
    left out, for a table of all by all would not fit.
    """
    split = [text.lower().split() for text in texts]
    vocabulary = {word: i for i, word in enumerate(sorted({w for words in split for w in words}))}
    table = torch.zeros(len(texts), len(vocabulary))
    for row, words in zip(table, split, strict=True):
        row[[vocabulary[word] for word in words]] = 1.0
    return torch.cat([table, torch.eye(len(texts))], dim=1) if len(texts) <= MAX_NAMED else table


def share_of(
    parts: Float[Tensor, " steps"],
    whole: Float[Tensor, " steps"],
    episodes: Int64[ndarray, " steps"],
    seed: int,
) -> Estimate:
    """Return Σ parts / Σ whole, and its interval from episodes drawn again with replacement.

    The models are those that were trained; what other training episodes would give is not in it.
    A single episode says nothing of the spread: its interval is the number itself.
    """
    _, which = np.unique(episodes, return_inverse=True)
    above, below = (np.bincount(which, values.double().numpy()) for values in (parts, whole))
    number = len(above)
    draws = np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), NUM_DRAWS)
    ratios = (draws @ above) / np.maximum(draws @ below, 1e-12)
    low, high = np.quantile(ratios, [0.025, 0.975])
    value = float(above.sum() / max(below.sum(), 1e-12))
    return Estimate(value=value, low=float(low), high=float(high))


@dataclass(frozen=True)
class ActionStudy:
    """Held-out chunks to be explained, and the training steps to learn that from.

    Attributes:
        train: Steps of the training episodes.
        every: Steps spread over the held-out episodes.
        first: First step of every held-out episode.
        center: Middle of each action dimension's range over the training steps.
        scale: Half that range; infinite for one that never changes, so that it counts nothing.
        words: See `word_table`.
        num_steps: Batches a network learns from.
        seed: Of everything random.
    """

    train: Steps
    every: Steps
    first: Steps
    center: Float[Tensor, " action_dim"]
    scale: Float[Tensor, " action_dim"]
    words: Float[Tensor, "texts num_words"]
    num_steps: int
    seed: int

    @classmethod
    def of(
        cls,
        data: Demonstrations,
        train: Int64[ndarray, " training"],
        test: Int64[ndarray, " test"],
        texts: Sequence[str],
        *,
        num_steps: int,
        seed: int,
    ) -> "ActionStudy":
        """Draw the steps.

        Args:
            data: Demonstrations.
            train: Episodes to learn from.
            test: Episodes held out.
            texts: Instructions, by their number.
            num_steps: Batches a network learns from.
            seed: Of everything random.
        """
        center, scale = center_and_scale(data.norm_stats(train).action, "minmax")
        return cls(
            Steps.gather(data, even(data.steps_of(train), MAX_NETWORK_STEPS), texts),
            Steps.gather(data, even(data.steps_of(test), MAX_TEST_STEPS), texts),
            Steps.gather(data, data.episode_bounds[test, 0], texts),
            torch.from_numpy(center).float(),
            torch.from_numpy(np.where(scale < MIN_RANGE, np.inf, scale)).float(),
            word_table(texts),
            num_steps=num_steps,
            seed=seed,
        )

    def target(self, steps: Steps) -> Float[Tensor, "steps horizon action_dim"]:
        """Return the chunks as a policy's targets are scaled."""
        return (steps.actions - self.center) / self.scale

    @cached_property
    def asked(self) -> tuple[Steps, Steps]:
        """What is predicted: the spread steps, then the first ones."""
        return self.every, self.first

    @cached_property
    def nothing(self) -> Float[Tensor, "test horizon action_dim"]:
        """The mean training chunk, for every held-out step."""
        return self.means(lambda steps: torch.zeros_like(steps.instructions))

    def means(
        self, key_of: Callable[[Steps], Int64[Tensor, " steps"]]
    ) -> Float[Tensor, "test horizon action_dim"]:
        """Predict every held-out step by the mean of the training steps with the same key."""
        asked = torch.cat([key_of(steps) for steps in self.asked])
        return masked_mean_by(
            key_of(self.train), self.target(self.train), self.train.mask, asked
        ).float()

    def errors(self, predicted: Float[Tensor, "test horizon action_dim"]) -> list[Tensor]:
        """Return the squared error of each spread step, and of each first step."""
        parts = predicted.split([len(steps) for steps in self.asked])
        return [
            ((part - self.target(steps)).pow(2).sum(dim=2) * steps.mask).sum(dim=1)
            for part, steps in zip(parts, self.asked, strict=True)
        ]

    def shares(
        self, better: Float[Tensor, "test horizon action_dim"], worse: Tensor | None = None
    ) -> tuple[Estimate, Estimate]:
        """Return what one prediction explains beyond another, or beyond the mean action."""
        total = self.errors(self.nothing)
        before = total if worse is None else self.errors(worse)
        every, first = (
            share_of(b - a, t, steps.episodes, self.seed)
            for a, b, t, steps in zip(self.errors(better), before, total, self.asked, strict=True)
        )
        return every, first

    def changes(self) -> bool:
        """Whether held-out actions differ from the mean, so that there is anything to explain."""
        return all(float(part.sum()) > 0 for part in self.errors(self.nothing))


def ridge_predictions(
    study: ActionStudy, *, with_language: bool
) -> dict[str, Float[Tensor, "test horizon action_dim"]]:
    """Predict from images, from states, from both, and from both and the instruction."""
    train = study.train.thin(MAX_RIDGE_STEPS)
    describe = PatchFeatures.draw(train.images, study.seed)
    images = _kernel(train, study, lambda steps: describe(steps.images))
    state = _kernel(train, study, lambda steps: steps.proprio, each=True)
    kernels = {IMAGES: images, STATE: state, IMAGES_STATE: images + state}
    if with_language:
        told = _kernel(train, study, lambda steps: study.words[steps.instructions])
        kernels[ALL] = images + state + told
    target = study.target(train).flatten(1)
    shape = study.train.actions.shape[1:]
    return {
        name: ridge_predict(kernel, target, train.episodes, study.seed).float().unflatten(1, shape)
        for name, kernel in kernels.items()
    }


def _kernel(
    train: Steps, study: ActionStudy, features: Callable[[Steps], Tensor], *, each: bool = False
) -> Kernel:
    asked = torch.cat([features(steps) for steps in study.asked])
    return unit_kernel(features(train), asked, each=each)


def network_predictions(
    study: ActionStudy, *, with_language: bool, on_step: Callable[[], None]
) -> dict[str, Float[Tensor, "test horizon action_dim"]]:
    """Predict from images and states, without and with the instruction, by equal networks."""
    inputs = _inputs(study, study.train)
    predicted = {IMAGES_STATE: _network_prediction(study, inputs.without_words(), on_step)}
    if with_language:
        predicted[ALL] = _network_prediction(study, inputs, on_step)
    return predicted


def _inputs(study: ActionStudy, steps: Steps) -> Inputs:
    mean = study.train.proprio.mean(dim=0)
    spread = study.train.proprio.std(dim=0, correction=0).clamp(min=1e-3)
    return Inputs(steps.images, (steps.proprio - mean) / spread, study.words[steps.instructions])


def _network_prediction(
    study: ActionStudy, inputs: Inputs, on_step: Callable[[], None]
) -> Float[Tensor, "test horizon action_dim"]:
    target, mask = study.target(study.train), study.train.mask
    shape = target.shape[1:]

    def loss_of(predicted: Tensor, index: Tensor) -> Tensor:
        error = (predicted.unflatten(1, shape) - target[index]).pow(2).mean(dim=2)
        return (error * mask[index]).sum() / mask[index].sum()

    network = train_network(
        inputs,
        shape.numel(),
        loss_of,
        inner_split(study.train.episodes, study.seed),
        num_steps=study.num_steps,
        seed=study.seed,
        on_step=on_step,
    )
    asked = [_inputs(study, steps) for steps in study.asked]
    if not inputs.words.shape[1]:
        asked = [one.without_words() for one in asked]
    return torch.cat([predict(network, one) for one in asked]).unflatten(1, shape)


def explain_actions(
    study: ActionStudy, *, with_language: bool, on_step: Callable[[], None]
) -> tuple[tuple[ExplainedActions, ...], tuple[LanguageGain, ...]]:
    """Measure what each modality explains, and what the instruction adds to the others.

    Args:
        study: What is to be explained.
        with_language: Whether there are several instructions.
        on_step: Called after each batch of a network.

    Returns:
        Nothing where no action ever changes.
    """
    if not study.changes():
        return (), ()
    predicted = {
        MEANS: _mean_predictions(study, with_language=with_language),
        RIDGE: ridge_predictions(study, with_language=with_language),
        NETWORK: network_predictions(study, with_language=with_language, on_step=on_step),
    }
    rows, gains = [], []
    for model, by_inputs in predicted.items():
        for inputs, prediction in by_inputs.items():
            every, first = study.shares(prediction)
            rows.append(
                ExplainedActions(inputs=inputs, model=model, every_step=every, first_step=first)
            )
        if ALL in by_inputs:
            every, first = study.shares(by_inputs[ALL], by_inputs[IMAGES_STATE])
            gains.append(LanguageGain(model=model, every_step=every, first_step=first))
    return tuple(rows), tuple(gains)


def _mean_predictions(study: ActionStudy, *, with_language: bool) -> dict[str, Tensor]:
    predicted = {"nothing": study.nothing, "progress": study.means(lambda steps: steps.progress)}
    if with_language:
        predicted["instruction"] = study.means(lambda steps: steps.instructions)
        predicted["instruction × progress"] = study.means(
            lambda steps: steps.instructions * NUM_PROGRESS + steps.progress
        )
    return predicted
