import math
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from evaluation_fakes import CAMERAS, EchoPolicy, ObeyingPolicy

from plait.errors import OptionError, PlaitError, UnknownNameError
from plait.execution import ChunkExecutor, TemporalEnsemble, mask_modalities, stack_observations
from plait.types import LANGUAGE, MODALITIES, PROPRIO, VISION, ActionChunk


def observe(scene, step):
    """What `LineEnv` shows, without its physics."""
    return {
        "images": {
            "base": np.full((3, 5, 3), scene, np.uint8),
            "wrist": np.full((3, 5, 3), step, np.uint8),
        },
        "proprio": np.array([0.5, step, scene], np.float32),
        "instruction": f"scene {scene}",
    }


def play(executor, scenes_by_step):
    """Run control steps; return every scene's actions. `scenes_by_step`: which act at each."""
    steps, actions = {}, {}
    for scenes in scenes_by_step:
        shown = {scene: observe(scene, steps.get(scene, 0)) for scene in scenes}
        for scene, action in executor.act(shown).items():
            actions.setdefault(scene, []).append(action.tolist())
            steps[scene] = steps.get(scene, 0) + 1
    return actions


def test_executes_the_horizon_then_looks_again():
    actions = play(ChunkExecutor(EchoPolicy(), execution_horizon=3), [[2]] * 7)

    # Looks at steps 0, 3 and 6; between them it follows the chunk.
    assert actions[2] == [[200, 0], [200, 1], [200, 2], [203, 0], [203, 1], [203, 2], [206, 0]]


def test_all_episodes_that_need_a_look_share_one_call():
    policy = EchoPolicy()
    play(ChunkExecutor(policy, execution_horizon=2), [[1, 2, 3], [1, 2, 3], [1, 2, 3]])

    assert policy.batch_sizes == [3, 3]


def test_episodes_at_different_phases_only_look_when_due():
    policy = EchoPolicy()
    # Episode 2 starts one step later, so that the two never look together.
    actions = play(ChunkExecutor(policy, execution_horizon=2), [[1], [1, 2], [1, 2], [2, 1]])

    assert policy.batch_sizes == [1, 1, 1, 1]
    assert actions == {
        1: [[100, 0], [100, 1], [102, 0], [102, 1]],
        2: [[200, 0], [200, 1], [202, 0]],
    }


@pytest.mark.parametrize("decay", [None, 0.3])
@pytest.mark.parametrize("window", [1, 3])
def test_a_batch_equals_one_by_one(decay, window):
    schedule = [[1, 7], [1, 7, 4], [4, 1], [4], [7, 1, 4], [7], [1, 4, 7], [4, 7]]

    def run(steps):
        policy = EchoPolicy(observation_window=window)
        return play(ChunkExecutor(policy, execution_horizon=2, ensemble_decay=decay), steps)

    together = run(schedule)
    for scene in (1, 4, 7):
        alone = run([[scene] for scenes in schedule if scene in scenes])
        assert together[scene] == alone[scene]


def test_a_reset_forgets_chunk_and_history():
    policy = EchoPolicy(observation_window=2)
    executor = ChunkExecutor(policy, execution_horizon=4)
    executor.act({"a": observe(1, 0)})
    executor.reset("a")
    action = executor.act({"a": observe(9, 5)})["a"]

    assert action.tolist() == [905, 0]
    assert policy.seen[-1].proprio[0, :, 2].tolist() == [9, 9]


def test_resetting_an_unknown_episode_is_harmless():
    ChunkExecutor(EchoPolicy(), execution_horizon=1).reset("never seen")


def test_the_window_repeats_the_first_observation_and_slides_every_step():
    policy = EchoPolicy(observation_window=3)
    play(ChunkExecutor(policy, execution_horizon=2), [[6]] * 5)

    windows = [seen.proprio[0, :, 1].tolist() for seen in policy.seen]
    assert windows == [[0, 0, 0], [0, 1, 2], [2, 3, 4]]
    wrist = [seen.images["wrist"][0, :, 0, 0, 0].tolist() for seen in policy.seen]
    assert wrist == windows


def test_the_window_survives_an_environment_that_reuses_its_arrays():
    policy = EchoPolicy(observation_window=3)
    executor = ChunkExecutor(policy, execution_horizon=1)
    shown = observe(6, 0)
    for step in range(3):
        shown["proprio"][1] = step
        shown["images"]["wrist"][:] = step
        executor.act({6: shown})

    assert policy.seen[-1].proprio[0, :, 1].tolist() == [0, 1, 2]
    assert policy.seen[-1].images["wrist"][0, :, 0, 0, 0].tolist() == [0, 1, 2]


def test_stacking_keeps_pixels_and_axes():
    generator = np.random.default_rng(0)
    steps = [observe(scene, 0) for scene in range(4)]
    for step in steps:
        step["images"]["base"] = generator.integers(0, 256, (3, 5, 3), dtype=np.uint8)
    stacked = stack_observations([steps[:2], steps[2:]], ("base",))

    assert set(stacked.images) == {"base"}
    assert stacked.images["base"].shape == (2, 2, 3, 3, 5)
    for episode, window, channel, row, column in np.ndindex(2, 2, 3, 3, 5):
        pixel = steps[2 * episode + window]["images"]["base"][row, column, channel]
        assert stacked.images["base"][episode, window, channel, row, column] == pixel
    assert stacked.instruction == ("scene 1", "scene 3")
    assert all(bool(mask.all()) for mask in stacked.modality_mask.values())


def test_a_stacked_batch_does_not_share_memory_with_the_environment():
    step = observe(1, 0)
    stacked = stack_observations([[step]], CAMERAS)
    step["images"]["base"][:] = 77
    step["proprio"][:] = 77

    assert int(stacked.images["base"].max()) == 1
    assert stacked.proprio.tolist() == [[[0.5, 0, 1]]]


@pytest.mark.parametrize("decay", [0.0, 0.01, 0.7])
@pytest.mark.parametrize("stride", [1, 2])
def test_temporal_ensemble_equals_the_direct_computation(decay, stride):
    horizon, num_steps = 5, 13
    generator = np.random.default_rng(1)
    chunks = {t: generator.normal(size=(horizon, 3)) for t in range(0, num_steps, stride)}
    ensemble = TemporalEnsemble(decay)
    for t in range(num_steps):
        if t in chunks:
            ensemble.add(chunks[t])
        # ACT, algorithm 2: all predictions of step t, oldest first.
        predictions = [chunk[t - s] for s, chunk in sorted(chunks.items()) if 0 <= t - s < horizon]
        weights = [math.exp(-decay * i) for i in range(len(predictions))]
        assert ensemble.pop() == pytest.approx(
            np.average(predictions, axis=0, weights=weights), abs=1e-6
        )


def test_a_large_decay_trusts_the_oldest():
    ensemble = TemporalEnsemble(50.0)
    ensemble.add(np.array([[1.0], [2.0]]))
    ensemble.pop()
    ensemble.add(np.array([[9.0], [9.0]]))

    assert ensemble.pop().tolist() == [2.0]
    assert ensemble.pop().tolist() == [9.0]


def test_a_negative_decay_is_refused():
    with pytest.raises(OptionError, match="at least 0, not -1"):
        TemporalEnsemble(-1.0)


@pytest.mark.parametrize("horizon", [0, 6])
def test_an_execution_horizon_outside_the_chunk_is_refused(horizon):
    with pytest.raises(OptionError, match=f"must be 1 to 5.*but is {horizon}"):
        ChunkExecutor(EchoPolicy(), execution_horizon=horizon)


def test_an_unknown_modality_is_refused():
    with pytest.raises(UnknownNameError, match="unknown modality 'visoin'; did you mean 'vision'"):
        ChunkExecutor(EchoPolicy(), 1, masked_modalities=("visoin",))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_an_action_that_is_not_finite_names_step_and_episode(bad):
    class Diverging(EchoPolicy):
        def predict(self, observation):
            chunk = super().predict(observation)
            is_late = (observation.proprio[:, -1, 1] >= 4)[:, None, None]
            return ActionChunk(torch.where(is_late, bad, chunk.actions), chunk.mask)

    executor = ChunkExecutor(Diverging(), execution_horizon=2)
    with pytest.raises(PlaitError, match="NaN or infinity at step 4 of episode 3"):
        play(executor, [[3]] * 6)


def test_a_missing_camera_or_key_is_named():
    executor = ChunkExecutor(EchoPolicy(cameras=("base", "top")), execution_horizon=1)
    with pytest.raises(UnknownNameError, match=r"unknown camera of the environment 'top'.*wrist"):
        executor.act({0: observe(0, 0)})
    with pytest.raises(UnknownNameError, match=r"environment's observation 'proprio'.*images"):
        executor.act({0: {"images": {}, "instruction": ""}})


class Looked(Mapping):
    """Pictures that note when they are looked at, as a simulator's that are taken only then."""

    def __init__(self, images, looks):
        self.images, self.looks = images, looks

    def __getitem__(self, camera):
        self.looks.append(camera)
        return self.images[camera]

    def __iter__(self):
        return iter(self.images)

    def __len__(self):
        return len(self.images)


@pytest.mark.parametrize(("masked", "num_looks"), [((), 6), ((LANGUAGE,), 6), ((VISION,), 2)])
def test_pictures_that_are_withheld_are_not_looked_at(masked, num_looks):
    looks, policy = [], EchoPolicy()
    executor = ChunkExecutor(policy, execution_horizon=2, masked_modalities=masked)
    for step in range(6):
        shown = observe(7, step)
        executor.act({7: {**shown, "images": Looked(shown["images"], looks)}})
    assert len(looks) == num_looks
    assert len(policy.seen) == 3
    for observation in policy.seen:
        assert observation.images["base"].shape == (1, 1, 3, 3, 5)
        assert bool(observation.images["base"].any()) == (VISION not in masked)


@pytest.mark.parametrize("modality", MODALITIES)
def test_masking_blanks_one_modality_and_leaves_the_others(modality):
    usual = stack_observations([[observe(3, 4)], [observe(5, 6)]], CAMERAS)
    masked = mask_modalities(usual, (modality,))

    for name in MODALITIES:
        assert masked.modality_mask[name].tolist() == [name != modality] * 2
    is_black = all(int(image.max()) == 0 for image in masked.images.values())
    assert is_black == (modality == VISION)
    assert masked.instruction == (("", "") if modality == LANGUAGE else ("scene 3", "scene 5"))
    assert bool((masked.proprio == 0).all()) == (modality == PROPRIO)


def test_a_masked_modality_never_reaches_the_policy():
    policy = ObeyingPolicy()
    executor = ChunkExecutor(policy, 1, masked_modalities=(LANGUAGE, VISION))
    action = executor.act({0: {**observe(3, 4), "instruction": "Go left!"}})[0]

    assert action.tolist() == [0, 0]
    assert policy.seen[0].instruction == ("",)
    assert not policy.seen[0].modality_mask[VISION].any()
    assert policy.seen[0].proprio.tolist() == [[[0.5, 4, 3]]]


def test_what_an_observation_says_is_missing_reaches_the_policy_as_a_mask():
    seen = []

    class Recorder(EchoPolicy):
        def predict(self, observation):
            seen.append(observation)
            return super().predict(observation)

    missing = {"camera_mask": {"wrist": False}, "modality_mask": {PROPRIO: False}}
    shown = {1: observe(1, 0), 2: {**observe(2, 0), **missing}}
    ChunkExecutor(Recorder(), execution_horizon=1).act(shown)

    (batch,) = seen
    assert batch.camera_mask["wrist"].tolist() == [True, False]
    assert batch.camera_mask["base"].tolist() == [True, True]
    assert batch.modality_mask[PROPRIO].tolist() == [True, False]
    assert batch.modality_mask[VISION].tolist() == [True, True]
