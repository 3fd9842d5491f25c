"""What a prediction costs: parameters, floating-point operations, wall time."""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from plait.execution import PredictsChunks
from plait.types import Observation


@runtime_checkable
class CountsParameters(PredictsChunks, Protocol):
    """A policy that knows its size."""

    def num_parameters(self) -> int:
        """Count all parameters."""


@dataclass(frozen=True, kw_only=True)
class InferenceCost:
    """The part of `results.Cost` that is known without training.

    Attributes:
        num_parameters: All parameters of the policy.
        flops_per_action_chunk: Of matrix products, convolutions and attention for one sample; a
            multiplication and an addition count as two.
        latency_ms_median: Wall time of one prediction for one sample, one thread.
        latency_ms_p99: 99th percentile of the same.
    """

    num_parameters: int
    flops_per_action_chunk: int
    latency_ms_median: float
    latency_ms_p99: float


def measure_cost(
    policy: CountsParameters,
    observation: Observation,
    *,
    num_repeats: int = 200,
    num_warmups: int = 5,
) -> InferenceCost:
    """Measure one prediction for the first sample of `observation`, on one thread."""
    sample = first_sample(observation)
    latencies = measure_latency(policy, sample, num_repeats=num_repeats, num_warmups=num_warmups)
    return InferenceCost(
        num_parameters=policy.num_parameters(),
        flops_per_action_chunk=count_flops(policy, sample),
        latency_ms_median=statistics.median(latencies),
        latency_ms_p99=float(np.percentile(latencies, 99)),
    )


def count_flops(policy: PredictsChunks, observation: Observation) -> int:
    """Count the floating-point operations of one call of `predict`.

    Fused attention on the CPU is unknown to PyTorch's counter and would count as nothing, so
    attention is run in its plain form here: two matrix products and a softmax.
    """
    attention = sdpa_kernel(SDPBackend.MATH)
    with _frozen(policy), attention, FlopCounterMode(display=False) as counter:
        policy.predict(observation)
    return int(counter.get_total_flops())


def measure_latency(
    policy: PredictsChunks, observation: Observation, *, num_repeats: int, num_warmups: int
) -> list[float]:
    """Time calls of `predict` in milliseconds, after some that are not timed."""
    with _one_thread():
        for _ in range(num_warmups):
            policy.predict(observation)
        latencies_ms = []
        for _ in range(num_repeats):
            start = time.perf_counter()
            policy.predict(observation)
            latencies_ms.append(1000 * (time.perf_counter() - start))
    return latencies_ms


def first_sample(observation: Observation) -> Observation:
    """Cut an observation down to its first sample."""
    cut = observation.map_tensors(lambda tensor: tensor[:1])
    return replace(cut, instruction=observation.instruction[:1])


@contextmanager
def _frozen(policy: PredictsChunks) -> Iterator[None]:
    """Stop parameters from asking for gradients, and let them ask again afterwards.

    A view of a parameter made under `no_grad` says that it requires a gradient but has no graph;
    the counter's module hooks fail on it (seen with PyTorch 2.13).
    """
    parameters = list(policy.parameters()) if isinstance(policy, nn.Module) else []
    trainable = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad = False
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad = True


@contextmanager
def _one_thread() -> Iterator[None]:
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)
