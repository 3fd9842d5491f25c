"""One policy in one challenge, in closed loop."""

import time
from collections.abc import Callable, Sequence
from functools import partial

from plait.evaluation.rollout import Environment, evaluate_policy
from plait.evaluation.stress.policies import Checked, RefusedError
from plait.evaluation.transfer.beside import AskedBeside, askable
from plait.evaluation.transfer.challenges import Shown
from plait.evaluation.transfer.fitting import count_fitting
from plait.results import EpisodeResult
from plait.results.transfer import BESIDE, PARAPHRASES, TRAINED, Challenge, TransferCell

MakeEnv = Callable[[], Environment]


def play_challenge(
    policy: Checked,
    make_env: MakeEnv,
    challenge: Challenge,
    seeds: Sequence[int],
    shown: Shown,
    *,
    arm: str,
    training_seed: int,
    execution_horizon: int,
    masked: Sequence[str] = (),
    on_episode: Callable[[EpisodeResult], None] | None = None,
) -> TransferCell:
    """Roll a policy out in every scene of a challenge.

    Args:
        policy: Anything that predicts chunks, checked.
        make_env: Makes one environment of the challenge.
        challenge: What is asked for.
        seeds: Of the scenes; in a `beside` challenge those without a shown task are left out.
        shown: What training showed.
        arm: Name of the policy's row.
        training_seed: Of the policy.
        execution_horizon: Steps executed before the policy looks again.
        masked: Modalities hidden from the policy.
        on_episode: Called when a scene has ended.

    Raises:
        PlaitError: Of the policy or the environment. What it does not understand of an instruction
            it was not trained on is not an error, but the cell's refusal.
    """
    start = time.monotonic()
    make = make_env
    if challenge.relation == BESIDE:
        seeds = askable(make_env, seeds, shown.combinations)
        make = partial(_beside, make_env, shown)
    refusal, episodes = "", []
    try:
        episodes = evaluate_policy(
            policy,
            make,
            seeds,
            execution_horizon=execution_horizon,
            masked_modalities=masked,
            on_progress=on_episode,
        )
    except RefusedError as error:
        if challenge.relation == TRAINED:
            raise
        refusal = str(error)
    is_reworded = challenge.relation == PARAPHRASES and not refusal
    return TransferCell(
        arm=arm,
        seed=training_seed,
        challenge=challenge,
        episodes=tuple(episodes),
        num_fitting=count_fitting(make_env, seeds, shown.words) if is_reworded else (),
        refusal=refusal,
        seconds=time.monotonic() - start,
    )


def _beside(make_env: MakeEnv, shown: Shown) -> Environment:
    return AskedBeside(make_env(), shown.combinations)
