import pytest
import torch
import torch.nn.functional as F
from evaluation_fakes import CAMERAS
from torch import nn

from plait.evaluation import cost
from plait.evaluation.cost import count_flops, first_sample, measure_cost, measure_latency
from plait.types import MODALITIES, ActionChunk, Observation

SIZE, PROPRIO_DIM, WIDTH, HORIZON, ACTION_DIM = 8, 5, 6, 3, 7


class TinyPolicy(nn.Module):
    """A convolution, a linear layer over the state, fused attention between them, a head."""

    cameras = CAMERAS
    observation_window = 1
    action_horizon = HORIZON

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, WIDTH, 4, stride=4)
        self.state = nn.Linear(PROPRIO_DIM, WIDTH)
        self.head = nn.Linear(WIDTH, HORIZON * ACTION_DIM)
        self.batch_sizes = []
        self.threads = []

    def num_parameters(self):
        return sum(parameter.numel() for parameter in self.parameters())

    @torch.no_grad()
    def predict(self, observation):
        self.batch_sizes.append(observation.batch_size)
        self.threads.append(torch.get_num_threads())
        patches = self.conv(observation.images["base"][:, 0].float()).flatten(2).transpose(1, 2)
        # With an axis of heads and contiguous, as from a linear layer: the fused kernel is chosen.
        keys = patches.contiguous().unsqueeze(1)
        query = self.state(observation.proprio).unsqueeze(1)
        mask = torch.ones(1, 1, 1, patches.shape[1], dtype=torch.bool)
        read = F.scaled_dot_product_attention(query, keys, keys, attn_mask=mask)
        actions = self.head(read[:, 0, 0]).unflatten(-1, (HORIZON, ACTION_DIM))
        return ActionChunk(actions, torch.ones(actions.shape[:2], dtype=torch.bool))


def observe(batch):
    images = {camera: torch.zeros(batch, 1, 3, SIZE, SIZE, dtype=torch.uint8) for camera in CAMERAS}
    instructions = tuple(f"go to {index}" for index in range(batch))
    return Observation.complete(images, instructions, torch.zeros(batch, 1, PROPRIO_DIM))


def test_flops_equal_the_count_by_hand():
    patches = (SIZE // 4) ** 2
    by_hand = 2 * (
        patches * WIDTH * 3 * 4 * 4  # convolution
        + PROPRIO_DIM * WIDTH  # state
        + 2 * patches * WIDTH  # attention: one query, scores and mixing
        + WIDTH * HORIZON * ACTION_DIM  # head
    )

    assert count_flops(TinyPolicy(), observe(1)) == by_hand
    assert count_flops(TinyPolicy(), observe(4)) == 4 * by_hand


def test_a_learned_query_is_counted_and_parameters_stay_as_they_were():
    class Querying(TinyPolicy):
        def __init__(self):
            super().__init__()
            self.query = nn.Parameter(torch.ones(1, WIDTH))
            self.state.weight.requires_grad_(False)

        @torch.no_grad()
        def predict(self, observation):
            # The view of a parameter goes into a module: hooks on its gradient would fail.
            actions = self.head(self.query.expand(observation.batch_size, -1))
            actions = actions.unflatten(-1, (HORIZON, ACTION_DIM))
            return ActionChunk(actions, torch.ones(actions.shape[:2], dtype=torch.bool))

    policy = Querying()

    assert count_flops(policy, observe(2)) == 2 * 2 * WIDTH * HORIZON * ACTION_DIM
    trainable = {name for name, value in policy.named_parameters() if value.requires_grad}
    assert trainable == {name for name, _ in policy.named_parameters()} - {"state.weight"}


def test_cost_is_that_of_one_sample():
    policy = TinyPolicy()
    found = measure_cost(policy, observe(6), num_repeats=30, num_warmups=2)

    assert set(policy.batch_sizes) == {1}
    assert len(policy.batch_sizes) == 2 + 30 + 1
    assert found.flops_per_action_chunk == count_flops(policy, observe(1))
    conv, state = WIDTH * 48 + WIDTH, WIDTH * PROPRIO_DIM + WIDTH
    head = (WIDTH + 1) * HORIZON * ACTION_DIM
    assert found.num_parameters == conv + state + head
    assert 0 < found.latency_ms_median <= found.latency_ms_p99


def test_latency_is_median_and_percentile_of_the_repeats(monkeypatch):
    # Each call takes 1, 2, ... 21 ms by a clock that is asked before and after.
    ticks = [0.0]
    for duration_ms in range(1, 22):
        ticks += [ticks[-1] + duration_ms / 1000, ticks[-1] + duration_ms / 1000]
    clock = iter(ticks)
    monkeypatch.setattr(cost.time, "perf_counter", lambda: next(clock))
    found = measure_cost(TinyPolicy(), observe(1), num_repeats=21, num_warmups=0)

    assert found.latency_ms_median == pytest.approx(11)
    assert found.latency_ms_p99 == pytest.approx(20.8)


def test_one_thread_is_used_and_the_setting_restored():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        policy = TinyPolicy()
        measure_latency(policy, observe(1), num_repeats=3, num_warmups=1)
        assert set(policy.threads) == {1}
        assert torch.get_num_threads() == 2

        class Broken(TinyPolicy):
            def predict(self, observation):
                raise RuntimeError(f"broken for {observation.batch_size}")

        with pytest.raises(RuntimeError, match="broken for 1"):
            measure_latency(Broken(), observe(1), num_repeats=3, num_warmups=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_the_first_sample_keeps_every_part():
    sample = first_sample(observe(4).without("vision"))

    assert sample.instruction == ("go to 0",)
    assert sample.images["wrist"].shape == (1, 1, 3, SIZE, SIZE)
    assert sample.proprio.shape == (1, 1, PROPRIO_DIM)
    assert {name: mask.tolist() for name, mask in sample.modality_mask.items()} == {
        name: [name != "vision"] for name in MODALITIES
    }
