"""The command line: thin.

It reads options, calls Plait, prints a table, and turns errors into one clear sentence and exit
code 2.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from tyro.conf import Positional, subcommand

from plait.errors import OptionError, user_error_text

if TYPE_CHECKING:
    from plait.config import AlignConfig, DataConfig, TrainingConfig

USER_ERROR = 2
INTERRUPTED = 130


@dataclass(frozen=True, kw_only=True)
class Towers:
    """The encoders of images and instructions."""

    vision: str | None = None
    """Image encoder: conv (default), vit, hf:FOLDER_OR_ID, timm:NAME_OR_FOLDER, or module:Class."""
    language: str | None = None
    """Language encoder: words (default), bytes, sentence, hf:FOLDER_OR_ID, or module:Class."""
    tuning: str | None = None
    """How much of a pretrained encoder is trained: frozen (default), lora, or full."""
    feature_cache: str | None = None
    """What the tokens of frozen encoders are stored as: fp16 (default), bf16, fp32, or off."""

    def given(self) -> dict[str, Any]:
        """Return the parts that were named, as fields of a model's configuration."""
        from plait.encoders import PRETRAINED, parse_encoder

        given: dict[str, Any] = {}
        for modality in ("vision", "language"):
            text = getattr(self, modality)
            if text:
                encoder = parse_encoder(text, modality)
                if self.tuning and encoder.name in PRETRAINED:
                    encoder = parse_encoder(text, modality, tuning=self.tuning)
                given[modality] = encoder
        if self.tuning and not any(e.name in PRETRAINED for e in given.values()):
            raise OptionError("--tuning is for pretrained encoders, and none is named")
        return given


@dataclass(frozen=True, kw_only=True)
class Parts(Towers):
    """What a policy is woven from besides its fusion."""

    head: str | None = None
    """Action head: regression (default), flow, mixture_density, discrete, or module:Class."""

    def given(self) -> dict[str, Any]:
        """Return the parts that were named, as fields of a policy's configuration."""
        from plait.config import Component

        head = {"head": Component(name=self.head)} if self.head else {}
        return {**super().given(), **head}


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Train every fusion strategy on the same data, evaluate in closed loop, write one report."""

    preset: str = "default"
    """default (minutes), smoke (the whole path in a minute), or full (hours)."""
    env: str | None = None
    """Environment to evaluate in, and to record in where no data is given, e.g. tabletop/pick."""
    data: Path | None = None
    """Folder of a LeRobot dataset to train on; recorded from the scripted expert if absent."""
    fusion: str | None = None
    """Strategies, separated by commas; module:Class is one of your own."""
    init: str | None = None
    """What encoders start from, separated by commas: none, aligned (towers aligned on the same
    data, with a retrieval baseline beside them), aligned:OBJECTIVE, or a folder of plait align."""
    fractions: str | None = None
    """Shares of the demonstrations to learn from, separated by commas, e.g. 0.1,0.3,1."""
    align_steps: int | None = None
    """Optimiser steps of every alignment."""
    parts: Parts = Parts()
    cameras: str | None = None
    """Cameras the policies see, separated by commas."""
    seeds: int | None = None
    """Trainings per strategy."""
    episodes: int | None = None
    """Evaluation scenes per strategy and seed."""
    demonstrations: int | None = None
    """Episodes to record where no data is given."""
    steps: int | None = None
    """Optimiser steps of every training."""
    budget: str | None = None
    """Wall time for all trainings together, e.g. 10m; sets the steps by timing a few of them."""
    controls: bool = True
    """Train the best strategy again with the instruction, and with the images, masked."""
    seed: int = 0
    """First seed; the same seed gives the same numbers on the same machine."""
    workers: int | None = None
    """Runs trained side by side; one a core by default."""
    out: Path = Path("outputs/compare")
    """Folder of everything; a call that finds work done there goes on from it."""
    json: bool = False
    """Print the results as JSON."""

    def run(self) -> None:
        """Run the comparison and print its ranking."""
        from plait.compare import compare, preset
        from plait.compare.console import console
        from plait.compare.settings import parse_duration
        from plait.compare.sweep import REPORT_FILE
        from plait.report.conclusions import conclude
        from plait.report.tables import ranking_table

        settings = preset(self.preset)
        given = {
            "env": self.env,
            "data": None if self.data is None else str(self.data),
            "fusions": _names(self.fusion),
            "inits": _names(self.init),
            "fractions": _shares(self.fractions),
            "cameras": _names(self.cameras),
            "num_seeds": self.seeds,
            "num_evaluation_episodes": self.episodes,
            "num_demonstrations": self.demonstrations,
            "seed": self.seed,
            "has_controls": self.controls,
            "feature_cache": self.parts.feature_cache,
        }
        settings = replace(settings, **{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type]
        settings = replace(settings, policy=replace(settings.policy, **self.parts.given()))
        if self.steps is not None:
            settings = replace(settings, training=replace(settings.training, num_steps=self.steps))
        if self.align_steps is not None:
            training = replace(settings.alignment.training, num_steps=self.align_steps)
            settings = replace(settings, alignment=replace(settings.alignment, training=training))
        results = compare(
            settings,
            self.out,
            preset=self.preset,
            num_workers=self.workers,
            budget_seconds=None if self.budget is None else parse_duration(self.budget),
            command="plait " + " ".join(sys.argv[1:]),
        )
        report = self.out / REPORT_FILE
        if self.json:
            _print_json(asdict(results))
        else:
            console.print(ranking_table(results))
            for sentence in conclude(results):
                console.print(f"• {sentence}")
        console.print(f"report: {report}  ({results.total_seconds / 60:.1f} minutes)")


@dataclass(frozen=True, kw_only=True)
class Record:
    """Record demonstrations of the scripted expert as a LeRobot v3 dataset."""

    env: str = "tabletop/pick"
    """Environment id, e.g. tabletop/pick."""
    episodes: int = 100
    """Episodes to record."""
    out: Path
    """Folder of the dataset; an interrupted recording goes on in it."""
    noise: float = 0.3
    """Share of the steps with injected noise, so that recoveries are seen."""
    cameras: str = "base,wrist"
    """Cameras to record, separated by commas."""
    image_size: int = 64
    """Height and width of the images in pixels."""
    storage: str = "image"
    """image (PNG, lossless) or video (h264)."""
    seed: int = 0
    """Seed of the first scene."""
    workers: int | None = None
    """Processes; one a core by default."""
    json: bool = False
    """Print a summary as JSON."""

    def run(self) -> None:
        """Record, with a progress bar."""
        from plait.compare.demonstrations import record_demonstrations

        summary = record_demonstrations(
            self.env,
            self.out,
            num_episodes=self.episodes,
            noise=self.noise,
            cameras=_names(self.cameras) or (),
            image_size=self.image_size,
            storage=self.storage,
            seed=self.seed,
            num_workers=self.workers,
        )
        _print_summary(summary, as_json=self.json)


@dataclass(frozen=True, kw_only=True)
class Learning:
    """What every training of one model has in common."""

    data: Path
    """Folder of the dataset."""
    cameras: str | None = None
    """Cameras to read, separated by commas; all by default."""
    image_size: int = 64
    """Height and width to resize to in pixels."""
    steps: int = 2000
    """Optimiser steps at most."""
    batch_size: int = 128
    """Samples a step."""
    learning_rate: float = 2e-3
    """Peak of the schedule."""
    precision: str = "fp32"
    """fp32 or bf16."""
    seed: int = 0
    """Of weights, data order and augmentation."""
    tensorboard: bool = False
    """Also write TensorBoard event files."""
    json: bool = False
    """Print the outcome as JSON."""

    def data_config(self, parts: Towers, **more: Any) -> "DataConfig":
        """Return which demonstrations are learned from, and how they are read."""
        from plait.config import DataConfig

        return DataConfig(
            path=str(self.data),
            cameras=_names(self.cameras) or (),
            image_size=self.image_size,
            feature_cache=parts.feature_cache or DataConfig.feature_cache,
            **more,
        )

    def training_config(self) -> "TrainingConfig":
        """Return how the model is optimised."""
        from plait.config import TrainingConfig

        return TrainingConfig(
            num_steps=self.steps,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            precision=self.precision,
            seed=self.seed,
        )


@dataclass(frozen=True, kw_only=True)
class Train(Learning):
    """Train one policy on a LeRobot dataset."""

    fusion: str = "film"
    """Fusion strategy, or module:Class."""
    parts: Parts = Parts()
    out: Path = Path("outputs/train")
    """Folder of the checkpoint, the metrics and the policy."""
    width: int = 64
    """Size of the token axis."""
    action_horizon: int = 4
    """Steps per action chunk."""
    init: Path | None = None
    """Folder of aligned towers (see plait align) to start the encoders from."""
    train_fraction: float = 1.0
    """Share of the training episodes to learn from."""

    def run(self) -> None:
        """Train, with a progress bar."""
        from plait.compare.single import train_one
        from plait.config import Component, PolicyConfig, RunConfig

        policy = PolicyConfig(
            fusion=Component(name=self.fusion),
            width=self.width,
            action_horizon=self.action_horizon,
            **self.parts.given(),
        )
        run = RunConfig(
            data=self.data_config(self.parts, train_fraction=self.train_fraction),
            policy=policy,
            training=self.training_config(),
            init="" if self.init is None else str(self.init),
        )
        summary = train_one(run, self.out, tensorboard=self.tensorboard)
        _print_summary(summary, as_json=self.json)


@dataclass(frozen=True, kw_only=True)
class Align(Learning):
    """Align vision, text and action contrastively; measure retrieval and the modality gap."""

    objective: str = "info_nce"
    """info_nce, sigmoid, gram, symile, or module:Class."""
    options: str = "{}"
    """Options of the objective as JSON, e.g. '{"repeats": "keep", "fused_weight": 0}'."""
    parts: Towers = Towers()
    out: Path = Path("outputs/align")
    """Folder of the towers, the results and the report; an interrupted call goes on in it."""
    width: int = 48
    """Size of the token axis; a policy that starts from the towers must have the same."""
    embedding_dim: int = 64
    """Size of the shared space."""
    action_horizon: int = 8
    """Steps of the action chunks."""
    action_sees_proprio: bool = False
    """Let the action tower read the robot's state, too."""
    shares_projection: bool = False
    """Give all towers one last layer, which narrows the gap between modalities."""
    patience: int = 5
    """Validations without better held-out retrieval after which to stop; 0 for never."""
    batch_size: int = 256
    """Samples a step; every other one is a negative."""
    micro_batch_size: int = 0
    """Samples encoded at a time, for batches that do not fit; 0 for all at once."""
    validation_fraction: float = 0.1
    """Share of the episodes held out."""

    def run(self) -> None:
        """Align, with a progress bar, and print the retrieval table."""
        from plait.compare.align import REPORT_FILE, align
        from plait.compare.console import console
        from plait.report.alignment import alignment_table, conclude_alignment

        result = align(
            self._config(),
            self.out,
            command="plait " + " ".join(sys.argv[1:]),
            tensorboard=self.tensorboard,
        )
        if self.json:
            _print_json(asdict(result))
        else:
            console.print(alignment_table(result))
            for sentence in conclude_alignment(result):
                console.print(f"• {sentence}")
        console.print(f"towers: {self.out / 'aligner'}   report: {self.out / REPORT_FILE}")

    def _config(self) -> "AlignConfig":
        from plait.config import AlignConfig, AlignerConfig, Component

        aligner = AlignerConfig(
            objective=Component(name=self.objective, options=_json_options(self.options)),
            width=self.width,
            embedding_dim=self.embedding_dim,
            action_horizon=self.action_horizon,
            action_sees_proprio=self.action_sees_proprio,
            shares_projection=self.shares_projection,
            micro_batch_size=self.micro_batch_size,
            **self.parts.given(),
        )
        return AlignConfig(
            data=self.data_config(self.parts, validation_fraction=self.validation_fraction),
            aligner=aligner,
            training=self.training_config(),
            patience=self.patience,
        )


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Roll a policy out in closed loop: success per task with 95 % intervals."""

    policy: Positional[Path]
    """Folder that Policy.save wrote."""
    env: str = "tabletop/touch"
    """Environment id."""
    episodes: int = 100
    """Scenes."""
    execution_horizon: int = 2
    """Steps of a chunk executed before the next look."""
    mask: str | None = None
    """Modalities hidden from the policy, separated by commas."""
    seed: int = 1_000_000
    """Seed of the first scene."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> None:
        """Evaluate and print the rates."""
        from plait.compare.console import console
        from plait.compare.single import evaluate_one, evaluation_table

        summary = evaluate_one(
            self.policy,
            self.env,
            num_episodes=self.episodes,
            execution_horizon=self.execution_horizon,
            masked=_names(self.mask) or (),
            seed=self.seed,
        )
        if self.json:
            _print_json(summary)
        else:
            console.print(evaluation_table(summary))


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write the report of a finished comparison again."""

    folder: Positional[Path] = Path("outputs/compare")
    """Folder of the comparison."""

    def run(self) -> None:
        """Read results.json and write report.html beside it."""
        from plait.compare.sweep import REPORT_FILE, RESULTS_FILE
        from plait.report import write_report

        path = write_report(self.folder / RESULTS_FILE, self.folder / REPORT_FILE)
        _stderr(f"report: {path}")


@dataclass(frozen=True, kw_only=True)
class Check:
    """Check that a fusion, encoder or head keeps its contract, e.g. one of your own."""

    name: Positional[str]
    """A name of `plait list`, or module:Class."""
    json: bool = False
    """Print as JSON."""

    def run(self) -> None:
        """Run the conformance kit and print how many checks were passed."""
        from plait.testing.by_name import check_by_name

        checked = check_by_name(self.name)
        if self.json:
            _print_json(asdict(checked))
        else:
            _stderr(f"{checked.name}: this {checked.kind} passes all {checked.num_checks} checks")


@dataclass(frozen=True, kw_only=True)
class List:
    """List the strategies, encoders, heads and environments there are."""

    json: bool = False
    """Print as JSON."""

    def run(self) -> None:
        """Print the names by kind."""
        import plait.alignment.objectives
        import plait.encoders.chunks
        import plait.fusion
        import plait.heads
        from plait.discovery import available
        from plait.envs import available_suites

        names = {
            "fusion": available(plait.fusion),
            "encoders": available(plait.encoders),
            "action encoders": available(plait.encoders.chunks),
            "alignment objectives": available(plait.alignment.objectives),
            "heads": available(plait.heads),
            "environments": list(available_suites()),
        }
        _print_summary(names, as_json=self.json)


Command = (
    Annotated[Compare, subcommand("compare")]
    | Annotated[Record, subcommand("record")]
    | Annotated[Train, subcommand("train")]
    | Annotated[Align, subcommand("align")]
    | Annotated[Evaluate, subcommand("evaluate")]
    | Annotated[Report, subcommand("report")]
    | Annotated[Check, subcommand("check")]
    | Annotated[List, subcommand("list")]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    command = tyro.cli(
        Command,
        prog="plait",
        description="Weave vision, language and action into one robot policy.",
        args=arguments,
        config=(tyro.conf.OmitArgPrefixes,),
    )
    return _guard(command.run)


def _guard(run: Callable[[], None]) -> int:
    """Turn what a user can act on into one sentence; let bugs keep their traceback."""
    try:
        run()
    except KeyboardInterrupt as stop:
        _stderr(f"plait: {str(stop) or 'stopped; run the same command again to go on'}")
        return INTERRUPTED
    except Exception as error:
        text = user_error_text(error)
        if text is None:
            raise
        _stderr(f"plait: {text}")
        return USER_ERROR
    return 0


def _names(text: str | None) -> tuple[str, ...] | None:
    """Split a comma-separated option."""
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise OptionError(f"{text!r} names nothing; give one or more names separated by commas")
    return names


def _shares(text: str | None) -> tuple[float, ...] | None:
    """Read a comma-separated option of numbers."""
    try:
        return None if text is None else tuple(float(part) for part in _names(text) or ())
    except ValueError as error:
        raise OptionError(f"{text!r} must be numbers separated by commas: 0.1,0.3,1") from error


def _json_options(text: str) -> dict[str, Any]:
    """Read options of a part."""
    try:
        options = json.loads(text)
    except json.JSONDecodeError as error:
        raise OptionError(f"the options {text!r} are not valid JSON ({error})") from error
    if not isinstance(options, dict):
        raise OptionError(f"the options must be a JSON object, but are {text!r}")
    return options


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=1) + "\n")


def _print_summary(summary: Mapping[str, Any], *, as_json: bool) -> None:
    """Print names and values as a table, or as JSON."""
    if as_json:
        _print_json(summary)
        return
    from rich.table import Table

    from plait.compare.console import console

    table = Table(show_header=False)
    for name, value in summary.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        table.add_row(name, text)
    console.print(table)


def _stderr(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
