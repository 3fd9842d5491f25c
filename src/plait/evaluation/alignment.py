"""What tells whether three modalities are aligned, measured on held-out episodes."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor

from plait.alignment.base import ACTION, ALIGNED, DIRECTIONS, PAIRS
from plait.alignment.losses import fused_query
from plait.alignment.metrics import geometry, retrieval
from plait.alignment.metrics.retrieval import Ranks
from plait.evaluation.embeddings import EmbeddedSteps
from plait.evaluation.factors import FactorsOf, factor_recalls
from plait.evaluation.intervals import clustered_interval
from plait.results.alignment import (
    AlignmentMeasures,
    DiagonalScore,
    ModalityGeometry,
    PairGeometry,
    ProgressPoint,
    RetrievalScore,
    RetrievedAction,
)
from plait.types import LANGUAGE, VISION

CUTOFFS = (1, 5, 10)
STRETCHES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
# Metrics over all pairs of samples see no more than this many, chosen by a seed.
MAX_GEOMETRY_STEPS = 2048


def measure_alignment(
    test: EmbeddedSteps,
    library: EmbeddedSteps,
    *,
    factors_of: FactorsOf | None = None,
    seed: int = 0,
) -> AlignmentMeasures:
    """Measure embeddings of held-out steps.

    Args:
        test: Steps of episodes that were not learned from.
        library: Steps of episodes that were; their action chunks are what can be retrieved.
        factors_of: Takes an instruction apart; see `factor_recalls`.
        seed: Of the bootstrap and of the steps that the geometry is measured on.
    """
    chosen = _subset(len(test.groups), seed)
    values = {name: part[chosen] for name, part in test.values.items()}
    found = _search(test)
    return AlignmentMeasures(
        retrieval=tuple(
            _retrieval_score(test, *direction, found[direction], seed) for direction in DIRECTIONS
        ),
        pairs=tuple(_pair(*pair, values, seed) for pair in PAIRS),
        modalities=tuple(
            ModalityGeometry(
                modality=name,
                uniformity=geometry.uniformity(values[name]),
                effective_rank=geometry.effective_rank(values[name]),
            )
            for name in ALIGNED
        ),
        diagonal=tuple(_diagonal(test, *direction) for direction in DIRECTIONS),
        retrieved_action=retrieved_actions(test, library, seed=seed),
        progress=_along_episodes(test, found[VISION, LANGUAGE].ranks),
        factors=() if factors_of is None else factor_recalls(test, factors_of, seed=seed),
    )


def mean_recall(test: EmbeddedSteps) -> float:
    """Return the mean recall at 1 over the six directions: what early stopping watches."""
    scores = [found.ranks.mean_recall(1) for found in _search(test).values()]
    return sum(scores) / len(scores)


def _retrieval_score(
    test: EmbeddedSteps, query: str, target: str, found: "_Found", seed: int
) -> RetrievalScore:
    """Sum up one direction of retrieval; see `RetrievalScore` for what is a hit."""
    ranks = found.ranks
    # Queries of one episode are not independent; instructions stand for themselves.
    clusters = found.queries if query == LANGUAGE else test.episodes[found.queries]
    low, high = clustered_interval(ranks.recall(1).float(), clusters, seed)
    chance = retrieval.chance_ranks(found.query_groups, found.item_groups)
    return RetrievalScore(
        query=query,
        target=target,
        num_queries=len(found.query_groups),
        gallery_size=len(found.item_groups),
        recall={str(k): ranks.mean_recall(k) for k in CUTOFFS},
        chance={str(k): chance.mean_recall(k) for k in CUTOFFS},
        median_rank=ranks.median_rank(),
        mean_reciprocal_rank=ranks.mean_reciprocal_rank(),
        low=low,
        high=high,
    )


@dataclass(frozen=True)
class _Found:
    """One direction: the ranks of the true partners, which steps asked, and what was a hit."""

    ranks: Ranks
    queries: Int[Tensor, " queries"]
    query_groups: Int[Tensor, " queries"]
    item_groups: Int[Tensor, " items"]


def _search(test: EmbeddedSteps) -> dict[tuple[str, str], _Found]:
    """Search in all six directions; one product of a pair serves both of its directions.

    A hit is the same instruction, or the very step where no text is asked. Steps with the same
    instruction have the same text, so text asks and is searched once an instruction.
    """
    everything, distinct = torch.arange(len(test.groups)), test.first_of_groups()
    steps = {VISION: everything, LANGUAGE: distinct, ACTION: everything}
    found = {}
    for first, second in PAIRS:
        of = test.groups if LANGUAGE in (first, second) else everything
        groups = of[steps[first]], of[steps[second]]
        forward, backward = retrieval.both_directions(
            test.values[first][steps[first]], test.values[second][steps[second]], *groups
        )
        found[first, second] = _Found(forward, steps[first], *groups)
        found[second, first] = _Found(backward, steps[second], *groups[::-1])
    return found


def _subset(count: int, seed: int) -> Int[Tensor, " steps"]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randperm(count, generator=generator)[:MAX_GEOMETRY_STEPS]


def _pair(
    first: str, second: str, values: dict[str, Float[Tensor, "steps width"]], seed: int
) -> PairGeometry:
    x, y = values[first], values[second]
    return PairGeometry(
        first=first,
        second=second,
        centroid_distance=geometry.centroid_distance(x, y),
        relative_gap=geometry.relative_gap(x, y),
        separability=geometry.separability(x, y, seed),
        alignment=geometry.alignment(x, y),
        cka=geometry.linear_cka(x, y),
        mutual_neighbours=geometry.mutual_neighbours(x, y, k=min(10, len(x) - 1)),
    )


def _diagonal(test: EmbeddedSteps, query: str, target: str) -> DiagonalScore:
    ceiling = retrieval.diagonal_ceiling(test.groups) if LANGUAGE in (query, target) else 1.0
    score = retrieval.diagonal_score(test.values[query], test.values[target])
    return DiagonalScore(query=query, target=target, score=score, ceiling=ceiling)


def retrieved_actions(
    test: EmbeddedSteps, library: EmbeddedSteps, *, seed: int = 0
) -> tuple[RetrievedAction, ...]:
    """Measure how far the library's nearest action chunk is from the one taken, per query."""
    queries = {
        VISION: test.values[VISION],
        LANGUAGE: test.values[LANGUAGE],
        f"{VISION} + {LANGUAGE}": fused_query(test.values[VISION], test.values[LANGUAGE]),
    }
    spread = ((test.chunks - library.chunks.mean(dim=0)) ** 2).mean().clamp(min=1e-12)
    results = []
    for name, values in queries.items():
        found = retrieval.retrieved(values, library.values[ACTION])
        errors = ((test.chunks - library.chunks[found]) ** 2).mean(dim=1) / spread
        everything = (0.0, float(errors.max()))
        low, high = clustered_interval(errors, test.episodes, seed, everything)
        result = RetrievedAction(query=name, error=float(errors.mean()), low=low, high=high)
        results.append(result)
    return tuple(results)


def _along_episodes(test: EmbeddedSteps, ranks: Ranks) -> tuple[ProgressPoint, ...]:
    """Measure vision → text separately for every fifth of the episodes."""
    hits = ranks.recall(1)
    points = []
    for start, end in pairwise(STRETCHES):
        is_in = (test.progress >= start) & ((test.progress < end) | (end == STRETCHES[-1]))
        if bool(is_in.any()):
            recall, count = float(hits[is_in].mean()), int(is_in.sum())
            points.append(ProgressPoint(start=start, end=end, recall=recall, num_queries=count))
    return tuple(points)
