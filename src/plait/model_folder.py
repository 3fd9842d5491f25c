"""A saved model: a folder with its description as JSON and its weights as safetensors.

Nothing in it is unpickled, and it is written whole or not at all.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import plait
from plait.backbones.loading import without_weights
from plait.config import AlignerConfig, Component, DataSpec, PolicyConfig, from_dict
from plait.encoders.base import Encoder
from plait.errors import CheckpointError, OutputError, PlaitError
from plait.types import MODALITIES

FORMAT_VERSION = 1
Config = TypeVar("Config", PolicyConfig, AlignerConfig)
Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class ModelFolder:
    """How one kind of model lies in a folder.

    Attributes:
        kind: What it is called in messages, e.g. `policy`.
        stem: Of its two files, e.g. `policy.json` and `policy.safetensors`.
    """

    kind: str
    stem: str

    @property
    def config_file(self) -> str:
        """Name of the description."""
        return f"{self.stem}.json"

    @property
    def weights_file(self) -> str:
        """Name of the weights."""
        return f"{self.stem}.safetensors"

    def save(self, folder: Path, model: nn.Module) -> None:
        """Write a model; what its encoders must keep goes to folders of their modalities' names.

        Args:
            folder: Replaced whole or not at all.
            model: With its `config`, its `data` and its `encoders`.

        Raises:
            OutputError: If the folder cannot be written, or holds anything but such a model.
        """
        header = {"config": asdict(cast(Any, model.config)), "data": asdict(cast(Any, model.data))}
        data = {"format_version": FORMAT_VERSION, "plait_version": plait.__version__, **header}
        try:
            self._refuse_other_work(folder)
            folder.parent.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
            try:
                tensors = {k: v.contiguous() for k, v in model.state_dict().items()}
                save_file(tensors, temporary / self.weights_file)
                text = json.dumps(data, indent=2)
                (temporary / self.config_file).write_text(text, encoding="utf-8")
                for modality, encoder in cast(nn.ModuleDict, model.encoders).items():
                    _save_encoder_files(cast(Encoder, encoder), temporary / modality)
                _let_others_read(temporary)
                if folder.exists():
                    shutil.rmtree(folder)
                temporary.rename(folder)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
        except (OSError, SafetensorError) as error:
            raise OutputError(f"cannot save the {self.kind} to {folder}: {error}") from error

    def read_header(self, folder: Path) -> dict[str, Any]:
        """Read the description of a saved model.

        Raises:
            CheckpointError: If it is missing, unreadable, or of another version.
        """
        path = folder / self.config_file
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError) as error:
            inner = folder / self.kind
            hint = f"; did you mean {inner}?" if (inner / self.config_file).exists() else ""
            raise CheckpointError(
                f"{path}: no such file; expected the folder of a saved {self.kind}{hint}"
            ) from error
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise CheckpointError(f"{path}: not valid JSON ({error})") from error
        header = data if isinstance(data, dict) else {}
        version = header.get("format_version")
        if version != FORMAT_VERSION:
            raise CheckpointError(
                f"{path}: format version {version}, written by Plait "
                f"{header.get('plait_version', 'unknown')}; this Plait ({plait.__version__}) reads "
                f"version {FORMAT_VERSION}. Train the {self.kind} again, or use the Plait that "
                "wrote it"
            )
        return header

    def load(self, folder: Path, kind: type[Model], config_kind: type[Config]) -> Model:
        """Read a model that `save` wrote.

        Args:
            folder: Where it is.
            kind: Its class, made of a configuration and a `DataSpec`.
            config_kind: Class of its configuration.

        Raises:
            CheckpointError: If it is missing, incomplete, or of another version.
        """
        header = self.read_header(folder)
        try:
            config = from_dict(config_kind, header.get("config", {}))
            spec = from_dict(DataSpec, header.get("data", {}))
            with without_weights():
                model = kind(_with_saved_models(config, folder), spec)
        except PlaitError as error:
            raise CheckpointError(f"{folder / self.config_file}: {error}") from error
        # Not where it was read from: saved again, it must be found there.
        model.config = config  # type: ignore[assignment]
        self._load_weights(folder, model)
        return model.eval()

    def _load_weights(self, folder: Path, module: nn.Module) -> None:
        """Fill a model with saved weights.

        Raises:
            CheckpointError: If they are missing, damaged, or of another model.
        """
        path = folder / self.weights_file
        try:
            module.load_state_dict(load_file(path))
        except FileNotFoundError as error:
            raise CheckpointError(f"{path}: no such file; the {self.kind} is incomplete") from error
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"{path}: not a whole safetensors file ({error}); copy or train it again"
            ) from error
        except RuntimeError as error:
            first = str(error).strip().splitlines()[-1].strip()
            raise CheckpointError(
                f"{path}: the weights do not fit {folder / self.config_file}: {first}"
            ) from error

    def _refuse_other_work(self, folder: Path) -> None:
        """Refuse to replace a folder that holds more than such a model."""
        if folder.is_dir():
            own = {self.config_file, self.weights_file, *MODALITIES}
            others = sorted({path.name for path in folder.iterdir()} - own)
            if others:
                raise OutputError(
                    f"{folder} holds {others[0]}, which is no part of a {self.kind}; choose "
                    "another folder"
                )


def save_tensors(
    path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str], *, what: str
) -> None:
    """Write tensors under a temporary name, then rename; `what` they are, for messages.

    Raises:
        OutputError: If the folder cannot be written or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(dict(tensors), temporary, metadata=dict(header))
        _let_others_read(temporary)
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        temporary.unlink(missing_ok=True)
        raise OutputError(f"cannot write the {what} {path}: {error}") from error


def _let_others_read(root: Path) -> None:
    """Undo that temporary folders, and safetensors' files, are for their owner alone."""
    for path in (root, *root.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _save_encoder_files(encoder: Encoder, folder: Path) -> None:
    folder.mkdir()
    encoder.save_files(folder)
    if not any(folder.iterdir()):
        folder.rmdir()


def _with_saved_models(config: Config, folder: Path) -> Config:
    """Let pretrained encoders be built from what a saved model kept of them."""
    changed: dict[str, Any] = {}
    for modality in MODALITIES:
        component = cast(Component, getattr(config, modality))
        if (folder / modality).is_dir():
            options = {**component.options, "model": str(folder / modality)}
            changed[modality] = replace(component, options=options)
    return replace(config, **changed)
