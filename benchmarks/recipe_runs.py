"""What benchmarks of recipes share: record, train, evaluate, write down. All of it resumes."""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from plait.compare.demonstrations import is_recorded, record_once
from plait.compare.evaluate import EvaluationOptions, evaluate
from plait.compare.training_bar import training_bar
from plait.config import RunConfig
from plait.errors import PlaitError
from plait.policy import Policy
from plait.recipes.base import FINAL_SEED, Recipe
from plait.results import describe_machine, write_text_atomically
from plait.training.loop import METRICS_FILE
from plait.training.parallel import Workers, train_together
from plait.training.run import POLICY_FOLDER, refuse_other_run, train

Part = Callable[[Path], Mapping[str, Any]]
# What it took to make a policy; beside it, and in the folder of one that is handed on.
MADE_FILE = "made.json"


@dataclass(frozen=True)
class TrainJob:
    """Trains a recipe, in any process.

    Args:
        run: What is trained.
        folder: Where everything goes.
    """

    run: RunConfig
    folder: Path

    def __call__(self) -> None:
        """Train, with a bar in the first process."""
        if Workers.current().rank != 0:
            train(self.run, self.folder)
            return
        with training_bar("train", self.run.training.num_steps) as on_progress:
            train(self.run, self.folder, on_progress=on_progress)


def demonstrations(recipe: Recipe, out: Path) -> Path:
    """Record what a recipe learns from, unless it stands there; return where.

    Raises:
        OutputError: If what stands there was recorded by another recipe.
    """
    root = out / f"demonstrations-{recipe.env.replace('/', '-')}"
    was_recorded, start = is_recorded(root), time.perf_counter()
    record_once(
        recipe.env,
        root,
        num_episodes=recipe.num_demonstrations,
        noise=recipe.noise,
        cameras=recipe.cameras,
        image_size=recipe.image_size,
    )
    if not was_recorded:
        took = round(time.perf_counter() - start, 1)
        write_text_atomically(_time_file(root), f"{took}\n")
    return root


def _time_file(root: Path) -> Path:
    """Return where it stands how long the last call that recorded took [s]."""
    return root.with_name(f"{root.name}-seconds.txt")


def obtain(recipe: Recipe, out: Path, ready: Path | None = None) -> tuple[Path, dict[str, Any]]:
    """Record and train a recipe; return the policy's folder and what it took.

    Args:
        recipe: What is made.
        out: Folder of everything; what stands there is not made again.
        ready: Folder of policies that were made before, such as `models`; None to make one.

    Raises:
        PlaitError: If what stands there was recorded or trained by another recipe.
    """
    name = recipe.env.replace("/", "-")
    if ready is not None:
        return ready / name, _made_earlier(recipe, ready / name / MADE_FILE)
    data = demonstrations(recipe, out)
    folder, run = out / name, recipe.run(data)
    refuse_other_run(folder, run)
    if not (folder / POLICY_FOLDER).exists():
        train_together(TrainJob(run, folder), recipe.num_processes)
    path = folder / MADE_FILE
    if not path.exists():
        made = _what_it_took(recipe, data, folder)
        write_text_atomically(path, json.dumps(made, indent=1) + "\n")
    return folder / POLICY_FOLDER, _made_earlier(recipe, path)


def _what_it_took(recipe: Recipe, data: Path, folder: Path) -> dict[str, Any]:
    """Collect sizes and times of a policy that has just been trained here."""
    info = json.loads((data / "meta" / "info.json").read_text(encoding="utf-8"))
    last = json.loads((folder / METRICS_FILE).read_text(encoding="utf-8").splitlines()[-1])
    recording = _time_file(data)
    return {
        "recipe": asdict(recipe),
        "parameters": Policy.load(folder / POLICY_FOLDER).num_parameters(),
        "demonstrations": info["total_episodes"],
        "recorded_steps": info["total_frames"],
        "megabytes": round(sum(f.stat().st_size for f in data.rglob("*.parquet")) / 1e6),
        "recording_seconds": float(recording.read_text()) if recording.exists() else None,
        "training_seconds": last["seconds"],
        "samples_per_second": recipe.training.batch_size * last["step"] / last["seconds"],
        "made_on": asdict(describe_machine()),
    }


def _made_earlier(recipe: Recipe, path: Path) -> dict[str, Any]:
    """Read what it took to make a policy.

    Raises:
        PlaitError: If it was made by another recipe, or there is none.
    """
    if not path.exists():
        raise PlaitError(f"there is no {path}: it says how a policy that is ready was made")
    made: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if made["recipe"] != json.loads(json.dumps(asdict(recipe))):
        raise PlaitError(f"{path}: the policy of {recipe.env} was made by another recipe")
    return made


def played(
    recipe: Recipe,
    policy: Path,
    out: Path,
    *,
    num_episodes: int,
    command: str,
    env: str | None = None,
    has_controls: bool = False,
    num_films: int = EvaluationOptions.num_films,
) -> dict[str, Any]:
    """Play the final scenes, in the recipe's environment or another of its family."""
    options = EvaluationOptions(
        policy=str(policy),
        env=env or recipe.env,
        num_episodes=num_episodes,
        execution_horizon=recipe.execution_horizon,
        has_controls=has_controls,
        num_films=num_films,
        seed=FINAL_SEED,
    )
    return without_episodes(asdict(evaluate(options, out, command=command)))


def without_episodes(value: Any) -> Any:
    """Leave the single episodes out of a result: they stand in the output folder."""
    if isinstance(value, Mapping):
        return {k: without_episodes(v) for k, v in value.items() if k != "episodes"}
    return [without_episodes(each) for each in value] if isinstance(value, list | tuple) else value


def run_parts(parts: Sequence[str], known: Mapping[str, Part], out: Path, results: Path) -> None:
    """Run parts of a benchmark, and write the figures of each with machine and duration.

    Raises:
        SystemExit: If there is no such part.
    """
    _stand_behind_packages()
    for part in parts:
        if part not in known:
            raise SystemExit(f"there is no part {part!r}; known: {', '.join(known)}")
    for part in parts:
        start = time.perf_counter()
        figures = known[part](out)
        record = {
            "part": part,
            "seconds": round(time.perf_counter() - start, 1),
            "machine": asdict(describe_machine()),
            "figures": figures,
        }
        path = results / f"{part}.json"
        write_text_atomically(path, json.dumps(record, indent=1) + "\n")
        print(f"{part}: {path}")


def _stand_behind_packages() -> None:
    """Look for modules here last: `metaworld.py` would hide the package of that name."""
    here = Path(__file__).parent.resolve()
    sys.path.sort(key=lambda entry: Path(entry).resolve() == here)
