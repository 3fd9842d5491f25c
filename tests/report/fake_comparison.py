"""A comparison as `plait compare` would leave it in a folder, made of seeded noise in a moment.

python fake_comparison.py FOLDER        # writes results.json, runs/ and report.html there
"""

import random
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageDraw

from plait.evaluation.statistics import compare_pairs, summarise_arms
from plait.results import (
    Comparison,
    Cost,
    CurvePoint,
    DatasetSummary,
    Diagnostic,
    EpisodeResult,
    Machine,
    RolloutPicture,
    RunResult,
    save_result,
)

MACHINE = Machine(
    platform="Linux",
    processor="A processor @ 3.0 GHz",
    num_cores=2,
    python="3.11.9",
    packages={"plait": "0.1.0", "torch": "2.8.0", "numpy": "2.1.0", "mujoco": "3.3.0"},
    git_commit="0123456789ab",
)
# How able each strategy is, and what one prediction costs in milliseconds.
STRATEGIES = {
    "film": (0.80, 3.4),
    "cross_attention": (0.76, 4.9),
    "transformer": (0.72, 4.1),
    "early": (0.55, 5.6),
    "concat": (0.47, 1.9),
    "late": (0.30, 2.1),
    "bottleneck": (0.66, 4.4),
    "graph": (0.62, 7.2),
    "low_rank_tensor": (0.50, 2.4),
    "mixture": (0.69, 6.1),
    "perceiver": (0.58, 5.1),
    "gated": (0.49, 2.0),
}
CONTROLS = {"instruction_masked": 0.33, "images_masked": 0.06}
MODALITIES = ("vision", "language", "proprio")
COLOURS = {"red": (204, 62, 54), "blue": (58, 110, 200), "green": (70, 160, 90)}


@dataclass(frozen=True, kw_only=True)
class Fake:
    """What the comparison should look like."""

    fusions: Sequence[str] = tuple(STRATEGIES)[:6]
    tasks: Sequence[str] = ("touch",)
    num_seeds: int = 1
    num_episodes: int = 200
    has_controls: bool = True
    has_holdout: bool = False
    has_diagnostics: bool = True
    num_pictures: int = 2
    is_meaningful: bool = True
    instruction: str = "touch the {} cube"
    title: str = "Plait: {} fusion strategies on tabletop/touch"
    renamed: dict[str, str] = field(default_factory=dict)


def write_fake(folder: Path, fake: Fake | None = None) -> Path:
    """Write the whole folder of a comparison and return its `results.json`."""
    fake = fake or Fake()
    arms = [(name, None) for name in fake.fusions]
    if fake.has_controls:
        arms += [(fake.fusions[0], control) for control in CONTROLS]
    runs, folders = [], []
    for fusion, control in arms:
        for seed in range(fake.num_seeds):
            name = fake.renamed.get(fusion, fusion)
            arm = f"{name}, {control.replace('_', ' ')}" if control else name
            place = f"runs/{re.sub(r'[^a-z_]+', '-', arm)}/seed-{seed}"
            run = _run(fake, folder / place, arm, fusion, control, seed)
            save_result(folder / place / "result.json", run)
            runs.append(run)
            folders.append(place)
    path = folder / "results.json"
    save_result(path, _comparison(fake, runs, folders))
    return path


def _comparison(fake: Fake, runs: list[RunResult], folders: list[str]) -> Comparison:
    return Comparison(
        title=fake.title.format(len(fake.fusions)),
        command="plait compare --seeds 3 --episodes 200",
        env="tabletop/touch" if len(fake.tasks) == 1 else "tabletop/all",
        preset="default" if fake.is_meaningful else "smoke",
        is_meaningful=fake.is_meaningful,
        dataset=DatasetSummary(
            path="data",
            fingerprint="9f2c41d0a7b35e68",
            num_episodes=4000,
            num_steps=61234,
            cameras=("base",),
            tasks=("touch the red cube",),
            is_recorded_here=True,
        ),
        arms=summarise_arms(runs),
        comparisons=compare_pairs(runs),
        runs=tuple(folders),
        settings={
            "env": "tabletop/touch",
            "fusions": list(fake.fusions),
            "has_controls": fake.has_controls,
            "holdout_env": None,
            "policy": {"width": 64, "vision": {"name": "conv", "options": {}}},
            "training": {"num_steps": 2000, "learning_rate": 0.002, "precision": "fp32"},
        },
        total_seconds=2520.0,
        machine=MACHINE,
    )


def _run(
    fake: Fake, folder: Path, arm: str, fusion: str, control: str | None, seed: int
) -> RunResult:
    dice = random.Random(f"{arm} {seed}")
    ability, latency = STRATEGIES[fusion]
    ability = CONTROLS[control] if control else ability
    ability += dice.uniform(-0.03, 0.03)
    episodes = _episodes(fake, ability, seed, dice)
    return RunResult(
        arm=arm,
        fusion=fusion,
        control=control,
        seed=seed,
        cost=Cost(
            num_parameters=int(612_000 * dice.uniform(0.9, 1.1)),
            flops_per_action_chunk=int(21e6 * latency),
            latency_ms_median=latency,
            latency_ms_p99=latency * dice.uniform(1.1, 1.6),
            train_seconds=60 * latency,
            train_samples_per_second=9000 / latency,
        ),
        curve=_curve(ability, dice),
        episodes=episodes,
        holdout_episodes=_episodes(fake, ability - 0.2, seed, dice) if fake.has_holdout else (),
        validation_action_error=0.05 + 0.1 * (1 - ability),
        pictures=_pictures(fake, folder, episodes) if seed == 0 else (),
        diagnostics=_diagnostics(fake, folder, fusion, control, dice),
        machine=MACHINE,
    )


def _episodes(
    fake: Fake, ability: float, seed: int, dice: random.Random
) -> tuple[EpisodeResult, ...]:
    episodes = []
    for index in range(fake.num_episodes):
        # The scene is the same for every arm, so arms fail on the same hard ones.
        scene = random.Random(index)
        task_index = index % len(fake.tasks)
        difficulty = 0.6 * scene.random() + 0.4 * dice.random() + 0.09 * task_index
        is_success = difficulty < ability
        failure = dice.choices(("wrong_object", "timeout", "wrong_place"), (6, 3, 1))[0]
        episodes.append(
            EpisodeResult(
                seed=1_000_000 + index,
                task=fake.tasks[task_index],
                instruction=fake.instruction.format(scene.choice(list(COLOURS))),
                success=is_success,
                outcome="success" if is_success else failure,
                num_steps=scene.randint(8, 25),
                num_candidates=scene.randint(3, 6),
            )
        )
    return tuple(episodes)


def _curve(ability: float, dice: random.Random) -> tuple[CurvePoint, ...]:
    points = []
    for step in range(0, 2001, 200):
        loss = (0.06 + 0.25 * (1 - ability)) + 0.9 * 0.5 ** (step / 250) * dice.uniform(0.9, 1.1)
        points.append(
            CurvePoint(
                step=step,
                train_loss=0.9 * loss,
                validation_loss=loss * dice.uniform(0.97, 1.03),
                seconds=step / 10,
            )
        )
    return tuple(points)


def _pictures(
    fake: Fake, folder: Path, episodes: Sequence[EpisodeResult]
) -> tuple[RolloutPicture, ...]:
    solved = [e for e in episodes if e.success][: fake.num_pictures]
    failed = [e for e in episodes if not e.success][: fake.num_pictures]
    pictures = []
    for episode in solved + failed:
        file = f"rollouts/scene_{episode.seed}.webp"
        draw_rollout(folder / file, episode.seed, is_success=episode.success)
        pictures.append(
            RolloutPicture(
                file=file,
                seed=episode.seed,
                task=episode.task,
                instruction=episode.instruction,
                success=episode.success,
                outcome=episode.outcome,
            )
        )
    return tuple(pictures)


def _diagnostics(
    fake: Fake, folder: Path, fusion: str, control: str | None, dice: random.Random
) -> tuple[Diagnostic, ...]:
    if not fake.has_diagnostics:
        return ()
    base = {"vision": 0.8, "language": 0.5, "proprio": 0.2, "instruction swapped": 0.6}
    base |= {"language": 0.0, "instruction swapped": 0.0} if control == "instruction_masked" else {}
    moved = {name: round(value * dice.uniform(0.7, 1.2), 4) for name, value in base.items()}
    found = [
        Diagnostic(
            name="modality_sensitivity",
            kind="bars",
            labels=tuple(moved),
            values=tuple(moved.values()),
            note="Mean change of the predicted actions when a modality is withheld.",
        )
    ]
    if fusion == "late" and control is None:
        found.append(
            Diagnostic(
                name="modality_usage",
                kind="bars",
                labels=MODALITIES,
                values=(0.55, 0.25, 0.2),
                note="Weight the fusion gives each modality, averaged over 128 samples.",
            )
        )
    if fusion == "cross_attention" and control is None:
        scene(7).save(_made(folder / "attention.png"))
        found.append(
            Diagnostic(
                name="attention",
                kind="heatmap",
                labels=("touch", "the", "red", "cube"),
                values=tuple(_attention(x, y) for x, y in ((4, 4), (1, 1), (5, 2), (4.6, 2.3))),
                image="attention.png",
                note="Where each word looks: attention to the patches of this view, head average.",
            )
        )
    return tuple(found)


def _attention(x: float, y: float) -> list[list[float]]:
    cells = [[0.5 ** ((c - x) ** 2 + (r - y) ** 2) + 0.02 for c in range(8)] for r in range(8)]
    total = sum(map(sum, cells))
    return [[round(cell / total, 4) for cell in row] for row in cells]


def draw_rollout(path: Path, seed: int, *, is_success: bool) -> None:
    """Write an animated picture of a hand that moves to a cube, or past it."""
    dice = random.Random(seed)
    goal = (dice.randint(12, 50), dice.randint(14, 40))
    end = goal if is_success else (dice.randint(4, 60), dice.randint(4, 60))
    frames = []
    for step in range(8):
        frame = scene(seed, goal)
        x, y = (round(32 + (e - 32) * step / 7) for e in end)
        ImageDraw.Draw(frame).rectangle((x - 2, y - 5, x + 2, y), fill=(40, 42, 48))
        frames.append(frame)
    frames[0].save(
        _made(path), "WEBP", save_all=True, append_images=frames[1:], duration=100, loop=0
    )


def scene(seed: int, goal: tuple[int, int] = (44, 20)) -> Image.Image:
    """Draw a table with three cubes."""
    dice = random.Random(seed)
    image = Image.new("RGB", (64, 64), (196, 186, 170))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 64, 12), fill=(120, 126, 134))
    places = [goal] + [(dice.randint(8, 54), dice.randint(18, 54)) for _ in range(2)]
    for (x, y), colour in zip(places, COLOURS.values(), strict=True):
        draw.rectangle((x - 4, y - 4, x + 4, y + 4), fill=colour)
    return image


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


if __name__ == "__main__":
    from plait.report import write_report

    out = Path(sys.argv[1])
    write_report(write_fake(out), out / "report.html")
