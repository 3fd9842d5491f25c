"""Can language be ignored on a dataset? What can be measured of it, on held-out episodes.

A policy learns to listen only where listening helps. It need not where the first image, or the
robot's first state, already says what will be asked for; nor where everything is asked for in the
same words. It must where the same sight is followed by other actions under another instruction.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy import ndarray
from torch import Tensor
from torch.nn import functional as F

from plait.data.dataset import Demonstrations
from plait.errors import OptionError, require_at_least_one, require_seed
from plait.evaluation.explained import ActionStudy, Steps, explain_actions
from plait.evaluation.intervals import clustered_interval
from plait.evaluation.ridge import PatchFeatures, inner_split, ridge_predict, unit_kernel
from plait.evaluation.scenes import coarse, scene_labels, scene_sharing, split_scenes
from plait.evaluation.small_network import Inputs, predict, train_network
from plait.evaluation.statistics import wilson
from plait.results import Estimate
from plait.results.shortcuts import (
    FIRST_IMAGE,
    FIRST_STATE,
    NETWORK,
    RIDGE,
    InstructionPrediction,
    InstructionProbe,
    ShortcutMeasures,
)

FEWEST_EPISODES = 5
# Where instructions with enough episodes are fewer than this of all, they do not stand for it.
FEWEST_COVERED = 0.5
FEWEST_TO_SPLIT = 4
NUM_NETWORKS = 3


@dataclass(frozen=True, kw_only=True)
class ShortcutSettings:
    """How much is looked at.

    Attributes:
        num_episodes: Episodes at most, drawn at random; 0 for all.
        num_steps: Batches that each of the three small networks learns from.
        seed: Of everything random.
    """

    num_episodes: int = 2000
    num_steps: int = 300
    seed: int = 0

    def check(self) -> None:
        """Refuse numbers out of range.

        Raises:
            OptionError: Naming the number.
        """
        require_at_least_one("number of steps", self.num_steps)
        require_seed(self.seed)
        if self.num_episodes < 0:
            raise OptionError(
                f"the number of episodes is {self.num_episodes}, but must be 0 (all) or more"
            )


@dataclass(frozen=True)
class Starts:
    """The first steps of the episodes that are looked at, and which of these are held out.

    Attributes:
        episodes: Which episodes of the dataset.
        texts: Distinct instructions, most frequent first.
        steps: First steps, one an episode.
        scenes: Scene of each.
        split_by: What was held out: scenes or episodes.
        train: Positions of those learned from.
        test: Positions of those held out.
    """

    episodes: Int64[ndarray, " episodes"]
    texts: tuple[str, ...]
    steps: Steps
    cells: Float[ndarray, "episodes cells"]
    scenes: Int64[ndarray, " episodes"]
    split_by: str
    train: Int64[ndarray, " training"]
    test: Int64[ndarray, " test"]

    @classmethod
    def of(cls, data: Demonstrations, settings: ShortcutSettings) -> "Starts":
        """Draw episodes and divide them.

        Raises:
            OptionError: If there are too few to hold any out.
        """
        episodes = _draw_episodes(data, settings)
        first = data.episode_bounds[episodes, 0]
        texts = _texts(data, episodes)
        steps = Steps.gather(data, first, texts)
        cells = coarse(steps.images.numpy())
        scenes = scene_labels(cells)
        split_by, train, test = split_scenes(
            scenes, steps.instructions.numpy(), FEWEST_EPISODES, settings.seed
        )
        return cls(episodes, texts, steps, cells, scenes, split_by, train, test)

    @property
    def instructions(self) -> Int64[ndarray, " episodes"]:
        """Number of each episode's instruction."""
        return self.steps.instructions.numpy()

    @property
    def counts(self) -> dict[str, int]:
        """Episodes of each instruction, most first; none for an empty one."""
        counts = Counter(self.texts[number] for number in self.instructions.tolist())
        return {text: count for text, count in counts.most_common() if text}


def _draw_episodes(data: Demonstrations, settings: ShortcutSettings) -> Int64[ndarray, " episodes"]:
    if data.num_episodes < FEWEST_TO_SPLIT:
        raise OptionError(
            f"{data.root} has {data.num_episodes} episodes; at least {FEWEST_TO_SPLIT} are needed "
            "to learn from some and measure on others"
        )
    order = np.random.default_rng(settings.seed).permutation(data.num_episodes)
    number = max(settings.num_episodes or data.num_episodes, FEWEST_TO_SPLIT)
    return np.sort(order[:number])


def _texts(data: Demonstrations, episodes: Int64[ndarray, " episodes"]) -> tuple[str, ...]:
    """Return every instruction of the dataset, those that episodes start with first."""
    starts = data.gather(data.episode_bounds[episodes, 0]).observation.instruction
    return tuple(dict.fromkeys((*starts, *data.instructions, "")))


def work_of(settings: ShortcutSettings) -> int:
    """Return how often `measure_shortcuts` calls its `on_step` at most."""
    return NUM_NETWORKS * settings.num_steps


def measure_shortcuts(
    data: Demonstrations,
    settings: ShortcutSettings,
    on_step: Callable[[], None] = lambda: None,
) -> ShortcutMeasures:
    """Measure whether language can be ignored.

    Args:
        data: Demonstrations.
        settings: How much is looked at.
        on_step: Called after each batch of a network.

    Raises:
        OptionError: If a number is out of range, or there are too few episodes.
    """
    settings.check()
    starts = Starts.of(data, settings)
    has_several = len(starts.counts) > 1
    study = ActionStudy.of(
        data,
        starts.episodes[starts.train],
        starts.episodes[starts.test],
        starts.texts,
        num_steps=settings.num_steps,
        seed=settings.seed,
    )
    prediction = predict_instruction(starts, settings, on_step)
    actions, gains = explain_actions(study, with_language=has_several, on_step=on_step)
    return ShortcutMeasures(
        num_episodes=len(starts.episodes),
        episodes_by_instruction=starts.counts,
        split_by=starts.split_by,
        prediction=prediction,
        scenes=scene_sharing(starts.cells, starts.scenes, starts.instructions),
        actions=actions,
        gains=gains,
    )


def why_not_judged(counts: dict[str, int], num_episodes: int) -> str:
    """Say why the prediction of the instruction would mean nothing; empty where it does."""
    if not counts:
        return "no episode has an instruction"
    if len(counts) == 1:
        return "all episodes have the same instruction"
    enough = [count for count in counts.values() if count >= FEWEST_EPISODES]
    if len(enough) < 2 or sum(enough) < FEWEST_COVERED * num_episodes:
        return (
            f"only {sum(enough)} of {num_episodes} episodes have an instruction that "
            f"{FEWEST_EPISODES} or more episodes share"
        )
    return ""


def predict_instruction(
    starts: Starts, settings: ShortcutSettings, on_step: Callable[[], None]
) -> InstructionPrediction:
    """Name the instruction of held-out episodes from their first image, and their first state."""
    reason = why_not_judged(starts.counts, len(starts.episodes))
    kept = [text for text, count in starts.counts.items() if count >= FEWEST_EPISODES]
    numbers = [starts.texts.index(text) for text in kept]
    train, test = (
        side[np.isin(starts.instructions[side], numbers)] for side in (starts.train, starts.test)
    )
    if not reason and not (len(train) and len(test)):
        reason = "no episode that could be measured on was held out"
    if reason:
        return InstructionPrediction(reason=reason)
    names = np.searchsorted(np.sort(numbers), starts.instructions)
    answers = torch.from_numpy(names[test])
    guesses = _guesses(starts, names, (train, test), len(kept), settings, on_step)
    commonest = np.bincount(names[train], minlength=len(kept)).argmax()
    probes = [
        InstructionProbe(
            source=source,
            model=model,
            accuracy=accuracy_of(guess == answers, starts.scenes[test], settings.seed),
        )
        for (source, model), guess in guesses.items()
    ]
    return InstructionPrediction(
        probes=tuple(probes),
        majority=float((names[test] == commonest).mean()),
        uniform=1 / len(kept),
        num_instructions=len(kept),
        num_train_episodes=len(train),
        num_test_episodes=len(test),
    )


def accuracy_of(hits: Tensor, clusters: Int64[ndarray, " episodes"], seed: int) -> Estimate:
    """Return the share of hits, and its interval from clusters of episodes drawn again.

    Where all are hits, or none is, drawing again shows no spread, and Wilson's interval is taken.
    """
    share = float(hits.double().mean())
    if share in (0.0, 1.0):
        rate = wilson(int(hits.sum()), len(hits))
        return Estimate(value=share, low=rate.low, high=rate.high)
    low, high = clustered_interval(hits.double(), torch.from_numpy(clusters), seed)
    return Estimate(value=share, low=low, high=high)


def _guesses(
    starts: Starts,
    names: Int64[ndarray, " episodes"],
    sides: tuple[ndarray, ndarray],
    num_names: int,
    settings: ShortcutSettings,
    on_step: Callable[[], None],
) -> dict[tuple[str, str], Int64[Tensor, " test"]]:
    """Return what each probe names, by what it reads and its model."""
    train, test = (torch.from_numpy(side) for side in sides)
    targets = torch.from_numpy(names[sides[0]])
    wanted = F.one_hot(targets, num_names).double()
    images, states = starts.steps.images, starts.steps.proprio
    describe = PatchFeatures.draw(images[train], settings.seed)
    kernels = {
        FIRST_IMAGE: unit_kernel(describe(images[train]), describe(images[test])),
        FIRST_STATE: unit_kernel(states[train], states[test], each=True),
    }
    guesses = {
        (source, RIDGE): ridge_predict(kernel, wanted, sides[0], settings.seed).argmax(dim=1)
        for source, kernel in kernels.items()
    }
    nothing = torch.zeros(len(images), 0)
    inputs = Inputs(images, nothing, nothing)
    network = train_network(
        inputs[train],
        num_names,
        lambda predicted, index: F.cross_entropy(predicted, targets[index]),
        inner_split(sides[0], settings.seed),
        num_steps=settings.num_steps,
        seed=settings.seed,
        on_step=on_step,
    )
    guesses[FIRST_IMAGE, NETWORK] = predict(network, inputs[test]).argmax(dim=1)
    return guesses
