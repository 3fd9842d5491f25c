"""The training loop: `fit` calls one step function until the steps are done.

Batch, augmentation and dropout of step k depend on (seed, k) alone, so a run that was interrupted
and resumed ends with the same bits as one that was not.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

from plait.config import TrainingConfig
from plait.errors import OptionError, PlaitError
from plait.policy import PolicyLoss
from plait.results import CurvePoint
from plait.training.auxiliary import (
    WithAuxiliaryHeads,
    unimodal_losses,
    with_auxiliary_heads,
)
from plait.training.balance import modulate, modulation
from plait.training.checkpoint import Position, TrainingState
from plait.training.early_stopping import BestWeights, Watch
from plait.training.ema import ExponentialMovingAverage
from plait.training.interrupt import GracefulStop
from plait.training.metrics import MetricsLog
from plait.training.optim import build_optimizer
from plait.training.parallel import Workers
from plait.training.precision import check_precision, is_autocast
from plait.training.robust import source
from plait.training.schedule import learning_rate
from plait.types import Batch

CHECKPOINT_FILE = "checkpoint.safetensors"
METRICS_FILE = "metrics.jsonl"
MAX_SEED = 2**63


class TrainingInterruptedError(PlaitError):
    """The training was asked to stop; its checkpoint is whole and the next call goes on."""


@dataclass(frozen=True)
class Progress:
    """What `fit` tells its caller after every step."""

    step: int
    num_steps: int
    loss: float
    validation_loss: float | None


class Trainer:
    """One model with its optimiser, its average and its device.

    Args:
        policy: What is trained, in place: a policy, or any model whose loss has a `total`.
        config: How.

    Raises:
        OptionError: If the precision is neither `fp32` nor `bf16`, auxiliary heads are wanted for
            what is no policy, or gradients are to be modulated in processes that train together.
    """

    def __init__(self, policy: nn.Module, config: TrainingConfig) -> None:
        check_precision(config.precision)
        policy = with_auxiliary_heads(policy, config)
        self.config = config
        # Autocast is ours: Accelerate's precision is global, so that a second training with
        # another one fails, and it would stay wrapped around the policy after the training.
        self.accelerator = Accelerator(mixed_precision="no")
        self.workers = Workers.current()
        if config.robust.ogm_ge and self.workers.size > 1:
            raise OptionError(
                "gradient modulation (ogm_ge) weighs each process's own losses, so that processes "
                "that train together would part; train with one process"
            )
        optimizer = build_optimizer(policy, config)
        self.policy = policy
        self.model, self.optimizer = self.accelerator.prepare(policy, optimizer)
        self.ema = ExponentialMovingAverage(policy, config.ema_decay)
        self.state = TrainingState(policy, optimizer, self.ema)

    def autocast(self) -> torch.autocast:
        """Compute in bfloat16 where that is wanted and pays; weights stay float32."""
        device = self.accelerator.device
        is_bf16 = is_autocast(self.config.precision, device)
        return torch.autocast(device.type, torch.bfloat16, enabled=is_bf16)

    def step(self, index: int, batch: Batch) -> float:
        """Take one optimiser step and return the loss.

        Raises:
            PlaitError: If the loss is not finite.
        """
        config = self.config
        # Dropout, where a strategy has any, must not depend on how often a run was resumed.
        torch.manual_seed((config.seed * 1_000_003 + index) % MAX_SEED)
        rate = learning_rate(
            index,
            peak=config.learning_rate,
            warmup_steps=config.warmup_steps,
            num_steps=config.num_steps,
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        with self.autocast():
            loss = self.model(batch.to(self.accelerator.device))
        value = loss.total.item()
        if not math.isfinite(value):
            raise PlaitError(
                f"the loss is {value} at step {index}; lower the learning rate "
                f"(now {config.learning_rate}) or look for outliers in its actions"
            )
        self.accelerator.backward(loss.total)
        self.workers.average_gradients(self.policy)
        if isinstance(loss, PolicyLoss):
            self._balance(loss, index)
        self.accelerator.clip_grad_norm_(self.model.parameters(), config.gradient_clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.ema.update(index)
        return value

    def _balance(self, loss: PolicyLoss, index: int) -> None:
        """Hold back the encoder of a modality that dominates, where that is asked for."""
        alpha = self.config.robust.ogm_ge
        if not alpha or not isinstance(self.policy, WithAuxiliaryHeads):
            return
        generator = torch.Generator().manual_seed(
            int(source("gradient noise", self.config.seed, index).integers(MAX_SEED))
        )
        factors = modulation(unimodal_losses(loss), alpha)
        modulate(self.policy.policy.encoders, factors, generator)

    @torch.no_grad()
    def validate(self, batches: Sequence[Batch]) -> float:
        """Return the averaged weights' mean loss over fixed batches."""
        self.policy.eval()
        device = self.accelerator.device
        with self.ema.applied(), self.autocast():
            losses = [self.policy(batch.to(device)).total for batch in batches]
        return float(torch.stack(losses).mean())


def fit(
    policy: nn.Module,
    batch_at: Callable[[int], Batch],
    config: TrainingConfig,
    *,
    folder: Path,
    validation: Sequence[Batch] = (),
    watch: Watch | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    tensorboard: bool = False,
) -> Position:
    """Train a model in place; it ends with its averaged weights, or the best that were watched.

    Args:
        policy: What is trained: a policy, or any model whose loss has a `total`.
        batch_at: The batch of a step, a pure function of the step's index.
        config: How it is trained.
        folder: Where the checkpoint and the metrics go; an interrupted training goes on from it.
        validation: Fixed batches of held-out episodes.
        watch: What is measured at every validation; its best weights are kept, and the training
            ends where it no longer gets better.
        on_progress: Called after every step.
        tensorboard: Also write TensorBoard event files.

    Returns:
        The final position, with the learning curve and the time spent.

    Raises:
        TrainingInterruptedError: On Ctrl-C, after the checkpoint is written.
        CheckpointError: If the folder holds a checkpoint of other settings, or those of processes
            that train together are of different steps.
        PlaitError: If the loss is not finite.
    """
    # Attention that has made up its mind leaves weights near 1e-40, and arithmetic on such numbers
    # runs a hundred times slower on a CPU; as zeros they cost nothing.
    torch.set_flush_denormal(True)
    trainer = Trainer(policy, config)
    checkpoint = folder / CHECKPOINT_FILE
    position = trainer.state.load(checkpoint, config)
    trainer.workers.require_together(position.step)
    log = MetricsLog(folder / METRICS_FILE, resume_step=position.step, tensorboard=tensorboard)
    best = None if watch is None else BestWeights(watch, folder, policy)
    with log, GracefulStop() as stop:
        while not _is_finished(position, config, best):
            position, progress = _advance(trainer, position, batch_at, validation, best, log)
            if on_progress is not None:
                on_progress(progress)
            is_due = position.step % config.checkpoint_interval == 0
            is_finished = _is_finished(position, config, best)
            # Together, or the others would wait for this process's gradients without end.
            must_stop = trainer.workers.any(stop.is_requested)
            if is_due or must_stop or is_finished:
                log.flush()
                trainer.state.save(checkpoint, position, config)
            if must_stop and not is_finished:
                raise TrainingInterruptedError(
                    f"stopped at step {position.step} of {config.num_steps}; "
                    "run the same command again to go on"
                )
    trainer.ema.copy_to_module()
    if best is not None:
        best.restore()
    policy.eval()
    return position


def _is_finished(position: Position, config: TrainingConfig, best: BestWeights | None) -> bool:
    is_stale = best is not None and best.is_stale(position.curve)
    return position.step >= config.num_steps or is_stale


def _advance(
    trainer: Trainer,
    position: Position,
    batch_at: Callable[[int], Batch],
    validation: Sequence[Batch],
    best: BestWeights | None,
    log: MetricsLog,
) -> tuple[Position, Progress]:
    """Take one step, and validate where it is due."""
    config, index = trainer.config, position.step
    start = time.perf_counter()
    loss = trainer.step(index, batch_at(index))
    seconds = position.seconds + time.perf_counter() - start
    done = index + 1
    position = replace(position, step=done, seconds=seconds)
    values = {"loss": loss, "seconds": round(seconds, 3)}
    validation_loss = None
    if done % config.validation_interval == 0 or done == config.num_steps:
        validation_loss = trainer.validate(validation) if validation else None
        if validation_loss is not None:
            values["validation_loss"] = validation_loss
        score = None
        if best is not None:
            with trainer.ema.applied():
                score = values["score"] = best.measure(position.curve)
        point = CurvePoint(
            step=done,
            train_loss=loss,
            validation_loss=validation_loss,
            seconds=seconds,
            score=score,
        )
        position = replace(position, curve=(*position.curve, point))
    log.write(done, values)
    return position, Progress(done, config.num_steps, loss, validation_loss)
