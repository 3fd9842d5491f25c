"""What tells whether three modalities are aligned, measured on held-out episodes."""

from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor

from plait.alignment.base import ACTION, ALIGNED, DIRECTIONS, PAIRS
from plait.alignment.losses import fused_query
from plait.alignment.metrics import geometry, retrieval
from plait.alignment.metrics.retrieval import Ranks, bootstrap_interval
from plait.evaluation.embeddings import EmbeddedSteps
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
    test: EmbeddedSteps, library: EmbeddedSteps, *, seed: int = 0
) -> AlignmentMeasures:
    """Measure embeddings of held-out steps.

    Args:
        test: Steps of episodes that were not learned from.
        library: Steps of episodes that were; their action chunks are what can be retrieved.
        seed: Of the bootstrap and of the steps that the geometry is measured on.
    """
    chosen = _subset(len(test.groups), seed)
    values = {name: part[chosen] for name, part in test.values.items()}
    return AlignmentMeasures(
        retrieval=tuple(retrieval_score(test, *direction, seed=seed) for direction in DIRECTIONS),
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
        progress=_along_episodes(test),
    )


def mean_recall(test: EmbeddedSteps) -> float:
    """Return the mean recall at 1 over the six directions: what early stopping watches."""
    with_text = [direction for direction in DIRECTIONS if LANGUAGE in direction]
    ranks = [_ranks(test, *direction)[0] for direction in with_text]
    # One pass over the tiles serves both directions.
    ranks += retrieval.paired_ranks(test.values[VISION], test.values[ACTION])
    return sum(each.mean_recall(1) for each in ranks) / len(ranks)


def retrieval_score(
    test: EmbeddedSteps, query: str, target: str, *, seed: int = 0
) -> RetrievalScore:
    """Measure one direction of retrieval; see `RetrievalScore` for what is a hit."""
    ranks, queries, items = _ranks(test, query, target)
    query_groups, item_groups = _groups(test, query, target, queries, items)
    # Queries of one episode are not independent; instructions stand for themselves.
    clusters = queries if query == LANGUAGE else test.episodes[queries]
    low, high = _interval(ranks.recall(1).float(), clusters, seed, (0.0, 1.0))
    return RetrievalScore(
        query=query,
        target=target,
        num_queries=len(queries),
        gallery_size=len(items),
        recall={str(k): ranks.mean_recall(k) for k in CUTOFFS},
        chance={str(k): retrieval.chance_recall(query_groups, item_groups, k) for k in CUTOFFS},
        median_rank=ranks.median_rank(),
        mean_reciprocal_rank=ranks.mean_reciprocal_rank(),
        low=low,
        high=high,
    )


def _interval(
    values: Float[Tensor, " queries"],
    clusters: Int[Tensor, " queries"],
    seed: int,
    everything: tuple[float, float],
) -> tuple[float, float]:
    """Return the bootstrap interval over clusters; of a single one, nothing can be said."""
    if len(clusters.unique()) < 2:
        return everything
    return bootstrap_interval(values, clusters, seed)


def _ranks(
    test: EmbeddedSteps, query: str, target: str
) -> tuple[Ranks, Int[Tensor, " queries"], Int[Tensor, " items"]]:
    """Rank the true partners; return also which steps asked and which were searched."""
    everything, distinct = torch.arange(len(test.groups)), test.first_of_groups()
    queries = distinct if query == LANGUAGE else everything
    items = distinct if target == LANGUAGE else everything
    query_groups, item_groups = _groups(test, query, target, queries, items)
    ranks = retrieval.retrieval_ranks(
        test.values[query][queries], test.values[target][items], query_groups, item_groups
    )
    return ranks, queries, items


def _groups(
    test: EmbeddedSteps, query: str, target: str, queries: Tensor, items: Tensor
) -> tuple[Tensor, Tensor]:
    """Return what makes a hit: the same instruction, or the very step where no text is asked."""
    if LANGUAGE in (query, target):
        return test.groups[queries], test.groups[items]
    return queries, items


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
        low, high = _interval(errors, test.episodes, seed, (0.0, float(errors.max())))
        result = RetrievedAction(query=name, error=float(errors.mean()), low=low, high=high)
        results.append(result)
    return tuple(results)


def _along_episodes(test: EmbeddedSteps) -> tuple[ProgressPoint, ...]:
    """Measure vision → text separately for every fifth of the episodes."""
    hits = _ranks(test, VISION, LANGUAGE)[0].recall(1)
    points = []
    for start, end in pairwise(STRETCHES):
        is_in = (test.progress >= start) & ((test.progress < end) | (end == STRETCHES[-1]))
        if bool(is_in.any()):
            recall, count = float(hits[is_in].mean()), int(is_in.sum())
            points.append(ProgressPoint(start=start, end=end, recall=recall, num_queries=count))
    return tuple(points)
