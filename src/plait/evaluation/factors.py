"""Which parts of an instruction retrieval gets right: its verb, its colour, its object.

An instruction that is not the one carried out may still share its colour. So a factor's hit is the
same *value*, whatever else differs; and chance is how common that value is among what is searched.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from plait.alignment.metrics.retrieval import chance_recall, retrieval_ranks
from plait.evaluation.embeddings import EmbeddedSteps
from plait.evaluation.intervals import clustered_interval
from plait.results.alignment import LAST_FIFTH, WHOLE_EPISODES, FactorRecall
from plait.types import LANGUAGE, VISION

FactorsOf = Callable[[str], Mapping[str, str] | None]
DIRECTIONS = ((VISION, LANGUAGE), (LANGUAGE, VISION))
LAST_FIFTH_START = 0.8


def factor_recalls(
    test: EmbeddedSteps, factors_of: FactorsOf, *, seed: int = 0
) -> tuple[FactorRecall, ...]:
    """Measure how often the nearest text, or the nearest frame, has a factor's right value.

    Frames search the distinct instructions, and each of those searches the frames. In a stretch,
    only its frames ask; and only they are found, by the instructions that are carried out there.

    Args:
        test: Steps of episodes that were not learned from.
        factors_of: Takes an instruction apart; None for one that it cannot read.
        seed: Of the bootstrap.

    Returns:
        Nothing where an instruction cannot be read.
    """
    stretches = _stretches(test)
    return tuple(
        _factor_recall(test, name, numbered, query, target, stretch, frames, seed)
        for name, values in factor_values(test.instructions, factors_of).items()
        for numbered in [_numbered(values)]
        for query, target in DIRECTIONS
        for stretch, frames in stretches.items()
    )


def factor_values(
    instructions: Sequence[str], factors_of: FactorsOf
) -> dict[str, Sequence[Hashable]]:
    """Return each factor's value in every instruction, and all factors together at the end.

    A factor that is the same everywhere is left out, for there is nothing to get wrong. Where an
    instruction cannot be read there are none: what is left might be another task.
    """
    known: dict[str, Mapping[str, str]] = {}
    for text in dict.fromkeys(instructions):
        factors = factors_of(text)
        if factors is None:
            return {}
        known[text] = factors
    shared = [
        name
        for name in next(iter(known.values()), {})
        if all(name in factors for factors in known.values())
    ]
    values = {name: [known[text][name] for text in instructions] for name in shared}
    varied: dict[str, Sequence[Hashable]] = {k: v for k, v in values.items() if len(set(v)) > 1}
    if len(varied) > 1:
        varied[" + ".join(varied)] = list(zip(*varied.values(), strict=True))
    return varied


def _numbered(values: Sequence[Hashable]) -> Int[Tensor, " steps"]:
    numbers = {value: number for number, value in enumerate(dict.fromkeys(values))}
    return torch.tensor([numbers[value] for value in values], dtype=torch.int64)


def _stretches(test: EmbeddedSteps) -> dict[str, Int[Tensor, " frames"]]:
    """Return the steps of each stretch that has any."""
    everything = torch.arange(len(test.groups))
    stretches = {
        WHOLE_EPISODES: everything,
        LAST_FIFTH: everything[test.progress >= LAST_FIFTH_START],
    }
    return {name: frames for name, frames in stretches.items() if len(frames)}


def _factor_recall(
    test: EmbeddedSteps,
    factor: str,
    values: Int[Tensor, " steps"],
    query: str,
    target: str,
    stretch: str,
    frames: Int[Tensor, " frames"],
    seed: int,
) -> FactorRecall:
    """Search one way for one factor; ties count as a draw."""
    texts = test.first_of_groups()
    if query == VISION:
        # Queries of one episode are not independent; instructions stand for themselves.
        queries, items, clusters = frames, texts, test.episodes[frames]
    else:
        queries = texts[torch.isin(test.groups[texts], test.groups[frames])]
        items, clusters = frames, queries
    wanted, offered = values[queries], values[items]
    ranks = retrieval_ranks(
        test.values[query][queries], test.values[target][items], wanted, offered
    )
    hits = ranks.recall(1)
    low, high = clustered_interval(hits, clusters, seed)
    return FactorRecall(
        factor=factor,
        query=query,
        target=target,
        stretch=stretch,
        recall=float(hits.mean()),
        chance=chance_recall(wanted, offered, 1),
        low=low,
        high=high,
        num_queries=len(queries),
    )
