import json
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from PIL import Image

from plait.errors import ShapeError
from plait.evaluation.diagnostics import fusion_diagnostics
from plait.results import save_result
from plait.types import ActionChunk, Fused, Observation, Tokens

INSTRUCTIONS = ("Touch the red cube.", "wait", "push it left")
WORDS = ("touch", "the", "red", "cube")
SIZE = 8


@dataclass
class ReportingPolicy:
    """Reports what it is given; `diagnostics` maps an observation to tensors."""

    diagnostics: object
    cameras: tuple[str, ...] = ("base", "wrist")
    observation_window: int = 1
    action_horizon: int = 2
    training: bool = True
    modes: list[bool] = field(default_factory=list)

    def predict(self, observation):
        actions = torch.zeros(observation.batch_size, 2, 7)
        return ActionChunk(actions, torch.ones(actions.shape[:2], dtype=torch.bool))

    def fuse(self, observation):
        assert not torch.is_grad_enabled()
        self.modes.append(self.training)
        values = torch.zeros(observation.batch_size, 1, 4)
        tokens = Tokens(values, torch.ones(values.shape[:2], dtype=torch.bool))
        return Fused.single(tokens, diagnostics=self.diagnostics(observation))

    def train(self, mode=True):
        self.training = mode


def observe(window=1):
    generator = np.random.default_rng(0)
    shape = (len(INSTRUCTIONS), window, 3, SIZE, SIZE)
    images = {
        camera: torch.from_numpy(generator.integers(0, 256, shape, dtype=np.uint8))
        for camera in ("base", "wrist")
    }
    return Observation.complete(images, INSTRUCTIONS, torch.zeros(len(INSTRUCTIONS), window, 5))


def nothing(observation):
    """A fusion that has nothing to say, however many samples it sees."""
    return {} if observation.batch_size else None


def attention(observation, views, rows=2, columns=3, words=None):
    """`maps[sample, word, view, row, column]` = a number that spells out its place."""
    count = words or max(len(text.split()) for text in observation.instruction)
    shape = (observation.batch_size, count, views, rows, columns)
    index = torch.stack(torch.meshgrid(*map(torch.arange, shape), indexing="ij"))
    place = torch.tensor([0.0, 0.1, 0.01, 0.001, 0.0001])
    return (index * place.view(5, 1, 1, 1, 1, 1)).sum(dim=0)


def test_usage_is_averaged_and_named(tmp_path):
    usage = torch.tensor([[0.5, 0.5, 0.0], [0.2, 0.7, 0.1], [0.2, 0.3, 0.5]])
    policy = ReportingPolicy(lambda o: {"modality_usage": usage[: o.batch_size]})
    (record,) = fusion_diagnostics(policy, observe(), tmp_path)

    assert (record.name, record.kind, record.image) == ("modality_usage", "bars", None)
    assert record.labels == ("vision", "language", "proprio")
    assert record.values == pytest.approx((0.3, 0.5, 0.2))
    assert record.note == "Weight the fusion gives each modality, averaged over 3 samples."
    assert list(tmp_path.iterdir()) == []


def test_other_numbers_become_bars(tmp_path):
    numbers = {"gate": torch.tensor([1.0, 2.0, 6.0]), "experts": torch.eye(3)[:, :2]}
    policy = ReportingPolicy(lambda o: {k: v[: o.batch_size] for k, v in numbers.items()})
    gate, experts = fusion_diagnostics(policy, observe(), tmp_path)

    assert (gate.labels, gate.values) == (("gate",), (3.0,))
    assert experts.labels == ("1", "2")
    assert experts.values == pytest.approx((1 / 3, 1 / 3), abs=1e-4)
    assert experts.note == "As the fusion reports it, averaged over 3 samples."


def test_attention_becomes_one_record_a_camera_over_its_picture(tmp_path):
    policy = ReportingPolicy(lambda o: {"attention": attention(o, views=2)})
    observation = observe()
    base, wrist = fusion_diagnostics(policy, observation, tmp_path)

    assert (base.name, wrist.name) == ("attention, base", "attention, wrist")
    assert base.kind == wrist.kind == "heatmap"
    assert base.labels == wrist.labels == WORDS
    for view, record in enumerate((base, wrist)):
        for word, row, column in np.ndindex(4, 2, 3):
            place = 0.1 * word + 0.01 * view + 0.001 * row + 0.0001 * column
            assert record.values[word][row][column] == pytest.approx(place, abs=1e-6)
    assert (base.image, wrist.image) == ("attention_base.png", "attention_wrist.png")
    for camera in ("base", "wrist"):
        with Image.open(tmp_path / f"attention_{camera}.png") as image:
            pixels = np.asarray(image)
        assert np.array_equal(pixels, observation.images[camera][0, 0].permute(1, 2, 0).numpy())


def test_of_a_window_the_newest_step_is_shown(tmp_path):
    policy = ReportingPolicy(lambda o: {"attention": attention(o, views=6)}, observation_window=3)
    observation = observe(window=3)
    base, wrist = fusion_diagnostics(policy, observation, tmp_path)

    # Views: base at three steps, then wrist at three steps.
    assert base.values[0][0][0] == pytest.approx(0.02)
    assert wrist.values[0][0][0] == pytest.approx(0.05)
    with Image.open(tmp_path / "attention_wrist.png") as image:
        expected = observation.images["wrist"][0, 2].permute(1, 2, 0).numpy()
        assert np.array_equal(np.asarray(image), expected)


def test_attention_without_a_view_axis_is_of_the_one_camera(tmp_path):
    policy = ReportingPolicy(
        lambda o: {"attention": attention(o, views=1)[:, :, 0]}, cameras=("base",)
    )
    (record,) = fusion_diagnostics(policy, observe(), tmp_path)

    assert (record.name, record.image) == ("attention", "attention_base.png")
    assert record.values[1][1][2] == pytest.approx(0.1 + 0.001 + 0.0002)


def test_tokens_that_are_not_words_are_numbered(tmp_path):
    policy = ReportingPolicy(
        lambda o: {"attention_late": attention(o, views=1, words=6)}, cameras=("base",)
    )
    (record,) = fusion_diagnostics(policy, observe(), tmp_path)

    assert record.name == "attention_late"
    assert record.labels == tuple(f"token {index}" for index in range(1, 7))


def test_a_strategy_that_reports_nothing_has_no_records(tmp_path):
    assert fusion_diagnostics(ReportingPolicy(nothing), observe(), tmp_path) == ()


@pytest.mark.parametrize("was_training", [True, False])
def test_the_policy_is_looked_at_in_evaluation_mode_and_left_as_it_was(tmp_path, was_training):
    policy = ReportingPolicy(nothing, training=was_training)
    fusion_diagnostics(policy, observe(), tmp_path)

    assert policy.modes == [False, False]
    assert policy.training == was_training


def test_other_shapes_are_refused(tmp_path):
    policy = ReportingPolicy(lambda o: {"graph": torch.zeros(o.batch_size, 4, 4)})
    with pytest.raises(
        ShapeError, match=r"'graph' of the fusion has shape \(3, 4, 4\), but \[batc"
    ):
        fusion_diagnostics(policy, observe(), tmp_path)


def test_records_survive_json(tmp_path):
    policy = ReportingPolicy(lambda o: {"attention": attention(o, views=2)})
    record, _ = fusion_diagnostics(policy, observe(), tmp_path)
    path = tmp_path / "record.json"
    save_result(path, record)
    data = json.loads(path.read_text())

    assert data["labels"] == list(WORDS)
    assert np.array(data["values"]).shape == (4, 2, 3)
