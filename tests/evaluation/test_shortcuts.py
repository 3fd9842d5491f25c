"""Shortcuts: what is measured agrees with slow references and with what was built in."""

import numpy as np
import pytest
import torch

import shortcut_fakes as fakes
from plait.errors import OptionError
from plait.evaluation.explained import ActionStudy, even, share_of, word_table
from plait.evaluation.ridge import (
    PENALTIES,
    PatchFeatures,
    inner_split,
    masked_mean_by,
    ridge_predict,
    unit_kernel,
)
from plait.evaluation.scenes import (
    chance_alike,
    coarse,
    nearest,
    scene_labels,
    scene_sharing,
    split_groups,
    split_scenes,
)
from plait.evaluation.shortcuts import (
    FEWEST_EPISODES,
    ShortcutSettings,
    accuracy_of,
    measure_shortcuts,
    why_not_judged,
    work_of,
)
from plait.evaluation.small_network import Inputs, learning_rate, places, predict, train_network

FEW = ShortcutSettings(num_steps=80)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Return a function that measures a fake dataset, each once."""
    made = {}

    def get(make):
        if make not in made:
            root = tmp_path_factory.mktemp("data") / make.__name__
            made[make] = measure_shortcuts(fakes.demonstrations(root, make), FEW)
        return made[make]

    return get


def probe(measures, source, model):
    return next(p for p in measures.prediction.probes if (p.source, p.model) == (source, model))


def explained(measures, inputs, model):
    return next(r for r in measures.actions if (r.inputs, r.model) == (inputs, model))


def gain(measures, model):
    return next(g for g in measures.gains if g.model == model)


# --- known answers ------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["ridge", "network"])
def test_an_instruction_painted_into_the_image_is_read_off_it(measured, model):
    accuracy = probe(measured(fakes.painted), "first image", model).accuracy
    assert accuracy.value > 0.95
    assert accuracy.low > 0.8


@pytest.mark.parametrize("make", [fakes.painted, fakes.obeyed])
def test_a_state_that_tells_nothing_stays_at_chance(measured, make):
    measures = measured(make)
    accuracy = probe(measures, "first state", "ridge").accuracy
    assert accuracy.low <= 0.5 <= accuracy.high


@pytest.mark.parametrize("model", ["ridge", "network"])
def test_an_instruction_independent_of_the_image_stays_at_chance(measured, model):
    measures = measured(fakes.obeyed)
    accuracy = probe(measures, "first image", model).accuracy
    assert accuracy.low <= 0.5 <= accuracy.high
    assert measures.prediction.uniform == 0.5
    assert 0.3 < measures.prediction.majority < 0.7


def test_an_instruction_that_decides_alone_explains_all_and_nothing_else_does(measured):
    measures = measured(fakes.obeyed)
    assert explained(measures, "instruction", "means").every_step.value == pytest.approx(1)
    for inputs in ("images", "state", "images + state"):
        assert explained(measures, inputs, "ridge").every_step.value < 0.1
    assert gain(measures, "ridge").every_step.low > 0.5
    assert gain(measures, "network").first_step.low > 0.5


def test_only_the_network_finds_a_word_that_turns_what_is_seen(measured):
    """Sums of what each modality tells cannot; that is why there is a network at all."""
    measures = measured(fakes.bound)
    assert explained(measures, "instruction", "means").every_step.value < 0.1
    assert gain(measures, "ridge").every_step.value < 0.1
    assert gain(measures, "network").every_step.low > 0.3


def test_a_state_that_decides_alone_leaves_nothing_for_the_instruction(measured):
    measures = measured(fakes.idle_words)
    assert explained(measures, "state", "ridge").every_step.low > 0.99
    assert abs(gain(measures, "ridge").every_step.value) < 0.05


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (fakes.one_instruction, "all episodes have the same instruction"),
        (fakes.without_words, "no episode has an instruction"),
        (
            fakes.all_different,
            "only 0 of 120 episodes have an instruction that 5 or more episodes share",
        ),
    ],
)
def test_what_cannot_be_judged_has_a_reason_and_no_number(measured, make, reason):
    prediction = measured(make).prediction
    assert prediction.reason == reason
    assert prediction.probes == ()
    assert prediction.majority == prediction.uniform == 0


def test_one_instruction_leaves_the_other_modalities_measured_and_language_out(measured):
    measures = measured(fakes.one_instruction)
    assert measures.gains == ()
    inputs = {row.inputs for row in measures.actions}
    assert inputs == {"nothing", "progress", "images", "state", "images + state"}


def test_the_mean_action_explains_nothing_exactly(measured):
    row = explained(measured(fakes.bound), "nothing", "means")
    assert row.every_step.value == row.first_step.value == 0


def test_the_same_seed_gives_the_same_measures_and_another_draws_other_episodes(tmp_path):
    data = fakes.demonstrations(tmp_path / "data", fakes.bound, 30)
    few = ShortcutSettings(num_episodes=20, num_steps=3, seed=5)
    state = torch.random.get_rng_state()
    once = measure_shortcuts(data, few)
    assert once == measure_shortcuts(data, few)
    assert torch.equal(state, torch.random.get_rng_state())
    other = measure_shortcuts(data, ShortcutSettings(num_episodes=20, num_steps=3, seed=6))
    assert once.actions != other.actions
    assert once.num_episodes == 20


def test_steps_are_reported_as_often_as_promised(tmp_path):
    data = fakes.demonstrations(tmp_path / "data", fakes.bound, 30)
    settings, calls = ShortcutSettings(num_steps=2), []
    measure_shortcuts(data, settings, lambda: calls.append(1))
    assert len(calls) == work_of(settings)


def test_actions_that_never_change_have_no_variance_to_explain(tmp_path):
    def still(rng, index):
        return fakes.episode(rng, fakes.TEXTS[index % 2], fakes.blank(rng), 0.5)

    measures = measure_shortcuts(
        fakes.demonstrations(tmp_path / "data", still, 20), ShortcutSettings(num_steps=2)
    )
    assert measures.actions == ()
    assert measures.gains == ()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (ShortcutSettings(num_steps=0), "the number of steps is 0, but must be at least 1"),
        (ShortcutSettings(seed=-1), "the seed is -1, but must be 0 or more"),
        (ShortcutSettings(num_episodes=-1), "the number of episodes is -1, but must be 0 (all)"),
    ],
)
def test_numbers_out_of_range_are_refused(settings, message):
    with pytest.raises(OptionError) as error:
        settings.check()
    assert message in str(error.value)


def test_too_few_episodes_are_refused(tmp_path):
    data = fakes.demonstrations(tmp_path / "data", fakes.bound, 3)
    with pytest.raises(OptionError, match="has 3 episodes; at least 4 are needed"):
        measure_shortcuts(data, FEW)


# --- variance -----------------------------------------------------------------------------------


def slow_r2(data, train, steps, predictions):
    """R² of the first action dimension, one real action at a time."""
    bounds = data.episode_bounds
    actions = data.gather(np.arange(data.num_steps)).action_chunk.actions[:, 0, 0].numpy()
    last = np.concatenate([np.full(end - start, end - 1) for start, end in bounds])
    learned = [step for episode in train for step in range(*bounds[episode])]
    low, high = actions[learned].min(), actions[learned].max()
    scaled = (actions - (low + high) / 2) / ((high - low) / 2)
    error = total = 0.0
    for step, prediction in zip(steps, predictions, strict=True):
        for ahead in range(2):
            if step + ahead > last[step]:
                continue
            mean = np.mean([scaled[s + ahead] for s in learned if s + ahead <= last[s]])
            error += (scaled[step + ahead] - float(prediction[ahead, 0])) ** 2
            total += (scaled[step + ahead] - mean) ** 2
    return 1 - error / total


def test_explained_variance_agrees_with_loops_over_steps(tmp_path):
    def wandering(rng, index):
        made = fakes.bound(rng, index)
        made.action[:, 0] = rng.normal(size=fakes.LENGTH)
        return made

    data = fakes.demonstrations(tmp_path / "data", wandering, 12)
    train, test = np.arange(8), np.arange(8, 12)
    study = ActionStudy.of(data, train, test, fakes.TEXTS, num_steps=1, seed=0)
    predicted = torch.randn(study.nothing.shape, generator=torch.Generator().manual_seed(0))
    # The second dimension never changes, so nothing but 0 is ever predicted for it.
    predicted[..., 1] = 0
    every, first = study.shares(predicted)
    spread, starts = data.steps_of(test), data.episode_bounds[test, 0]
    by_loop = [
        slow_r2(data, train, steps, part)
        for steps, part in zip((spread, starts), predicted.split([12, 4]), strict=True)
    ]
    assert [every.value, first.value] == pytest.approx(by_loop, rel=1e-4)


def test_the_interval_is_over_episodes_not_steps():
    rng = np.random.default_rng(0)
    by_episode = torch.from_numpy(rng.uniform(size=20))
    whole = torch.ones(20)
    once = share_of(by_episode, whole, np.arange(20), 0)
    often = share_of(
        by_episode.repeat_interleave(50), whole.repeat_interleave(50), np.arange(1000) // 50, 0
    )
    assert often.value == pytest.approx(once.value)
    assert (often.low, often.high) == pytest.approx((once.low, once.high))
    assert once.low < once.value < once.high


def test_masked_means_agree_with_loops():
    rng = np.random.default_rng(1)
    keys, asked = torch.tensor([0, 2, 0, 2, 0]), torch.tensor([2, 0, 1, 7])
    targets = torch.from_numpy(rng.normal(size=(5, 2, 3)))
    mask = torch.tensor([[True, True], [True, False], [True, False], [True, False], [True, True]])
    found = masked_mean_by(keys, targets, mask, asked)

    def mean(rows, ahead):
        real = [targets[row, ahead].numpy() for row in rows if mask[row, ahead]]
        return np.mean(real, axis=0)

    everything = range(5)
    for position, rows in enumerate([[1, 3], [0, 2, 4], everything, everything]):
        assert found[position, 0].numpy() == pytest.approx(mean(rows, 0))
    # No real second action has key 2, so all of them stand in.
    assert found[0, 1].numpy() == pytest.approx(mean(everything, 1))
    assert found[1, 1].numpy() == pytest.approx(mean([0, 4], 1))


def test_ridge_agrees_with_its_textbook_form_over_features():
    rng = np.random.default_rng(2)
    train, test = (torch.from_numpy(rng.normal(size=(n, 3))) for n in (40, 7))
    targets = train @ torch.tensor([[1.0, 0], [-2, 1], [0, 3]], dtype=torch.float64)
    targets = targets + 0.3 * torch.from_numpy(rng.normal(size=(40, 2)))
    episodes = np.arange(40) // 4
    found = ridge_predict(unit_kernel(train, test), targets, episodes, 0)

    size = (train - train.mean(0)).pow(2).sum(1).mean().sqrt()
    x, z = ((part - train.mean(0)) / size for part in (train, test))

    def primal(fit, asked, penalty):
        # Centred by all of the training samples, so the two forms share their features.
        mean = targets[fit].mean(0)
        left = x[fit].T @ x[fit] + penalty * torch.eye(3, dtype=torch.float64)
        return asked @ torch.linalg.solve(left, x[fit].T @ (targets[fit] - mean)) + mean

    fit, chosen = inner_split(episodes, 0)
    errors = [(primal(fit, x[chosen], p) - targets[chosen]).pow(2).sum() for p in PENALTIES]
    expected = primal(np.arange(40), z, PENALTIES[int(np.argmin(errors))])
    assert torch.allclose(found, expected, atol=1e-8)


def test_blocks_weigh_the_same_whatever_their_units():
    rng = np.random.default_rng(3)
    train, test = (torch.from_numpy(rng.normal(size=(n, 4))) for n in (30, 5))
    once, scaled = unit_kernel(train, test), unit_kernel(1000 * train + 7, 1000 * test + 7)
    assert torch.allclose(once.train, scaled.train)
    assert torch.allclose(once.test, scaled.test)
    assert float(once.train.diagonal().mean()) == pytest.approx(1)
    units = torch.tensor([1.0, 10, 100, 1000], dtype=torch.float64)
    each = unit_kernel(train, test, each=True)
    assert torch.allclose(each.train, unit_kernel(train * units, test * units, each=True).train)


def test_the_inner_split_divides_episodes_not_samples():
    episodes = np.repeat(np.arange(10), 3)
    fit, chosen = inner_split(episodes, 0)
    assert not set(episodes[fit]) & set(episodes[chosen])
    assert len(chosen) == 6
    assert len(fit) + len(chosen) == 30


def test_patches_say_where_things_are():
    rng = np.random.default_rng(4)
    images = np.full((40, 3, 16, 16), 100, dtype=np.uint8)
    columns = rng.integers(0, 12, 40)
    for image, column in zip(images, columns, strict=True):
        image[:, 4:8, column : column + 4] = 220
    images = torch.from_numpy(images)
    describe = PatchFeatures.draw(images[:30], 0)
    kernel = unit_kernel(describe(images[:30]), describe(images[30:]))
    targets = torch.from_numpy(columns[:30]).double()[:, None]
    found = ridge_predict(kernel, targets, np.arange(30), 0)[:, 0]
    assert float((found - torch.from_numpy(columns[30:])).abs().max()) < 2


def test_words_are_shared_and_instructions_stay_apart():
    table = word_table(["put red on blue", "put blue on red", "Put it"])
    assert torch.equal(table[0, :5], table[1, :5])
    assert not torch.equal(table[0], table[1])
    assert float(table[2, :5].sum()) == 2


def test_very_many_instructions_are_described_by_their_words_alone():
    table = word_table([f"do thing {number}" for number in range(300)])
    assert table.shape == (300, 302)
    assert torch.equal(table.sum(dim=1), torch.full((300,), 3.0))


def test_evenly_spread_steps_keep_both_ends():
    assert even(np.arange(10), 20).tolist() == list(range(10))
    assert even(np.arange(10, 111), 5).tolist() == [10, 35, 60, 85, 110]


# --- the network --------------------------------------------------------------------------------


def test_places_follow_a_peak():
    grid = torch.zeros(1, 2, 5, 5)
    grid[0, 0, 0, 4], grid[0, 1, 4, 2] = 50, 50
    assert torch.allclose(places(grid), torch.tensor([[-1.0, 1.0, 1.0, 0.0]]), atol=1e-5)


def test_the_network_keeps_the_weights_that_did_best_on_what_was_set_apart():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 255, (20, 3, 16, 16), dtype=torch.uint8, generator=generator)
    inputs = Inputs(images, torch.zeros(20, 0), torch.zeros(20, 0))
    answers = torch.randn(20, 1, generator=generator)
    seen = []

    def loss_of(predicted, index):
        loss = (predicted - answers[index]).pow(2).mean()
        if not predicted.requires_grad:
            seen.append(float(loss))
        return loss

    sides = np.arange(15), np.arange(15, 20)
    network = train_network(inputs, 1, loss_of, sides, num_steps=60, seed=0)
    chosen = torch.arange(15, 20)
    final = float((predict(network, inputs[chosen]) - answers[chosen]).pow(2).mean())
    assert len(seen) == 10
    assert final == pytest.approx(min(seen))
    assert min(seen) < seen[-1]


def test_the_learning_rate_rises_and_falls():
    rates = [learning_rate(step, 50) for step in range(1, 51)]
    assert max(rates) == rates[4]
    assert rates[-1] == pytest.approx(0)
    assert rates[0] > 0
    assert learning_rate(1, 1) > 0


# --- scenes -------------------------------------------------------------------------------------


def test_noise_is_the_same_scene_and_a_moved_object_another():
    rng = np.random.default_rng(5)
    frames = np.full((4, 3, 64, 64), 90) + rng.integers(-9, 10, (4, 3, 64, 64))
    frames[:2, :, 8:16, 8:16] = 220
    frames[2, :, 40:48, 8:16] = 220
    cells = coarse(frames.astype(np.uint8))
    assert scene_labels(cells).tolist() == [0, 0, 1, 2]


def test_a_slow_drift_does_not_chain_into_one_scene():
    cells = np.arange(0, 100, 10.0)[:, None]
    assert scene_labels(cells, tolerance=16.0).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_instructions_of_shared_scenes_are_counted():
    cells = np.repeat([[0.0], [100], [200]], [4, 2, 1], axis=0)
    scenes = scene_labels(cells)
    sharing = scene_sharing(cells, scenes, np.array([0, 1, 2, 0, 1, 1, 0]))
    assert sharing.num_scenes == 3
    assert sharing.num_repeated == 2
    assert sharing.scenes_by_instructions == {"1": 2, "3": 1}
    assert sharing.shared_episodes == pytest.approx(4 / 7)
    assert sharing.num_neighbours == 5


def test_nearest_frames_agree_with_loops():
    cells = np.random.default_rng(6).uniform(0, 255, (9, 4))
    found = nearest(cells, 3)
    for row, neighbours in enumerate(found):
        distances = [
            np.inf if i == row else np.linalg.norm(cells[i] - cells[row]) for i in range(9)
        ]
        assert neighbours.tolist() == np.argsort(distances)[:3].tolist()


def test_chance_of_the_same_instruction_agrees_with_all_pairs():
    texts = np.array([0, 0, 1, 2, 2, 2])
    pairs = [texts[i] == texts[j] for i in range(6) for j in range(6) if i != j]
    assert chance_alike(texts) == pytest.approx(np.mean(pairs))


def test_no_scene_is_on_both_sides():
    scenes = np.arange(100) // 2
    what, train, test = split_scenes(scenes, np.arange(100) % 2, FEWEST_EPISODES, 0)
    assert what == "scene"
    assert not set(scenes[train]) & set(scenes[test])
    assert len(test) == 30
    assert sorted([*train, *test]) == list(range(100))


def test_where_an_instruction_has_one_scene_episodes_are_held_out_instead():
    """Else the scene would be held out together with its instruction, and the shortcut hidden."""
    scenes = np.arange(100) % 2
    what, train, test = split_scenes(scenes, scenes, FEWEST_EPISODES, 0)
    assert what == "episode"
    assert set(scenes[train]) == set(scenes[test]) == {0, 1}
    assert len(test) == 30


def test_a_group_larger_than_what_may_be_held_out_stays_in_training():
    train, test = split_groups(np.array([0] * 9 + [1]), 0)
    assert test.tolist() == [9]
    assert train.tolist() == list(range(9))


# --- judging ------------------------------------------------------------------------------------


def test_only_hits_have_an_interval_all_the_same():
    estimate = accuracy_of(torch.ones(10, dtype=torch.bool), np.arange(10), 0)
    assert estimate.value == 1
    assert 0.6 < estimate.low < 0.9


def test_hits_of_one_scene_count_as_one():
    hits = torch.tensor([True, False] * 10)
    wide = accuracy_of(hits, np.arange(20) // 10, 0)
    mixed = accuracy_of(torch.arange(20) < 10, np.arange(20) // 10, 0)
    assert mixed.high - mixed.low > wide.high - wide.low


@pytest.mark.parametrize(
    ("counts", "is_judged"),
    [
        ({"a": 5, "b": 5}, True),
        ({"a": 50, "b": 4}, False),
        ({"a": 5, "b": 5, **{str(i): 1 for i in range(11)}}, False),
        ({"a": 5, "b": 5, **{str(i): 1 for i in range(10)}}, True),
    ],
)
def test_instructions_need_episodes_and_have_to_stand_for_the_data(counts, is_judged):
    assert (why_not_judged(counts, sum(counts.values())) == "") == is_judged
