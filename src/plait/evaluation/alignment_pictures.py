"""What a report shows of an alignment: similarities, a map of the space, and what text finds."""

from collections import Counter
from pathlib import Path

import torch

from plait.alignment.base import ALIGNED, PAIRS
from plait.data.dataset import Demonstrations
from plait.evaluation.embeddings import EmbeddedSteps
from plait.evaluation.files import write_png
from plait.results.alignment import (
    EmbeddingMap,
    RetrievalExample,
    RetrievedFrame,
    SimilarityMatrix,
)
from plait.types import LANGUAGE, VISION

MATRIX_INSTRUCTIONS = 24
MAP_INSTRUCTIONS = 8
MAP_STEPS_PER_INSTRUCTION = 40
EXAMPLES = 6
FRAMES_PER_EXAMPLE = 5
PICTURE_FOLDER = "examples"


def frequent_instructions(test: EmbeddedSteps, limit: int) -> list[str]:
    """Return the instructions with the most steps; by name where equal."""
    counts = Counter(test.instructions)
    return sorted(counts, key=lambda text: (-counts[text], text))[:limit]


def similarity_matrices(test: EmbeddedSteps) -> tuple[SimilarityMatrix, ...]:
    """Return the mean cosine of every two instructions, for every pair of modalities.

    The mean over all pairs of samples is the product of the means.
    """
    labels = frequent_instructions(test, MATRIX_INSTRUCTIONS)
    rows = {
        text: [i for i, told in enumerate(test.instructions) if told == text] for text in labels
    }
    means = {
        name: torch.stack([values[rows[text]].mean(dim=0) for text in labels])
        for name, values in test.values.items()
    }
    return tuple(
        SimilarityMatrix(
            query=first,
            target=second,
            labels=tuple(labels),
            values=tuple(map(tuple, (means[first] @ means[second].T).tolist())),
        )
        for first, second in PAIRS
    )


def embedding_map(test: EmbeddedSteps, title: str, *, seed: int = 0) -> EmbeddingMap:
    """Project some steps of some instructions to the plane of their largest variance (PCA)."""
    labels = frequent_instructions(test, MAP_INSTRUCTIONS)
    generator = torch.Generator().manual_seed(seed)
    chosen: list[int] = []
    for text in labels:
        rows = [i for i, told in enumerate(test.instructions) if told == text]
        order = torch.randperm(len(rows), generator=generator)[:MAP_STEPS_PER_INSTRUCTION]
        chosen += [rows[i] for i in order.tolist()]
    points = torch.cat([test.values[name][chosen] for name in ALIGNED]).double()
    points = points - points.mean(dim=0)
    _, sizes, axes = torch.linalg.svd(points, full_matrices=False)
    # A sign for every axis, so that the same embeddings give the same picture everywhere.
    largest = axes.abs().argmax(dim=1, keepdim=True)
    plane = points @ (axes * axes.gather(1, largest).sign()).T[:, :2]
    plane = torch.nn.functional.pad(plane, (0, 2 - plane.shape[1]))
    instructions = [labels.index(test.instructions[i]) for i in chosen]
    variance = float((sizes**2).sum())
    return EmbeddingMap(
        title=title,
        modality=tuple(name for name in ALIGNED for _ in chosen),
        instruction=tuple(instructions * len(ALIGNED)),
        instructions=tuple(labels),
        x=tuple(plane[:, 0].tolist()),
        y=tuple(plane[:, 1].tolist()),
        explained=float((sizes[:2] ** 2).sum()) / variance if variance else 1.0,
    )


def retrieval_examples(
    test: EmbeddedSteps, demonstrations: Demonstrations, folder: Path
) -> tuple[RetrievalExample, ...]:
    """For some instructions, find the nearest frames and write their pictures.

    Args:
        test: Held-out steps.
        demonstrations: The dataset they are of.
        folder: Where the result goes.

    Raises:
        OutputError: If a picture cannot be written.
    """
    examples = []
    for number, text in enumerate(frequent_instructions(test, EXAMPLES)):
        row = test.instructions.index(text)
        similarity = test.values[VISION] @ test.values[LANGUAGE][row]
        frames: list[RetrievedFrame] = []
        seen: set[int] = set()
        for index in similarity.argsort(descending=True, stable=True).tolist():
            # Neighbouring frames look alike: one an episode shows more.
            episode = int(test.episodes[index])
            if episode in seen:
                continue
            seen.add(episode)
            file = f"{PICTURE_FOLDER}/{number}-{len(frames)}.png"
            frames.append(
                _frame(test, demonstrations, index, float(similarity[index]), text, folder, file)
            )
            if len(frames) == FRAMES_PER_EXAMPLE:
                break
        examples.append(RetrievalExample(instruction=text, frames=tuple(frames)))
    return tuple(examples)


def _frame(
    test: EmbeddedSteps,
    demonstrations: Demonstrations,
    index: int,
    similarity: float,
    asked: str,
    folder: Path,
    file: str,
) -> RetrievedFrame:
    step, episode = int(test.steps[index]), int(test.episodes[index])
    image = demonstrations.frames(demonstrations.cameras[0])[step]
    write_png(folder / file, image.transpose(1, 2, 0).copy())
    chunk = demonstrations.gather(test.steps[index : index + 1].numpy()).action_chunk
    actions = chunk.actions[0][chunk.mask[0]]
    return RetrievedFrame(
        file=file,
        episode=episode,
        step=step - int(demonstrations.episode_bounds[episode, 0]),
        instruction=test.instructions[index],
        is_hit=test.instructions[index] == asked,
        similarity=similarity,
        actions=tuple(map(tuple, actions.tolist())),
    )
