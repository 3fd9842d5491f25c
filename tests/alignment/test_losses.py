"""The losses against formulas written out, and the objectives' rules."""

import math

import pytest
import torch
import torch.nn.functional as F
from alignment_fakes import make_embeddings, unit

import plait.alignment.objectives
from plait import discovery
from plait.alignment.base import ALIGNED
from plait.alignment.losses import (
    fused_query,
    gram,
    info_nce,
    sigmoid_loss,
    six_directions,
    symile,
    volume,
)
from plait.alignment.objectives.base import LogitScale, Objective
from plait.alignment.objectives.gram import GramObjective
from plait.alignment.objectives.info_nce import InfoNceObjective
from plait.alignment.objectives.sigmoid import SigmoidObjective
from plait.alignment.objectives.symile import SymileObjective
from plait.errors import OptionError, PlaitError, UnknownNameError

ALL = discovery.available(plait.alignment.objectives)


def scale(value=10.0):
    return torch.tensor(value, dtype=torch.float64)


def nce_by_hand(x, y, s):
    total = 0.0
    for i in range(len(x)):
        for a, b in ((x, y), (y, x)):
            logits = [s * float(a[i] @ b[j]) for j in range(len(x))]
            total += math.log(sum(math.exp(v) for v in logits)) - logits[i]
    return total / (2 * len(x))


def test_info_nce_by_hand():
    x, y = unit(5, count=2)
    assert info_nce(x, y, scale()).item() == pytest.approx(nce_by_hand(x, y, 10.0))


def test_six_directions_is_the_mean_of_six():
    x, y, z = unit(6)
    expected = sum(nce_by_hand(a, b, 10.0) for a, b in ((x, y), (x, z), (y, z))) / 3
    result = six_directions(x, y, z, scale())
    assert result.total.item() == pytest.approx(expected)
    assert result.terms.mean().item() == pytest.approx(expected)


def test_a_batch_of_random_vectors_costs_the_logarithm_of_its_size():
    x, y = unit(400, width=200, count=2)
    assert info_nce(x, y, scale(1.0)).item() == pytest.approx(math.log(400), abs=0.02)


def test_the_fused_query_is_the_direction_of_the_sum():
    x, y = unit(4, count=2)
    fused = fused_query(x, y)
    torch.testing.assert_close(fused.norm(dim=1), torch.ones(4, dtype=torch.float64))
    torch.testing.assert_close((fused * x).sum(1), (fused * y).sum(1))


@pytest.mark.parametrize("grouped", [False, True])
def test_sigmoid_by_hand(grouped):
    x, y = unit(7, count=2)
    groups = torch.tensor([0, 1, 0, 2, 2, 2, 3]) if grouped else None
    bias = scale(-4.0)
    total = 0.0
    for i in range(7):
        for j in range(7):
            if grouped and i != j and groups[i] == groups[j]:
                continue
            sign = 1 if i == j else -1
            total += math.log(1 + math.exp(-sign * (10.0 * float(x[i] @ y[j]) - 4.0)))
    loss = sigmoid_loss(x, y, scale(), bias, groups=groups)
    assert loss.item() == pytest.approx(total / 7)


def test_sigmoid_stripes_change_nothing(monkeypatch):
    x, y = unit(9, count=2)
    groups = torch.tensor([0, 1, 0, 2, 2, 2, 3, 1, 0])
    whole = sigmoid_loss(x, y, scale(), scale(-3.0), groups=groups)
    monkeypatch.setattr("plait.alignment.losses.ROWS", 4)
    assert sigmoid_loss(x, y, scale(), scale(-3.0), groups=groups).item() == pytest.approx(
        whole.item()
    )


def test_the_volume_is_the_root_of_the_gram_determinant():
    x, y, z = unit(6)
    ours = volume(x, y, z)
    for i in range(6):
        for j in range(6):
            vectors = torch.stack([x[i], y[j], z[j]])
            expected = math.sqrt(max(torch.linalg.det(vectors @ vectors.T).item(), 1e-6))
            assert ours[i, j].item() == pytest.approx(expected, abs=1e-9)


def test_three_vectors_that_coincide_have_a_finite_gradient():
    x = unit(3, count=1)[0].requires_grad_()
    gram(x, x.detach(), x.detach(), scale()).backward()
    assert bool(torch.isfinite(x.grad).all())


def test_symile_by_hand(monkeypatch):
    x, y, z = unit(4)
    monkeypatch.setattr(torch, "randperm", lambda n: torch.arange(n).roll(1))
    total = 0.0
    for a, b, c in ((x, y, z), (y, x, z), (z, x, y)):
        for i in range(4):
            logits = [10.0 * float((a[i] * b[j - 1] * c[j - 1]).sum()) for j in range(4)]
            logits[i] = 10.0 * float((a[i] * b[i] * c[i]).sum())
            total += (math.log(sum(map(math.exp, logits))) - logits[i]) / 12
    assert symile(x, y, z, scale()).item() == pytest.approx(total)


# Objectives


def build(name, **options):
    return discovery.load(plait.alignment.objectives, name, Objective)(**options)


@pytest.mark.parametrize("name", ALL)
def test_every_objective_learns_to_align(name):
    torch.manual_seed(0)
    objective = build(name)
    raw = {key: torch.randn(24, 8, requires_grad=True) for key in ALIGNED}
    optimizer = torch.optim.Adam([*raw.values(), *objective.parameters()], lr=0.05)
    losses = []
    for _ in range(80):
        values = {key: F.normalize(value, dim=1) for key, value in raw.items()}
        present = {key: torch.ones(24, dtype=torch.bool) for key in ALIGNED}
        loss = objective(make_embeddings(values, present, torch.arange(24))).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("name", ALL)
def test_no_objective_reads_what_is_absent(name):
    values = dict(zip(ALIGNED, unit(12, dtype=torch.float32), strict=True))
    present = {key: torch.ones(12, dtype=torch.bool) for key in ALIGNED}
    present["language"][8:] = False
    objective = build(name).eval()
    torch.manual_seed(0)
    loss = objective(make_embeddings(values, present, torch.arange(12) // 2)).total
    spoiled = {**values, "language": values["language"].clone()}
    spoiled["language"][8:] = unit(4, seed=9, dtype=torch.float32)[0]
    torch.manual_seed(0)
    again = objective(make_embeddings(spoiled, present, torch.arange(12) // 2)).total
    assert loss.item() == pytest.approx(again.item(), rel=1e-6)
    changed = {**values, "language": values["language"].roll(1, 0)}
    torch.manual_seed(0)
    other = objective(make_embeddings(changed, present, torch.arange(12) // 2)).total
    assert other.item() != pytest.approx(loss.item(), rel=1e-3)


@pytest.mark.parametrize("name", ALL)
def test_no_language_anywhere_still_gives_a_loss(name):
    values = {
        k: v.requires_grad_() for k, v in zip(ALIGNED, unit(6, dtype=torch.float32), strict=True)
    }
    present = {key: torch.full((6,), key != "language") for key in ALIGNED}
    loss = build(name)(make_embeddings(values, present, torch.arange(6))).total
    loss.backward()
    assert math.isfinite(loss.item())
    assert values["language"].grad is None or not values["language"].grad.any()


@pytest.mark.parametrize("name", ALL)
def test_one_instruction_for_all(name):
    """Text then has no negatives: nothing to learn from it, and no NaN."""
    values = {
        k: v.requires_grad_() for k, v in zip(ALIGNED, unit(6, dtype=torch.float32), strict=True)
    }
    present = {key: torch.ones(6, dtype=torch.bool) for key in ALIGNED}
    loss = build(name)(make_embeddings(values, present, torch.zeros(6, dtype=torch.int64))).total
    loss.backward()
    assert math.isfinite(loss.item())
    assert all(bool(torch.isfinite(v.grad).all()) for v in values.values() if v.grad is not None)


def test_repeats_are_masked_in_text_pairs_alone():
    values = dict(zip(ALIGNED, unit(6), strict=True))
    values["language"] = values["language"][[0, 0, 0, 3, 3, 3]]
    present = {key: torch.ones(6, dtype=torch.bool) for key in ALIGNED}
    groups = torch.tensor([0, 0, 0, 1, 1, 1])
    embeddings = make_embeddings(values, present, groups)
    masked = InfoNceObjective(fused_weight=0.0)(embeddings)
    kept = InfoNceObjective(fused_weight=0.0, repeats="keep")(embeddings)
    for direction, loss in masked.parts.items():
        if "language" in direction:
            assert loss < kept.parts[direction]
        else:
            assert loss == kept.parts[direction]


def test_weights_and_the_fused_query_enter_the_total():
    values = dict(zip(ALIGNED, unit(6), strict=True))
    present = {key: torch.ones(6, dtype=torch.bool) for key in ALIGNED}
    embeddings = make_embeddings(values, present, torch.arange(6))
    s = 1 / 0.07
    only = InfoNceObjective(
        weights={"vision-action": 0.0, "language-action": 0.0}, fused_weight=0.0
    )(embeddings)
    assert only.total.item() == pytest.approx(
        nce_by_hand(values["vision"], values["language"], s), rel=1e-5
    )
    fused = fused_query(values["vision"], values["language"])
    pairs = [
        nce_by_hand(values["vision"], values["language"], s),
        nce_by_hand(values["vision"], values["action"], s),
        nce_by_hand(values["language"], values["action"], s),
        3 * nce_by_hand(fused, values["action"], s),
    ]
    full = InfoNceObjective(fused_weight=3.0)(embeddings)
    assert full.total.item() == pytest.approx(sum(pairs) / 6, rel=1e-5)
    assert set(full.parts) >= {"vision→language", "language→vision", "vision+language→action"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: InfoNceObjective(weights={"vision-text": 1.0}), "pair of modalities"),
        (lambda: InfoNceObjective(weights={"vision-action": -1.0}), "must be 0 or more"),
        (
            lambda: InfoNceObjective(
                weights=dict.fromkeys(("vision-language", "vision-action", "language-action"), 0.0)
            ),
            "nothing to align",
        ),
        (lambda: InfoNceObjective(repeats="drop"), "repeats must be 'mask' or 'keep'"),
        (lambda: InfoNceObjective(fused_weight=-0.5), "fused weight is -0.5"),
        (lambda: InfoNceObjective(precision="low"), "precision must be one of auto, highest"),
        (lambda: InfoNceObjective(initial_scale=200.0), "must lie between 1 and 100"),
        (lambda: GramObjective(pair_weight=-1.0), "pair weight is -1"),
        (lambda: SymileObjective(pair_weight=-1.0), "pair weight is -1"),
        (lambda: SigmoidObjective(repeats="no"), "repeats must be"),
    ],
)
def test_bad_options_are_refused(make, message):
    with pytest.raises((OptionError, UnknownNameError), match=message):
        make()


# The logit scale


@pytest.mark.parametrize("pushed", [50.0, float("inf")])
def test_a_scale_that_runs_away_is_put_back(pushed):
    bounded = LogitScale(10.0)
    with torch.no_grad():
        bounded.log_logit_scale.fill_(pushed)
    assert bounded().item() == pytest.approx(100.0)
    assert bounded.log_logit_scale.item() == pytest.approx(math.log(100))
    with torch.no_grad():
        bounded.log_logit_scale.fill_(-pushed)
    assert bounded().item() == pytest.approx(1.0)


def test_at_the_bound_the_scale_can_still_come_back():
    bounded = LogitScale(10.0)
    with torch.no_grad():
        bounded.log_logit_scale.fill_(9.0)
    bounded().backward()
    assert bounded.log_logit_scale.grad.item() > 0


def test_the_bound_rises_with_the_steps_of_training():
    ramped = LogitScale(10.0, ramp_steps=10)
    with torch.no_grad():
        ramped.log_logit_scale.fill_(9.0)
    bounds = []
    for _ in range(12):
        bounds.append(ramped().item())
        with torch.no_grad():
            ramped.log_logit_scale.fill_(9.0)
    assert bounds[0] == pytest.approx(10.0)
    assert bounds[5] == pytest.approx(55.0)
    assert bounds[11] == pytest.approx(100.0)
    ramped.eval()
    before = ramped.steps.clone()
    ramped()
    assert torch.equal(ramped.steps, before)
    again = LogitScale(10.0, ramp_steps=10)
    again.load_state_dict(ramped.state_dict())
    assert again.bound() == ramped.bound()


def test_nan_in_the_embeddings_is_refused():
    values = dict(zip(ALIGNED, unit(4), strict=True))
    values["action"][1] = float("nan")
    present = {key: torch.ones(4, dtype=torch.bool) for key in ALIGNED}
    with pytest.raises(PlaitError, match="not finite in 1 of 4 samples"):
        InfoNceObjective()(make_embeddings(values, present, torch.arange(4)))
