"""The conformance kit of an encoder: `check_encoder(MyEncoder, num_blocks=1)`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

import torch
from torch import Tensor

from plait.config import DataSpec
from plait.encoders.base import Encoder, Level
from plait.testing.checks import (
    NOTICEABLE,
    build_seeded,
    real_values,
    require,
    require_registered,
    require_round_trip,
    require_same,
    require_token_gradients,
    run_checks,
)
from plait.testing.fake import BATCH_SIZE, FAKE_DATA, WIDTH, fake_observation
from plait.types import LANGUAGE, MODALITIES, PROPRIO, VISION, Observation, Tokens


@dataclass(frozen=True)
class EncoderCase:
    """An encoder to check, at one level.

    Attributes:
        kind: The class.
        level: `stem` or `features`.
        data: What it is built for.
        options: Keyword options it is built with.
    """

    kind: type[Encoder]
    level: Level
    data: DataSpec
    options: Mapping[str, Any]

    def build(self, seed: int = 0) -> Encoder:
        """Build the encoder, its parameters drawn from `seed`."""
        return build_seeded(
            lambda: self.kind(self.data, WIDTH, self.level, **self.options),
            seed,
        )

    def observe(self, seed: int = 0) -> Observation:
        """Return a complete observation."""
        return fake_observation(self.data, seed=seed)


def _real(tokens: Tokens, row: int) -> Tensor:
    """Return the real tokens of one sample: what any reader may see of it."""
    return tokens.values[row][tokens.mask[row]]


def _take(observation: Observation, rows: list[int]) -> Observation:
    instruction = tuple(observation.instruction[row] for row in rows)
    taken = observation.map_tensors(lambda tensor: tensor[rows])
    return replace(taken, instruction=instruction)


def _with_other(observation: Observation, other: Observation, modality: str) -> Observation:
    """Take one modality's values from another observation."""
    field = {VISION: "images", LANGUAGE: "instruction", PROPRIO: "proprio"}[modality]
    changed: dict[str, Any] = {field: getattr(other, field)}
    return replace(observation, **changed)


def _garble(observation: Observation, modality: str, *, row: int) -> Observation:
    """Put values that nothing may read into one sample of a modality."""
    rows = torch.arange(observation.batch_size) == row
    if modality == VISION:
        at = rows[:, None, None, None, None]
        images = {c: torch.where(at, 255 - i, i) for c, i in observation.images.items()}
        return replace(observation, images=images)
    if modality == LANGUAGE:
        texts = list(observation.instruction)
        texts[row] = "words nobody ever heard of " * 9
        return replace(observation, instruction=tuple(texts))
    nan = torch.full_like(observation.proprio, torch.nan)
    proprio = torch.where(rows[:, None, None], nan, observation.proprio)
    return replace(observation, proprio=proprio)


def tokens_fit_their_spec(case: EncoderCase) -> None:
    """A fusion is built from `token_spec` before any data is seen."""
    encoder = case.build()
    require(encoder.modality in MODALITIES, f"modality {encoder.modality!r} is none of ours")
    tokens, spec = encoder(case.observe()), encoder.token_spec
    found = tuple(tokens.values.shape)
    if spec.grid is not None:
        expected = (BATCH_SIZE, spec.num_views * spec.grid[0] * spec.grid[1], spec.width)
        require(found == expected, f"tokens {found}, but token_spec promises {expected}")
    batch_and_width = (found[0], found[-1])
    require(
        batch_and_width == (BATCH_SIZE, spec.width),
        f"tokens {found}, but token_spec promises width {spec.width}",
    )
    is_mask = tokens.mask.dtype == torch.bool and tokens.mask.shape == found[:2]
    require(is_mask, "the mask must be bool [batch, tokens]")
    require(bool(tokens.mask.any(dim=1).all()), "present, but without a real token: mask inverted?")
    require(bool(torch.isfinite(tokens.values[tokens.mask]).all()), "real tokens are not finite")


def its_input_matters(case: EncoderCase) -> None:
    """Every camera and every window step is there to be seen."""
    encoder, first = case.build(), case.observe()
    expected = encoder(first)
    for name, other in _variants(case, first, case.observe(seed=1)).items():
        changed = encoder(other)
        for row in range(BATCH_SIZE):
            old, new = _real(expected, row), _real(changed, row)
            differs = old.shape != new.shape or bool((old - new).abs().max() > NOTICEABLE)
            require(differs, f"other {name} gives the same tokens. Likely it is not read")


def _variants(case: EncoderCase, first: Observation, second: Observation) -> dict[str, Observation]:
    """Return observations that differ from the first in one part of the modality only."""
    if case.kind.modality == LANGUAGE:
        return {"instruction": _with_other(first, second, LANGUAGE)}
    variants = {}
    for step in range(case.data.observation_window):
        is_step = torch.arange(case.data.observation_window) == step
        if case.kind.modality == PROPRIO:
            proprio = torch.where(is_step[:, None], second.proprio, first.proprio)
            variants[f"proprio at step {step}"] = replace(first, proprio=proprio)
            continue
        for camera, image in first.images.items():
            mixed = torch.where(is_step[:, None, None, None], second.images[camera], image)
            images = {**first.images, camera: mixed}
            variants[f"{camera} at step {step}"] = replace(first, images=images)
    return variants


def it_reads_only_its_modality(case: EncoderCase) -> None:
    """Where modalities meet is the fusion's to decide."""
    encoder, first, second = case.build(), case.observe(), case.observe(seed=1)
    expected = encoder(first).values
    for other in set(MODALITIES) - {case.kind.modality}:
        actual = encoder(_with_other(first, second, other)).values
        require_same(actual, expected, f"{other} changes the tokens of {case.kind.modality}")


def absence_is_masked_and_not_read(case: EncoderCase) -> None:
    """An absent modality keeps its values, but nothing may come of them, not even an error."""
    encoder, modality, observation = case.build(), case.kind.modality, case.observe()
    expected = encoder(observation)
    # The middle sample lacks the modality; the others keep what they have.
    present = torch.tensor([True, False, True])
    mask = {**observation.modality_mask, modality: present}
    garbled = _garble(observation, modality, row=1)
    tokens = encoder(replace(garbled, modality_mask=mask))
    require(
        not tokens.mask[1].any(),
        f"{modality} is absent, but its tokens are real. Likely modality_mask is not read",
    )
    for row in (0, 2):
        message = f"present {modality} changes where another sample lacks it"
        require_same(_real(tokens, row), _real(expected, row), message)
    total = real_values(tokens).sum()
    trained = [p for p in encoder.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(total, trained, allow_unused=True) if trained else ()
    require(
        all(g is None or bool(torch.isfinite(g).all()) for g in gradients),
        f"absent {modality} with NaN gives a gradient of NaN. Likely it is masked after a layer; "
        "fill it first (masks.masked_fill)",
    )


def an_absent_camera_is_masked(case: EncoderCase) -> None:
    """A broken camera must take away its own tokens and no others."""
    if case.kind.modality != VISION:
        return
    encoder, observation = case.build(), case.observe()
    expected = encoder(observation)
    camera = case.data.cameras[-1]
    absent = torch.zeros(BATCH_SIZE, dtype=torch.bool)
    hidden = replace(observation, camera_mask={**observation.camera_mask, camera: absent})
    tokens = encoder(hidden)
    share = float(tokens.mask.float().mean() / expected.mask.float().mean())
    kept = 1 - 1 / len(case.data.cameras)
    require(
        abs(share - kept) < 1e-6,
        f"without {camera!r}, {share:.0%} of the tokens are real instead of {kept:.0%}. Likely "
        "camera_mask is not read",
    )
    images = {**observation.images, camera: 255 - observation.images[camera]}
    garbled = encoder(replace(hidden, images=images))
    message = f"the absent camera {camera!r} changes the tokens of others"
    require_same(garbled.values[tokens.mask], expected.values[tokens.mask], message)


def samples_are_independent(case: EncoderCase) -> None:
    """A robot acts on a batch of one; other instructions only change the padding."""
    encoder, observation = case.build(), case.observe()
    together = encoder(observation)
    for row in range(BATCH_SIZE):
        alone = encoder(_take(observation, [row]))
        message = f"alone, sample {row} is encoded otherwise. Likely statistics over the batch"
        require_same(_real(alone, 0), _real(together, row), message)
    order = [2, 0, 1]
    shuffled = encoder(_take(observation, order))
    for place, row in enumerate(order):
        message = "permuting the batch does not permute the tokens"
        require_same(_real(shuffled, place), _real(together, row), message)


def every_parameter_receives_gradient(case: EncoderCase) -> None:
    """Only as much of an encoder is built as its level needs."""
    encoder = case.build()
    require_token_gradients(encoder, encoder(case.observe()))


def nothing_learned_is_hidden(case: EncoderCase) -> None:
    """Tensors in plain attributes are never saved; caches of token ids are the exception."""
    encoder = case.build()
    encoder(case.observe())
    require_registered(encoder, floating_only=True)


def state_dict_round_trip_is_exact(case: EncoderCase) -> None:
    """What is saved is all there is."""
    observation = case.observe()

    def run(encoder: Encoder) -> list[Tensor]:
        tokens: Tokens = encoder(observation)
        return [tokens.values, tokens.mask]

    require_round_trip(case.build(seed=1), case.build(seed=2), run)


ENCODER_CHECKS = (
    tokens_fit_their_spec,
    its_input_matters,
    it_reads_only_its_modality,
    absence_is_masked_and_not_read,
    an_absent_camera_is_masked,
    samples_are_independent,
    every_parameter_receives_gradient,
    nothing_learned_is_hidden,
    state_dict_round_trip_is_exact,
)


def check_encoder(kind: type[Encoder], *, data: DataSpec = FAKE_DATA, **options: object) -> None:
    """Check that an encoder keeps the contract of `plait.encoders.base.Encoder`, at both levels.

    Args:
        kind: The class.
        data: What it is built for: cameras, image size, words.
        options: Keyword options to build it with.

    Raises:
        AssertionError: If a check fails; it names every failed check and its likely cause.
    """
    for level in get_args(Level):
        case = EncoderCase(kind, level, data, options)
        run_checks(f"{kind.__name__} at level {level!r}", ENCODER_CHECKS, case)
