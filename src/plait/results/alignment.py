"""What `plait align` writes, and all that its report reads. Standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plait.results import SCHEMA_VERSION, CurvePoint, DatasetSummary, Machine

# Stretches of the episodes that a factor is measured on.
WHOLE_EPISODES = "whole episodes"
LAST_FIFTH = "last fifth"


@dataclass(frozen=True, kw_only=True)
class RetrievalScore:
    """How well one modality finds another on held-out episodes.

    A hit is any item that belongs to the query: with text on one side the same instruction, between
    vision and action the very step. Ties count as a draw among all that tie.

    Attributes:
        query: Modality that asks: `vision`, `language` or `action`.
        target: Modality that is searched.
        num_queries: How many asked.
        gallery_size: How many items were searched; distinct instructions where text is searched.
        recall: Share of the queries with a hit among the first 1, 5 and 10, by that number.
        chance: What random ranks would give, by the same numbers.
        median_rank: Median rank of the first hit, from 1.
        mean_reciprocal_rank: Mean of 1 / rank.
        low: Lower end of the 95 % interval of recall at 1, from episodes drawn again.
        high: Upper end.
    """

    query: str
    target: str
    num_queries: int
    gallery_size: int
    recall: Mapping[str, float]
    chance: Mapping[str, float]
    median_rank: float
    mean_reciprocal_rank: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class PairGeometry:
    """How two modalities lie to one another in the shared space.

    Attributes:
        first: A modality.
        second: Another.
        centroid_distance: ‖mean x − mean y‖ of the unit vectors (Liang et al., 2022).
        relative_gap: Distance of true pairs over that plus the spread within each, 0 to 1
            (Schrodi et al., 2025).
        separability: Accuracy of a linear classifier that tells the two apart; 0.5 is chance.
        alignment: Mean squared distance of true pairs (Wang & Isola, 2020).
        cka: Linear centred kernel alignment, 0 to 1 (Kornblith et al., 2019).
        mutual_neighbours: Share of the 10 nearest neighbours that both have in common
            (Huh et al., 2024).
    """

    first: str
    second: str
    centroid_distance: float
    relative_gap: float
    separability: float
    alignment: float
    cka: float
    mutual_neighbours: float


@dataclass(frozen=True, kw_only=True)
class ModalityGeometry:
    """How one modality fills the shared space.

    Attributes:
        modality: Which.
        uniformity: log E exp(−2‖x − x'‖²), lower is more even (Wang & Isola, 2020).
        effective_rank: exp of the entropy of the spectrum, at most the width (Roy & Vetterli,
            2007).
    """

    modality: str
    uniformity: float
    effective_rank: float


@dataclass(frozen=True, kw_only=True)
class DiagonalScore:
    """The textbook's alignment score, and the most it can be.

    Attributes:
        query: Modality that asks.
        target: Modality that is searched.
        score: Share of the samples nearest to their own pair, all others being wrong.
        ceiling: Distinct instructions ÷ samples where text is one side: repeats cannot be told
            apart. 1 otherwise.
    """

    query: str
    target: str
    score: float
    ceiling: float


@dataclass(frozen=True, kw_only=True)
class RetrievedAction:
    """How far the action chunk found for a held-out step is from the one that was taken.

    Attributes:
        query: What asked: `vision`, `language` or `vision + language`.
        error: Mean squared error in units of the actions' variance; 1 is predicting the mean.
        low: Lower end of the 95 % interval, from episodes drawn again.
        high: Upper end.
    """

    query: str
    error: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class ProgressPoint:
    """Recall at 1 from vision to text within one stretch of the episodes.

    Attributes:
        start: Share of the episode that has gone by where the stretch starts.
        end: The same where it ends.
        recall: Recall at 1 of the steps in it.
        num_queries: How many they are.
    """

    start: float
    end: float
    recall: float
    num_queries: int


@dataclass(frozen=True, kw_only=True)
class FactorRecall:
    """How often what is found first has the right value of one part of the instruction.

    Attributes:
        factor: E.g. `verb`, or `verb + colour` where both must be right.
        query: Modality that asks: `vision` or `language`.
        target: Modality that is searched: distinct instructions, or frames.
        stretch: `whole episodes`, or `last fifth`, where what is asked has become visible.
        recall: Share of the queries for which the first item has the right value.
        chance: What a random order would give: the share of items with the query's value,
            averaged over the queries.
        low: Lower end of the 95 % interval of the recall, from episodes drawn again. Where text
            asks it is from instructions, over frames as they are: too narrow where one frame is
            the nearest to many texts, as it can be before training.
        high: Upper end.
        num_queries: How many asked.
    """

    factor: str
    query: str
    target: str
    stretch: str
    recall: float
    chance: float
    low: float
    high: float
    num_queries: int


@dataclass(frozen=True, kw_only=True)
class AlignmentMeasures:
    """All that is measured of one set of embeddings; no factors where instructions have none."""

    retrieval: tuple[RetrievalScore, ...]
    pairs: tuple[PairGeometry, ...]
    modalities: tuple[ModalityGeometry, ...]
    diagonal: tuple[DiagonalScore, ...]
    retrieved_action: tuple[RetrievedAction, ...]
    progress: tuple[ProgressPoint, ...]
    factors: tuple[FactorRecall, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SimilarityMatrix:
    """Mean cosine between two modalities, instruction by instruction.

    Attributes:
        query: Modality of the rows.
        target: Modality of the columns.
        labels: Instructions, the same for rows and columns.
        values: Rows of columns.
    """

    query: str
    target: str
    labels: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, kw_only=True)
class EmbeddingMap:
    """The embeddings in the plane of their two largest principal components.

    Attributes:
        title: `before` or `after`.
        modality: Modality of every point.
        instruction: Index into `instructions` of every point.
        instructions: The instructions that are drawn.
        x: First coordinate.
        y: Second coordinate.
        explained: Share of the variance in the two.
    """

    title: str
    modality: tuple[str, ...]
    instruction: tuple[int, ...]
    instructions: tuple[str, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]
    explained: float


@dataclass(frozen=True, kw_only=True)
class RetrievedFrame:
    """One held-out frame that an instruction found, and what the robot did next.

    Attributes:
        file: Picture of the frame, relative to the result.
        episode: Its episode.
        step: Its step in the episode.
        instruction: What the robot was really told there.
        is_hit: Whether that is what was asked for.
        similarity: Cosine to the instruction.
        actions: The chunk that followed: rows of action dimensions, in the data's units.
    """

    file: str
    episode: int
    step: int
    instruction: str
    is_hit: bool
    similarity: float
    actions: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, kw_only=True)
class RetrievalExample:
    """The frames nearest to one instruction, at most one an episode."""

    instruction: str
    frames: tuple[RetrievedFrame, ...]


@dataclass(frozen=True, kw_only=True)
class AlignmentResult:
    """The whole of `plait align`: what its `results.json` holds and its report shows.

    Attributes:
        command: The command that made it.
        objective: Name of the loss.
        dataset: The demonstrations.
        num_train_episodes: Episodes learned from.
        num_test_episodes: Held-out episodes that everything is measured on.
        num_watched_episodes: Held-out episodes that early stopping watches, and nothing else is
            measured on unless a note says so; 0 where an older result does not tell.
        num_test_instructions: Distinct instructions among them.
        num_unseen_instructions: Those of them that no training episode has.
        num_steps: Optimiser steps done.
        best_step: The step whose weights are kept: where retrieval on the watched was best.
        logit_scales: Learned scales (inverse temperatures) at the end, by name.
        curve: Loss, and mean recall at 1 as `score`, while learning.
        before: Of the untrained towers.
        after: Of the trained ones.
        centred: Of the trained ones, each modality's mean subtracted.
        similarity: One matrix per pair.
        maps: Before and after.
        examples: Pictures.
        notes: Plain sentences on what this data can and cannot show.
        settings: The full configuration, for the record.
        total_seconds: Wall time of everything.
    """

    command: str
    objective: str
    dataset: DatasetSummary
    num_train_episodes: int
    num_test_episodes: int
    num_test_instructions: int
    num_unseen_instructions: int
    num_steps: int
    best_step: int
    logit_scales: Mapping[str, float]
    curve: tuple[CurvePoint, ...]
    before: AlignmentMeasures
    after: AlignmentMeasures
    centred: AlignmentMeasures
    similarity: tuple[SimilarityMatrix, ...]
    maps: tuple[EmbeddingMap, ...]
    examples: tuple[RetrievalExample, ...]
    notes: tuple[str, ...]
    settings: Mapping[str, Any]
    total_seconds: float
    machine: Machine
    num_watched_episodes: int = 0
    schema_version: int = SCHEMA_VERSION
