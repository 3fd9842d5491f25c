"""Can a policy act in an environment, and read what it is told there? Asked before anything long.

A policy that was trained on a word-level encoder refuses words it does not know. They can be left
out instead: of "tap the red block" it then reads "the red".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import nn

from plait.encoders.words import WordEncoder, split_words
from plait.errors import PlaitError, UnknownNameError, without_known_names
from plait.evaluation.rollout import Environment
from plait.evaluation.stress.policies import Checked, RefusedError
from plait.execution import RawObservation, mask_modalities, stack_observations
from plait.types import LANGUAGE, Observation

REFUSE, MASK = UNKNOWN_WORDS = ("refuse", "mask")


def check_unknown_words(unknown: str) -> None:
    """Refuse anything but `refuse` and `mask`.

    Raises:
        UnknownNameError: Naming the two.
    """
    if unknown not in UNKNOWN_WORDS:
        raise UnknownNameError("way to treat unknown words", unknown, UNKNOWN_WORDS)


def treat_unknown_words(policy: Checked, unknown: str) -> Checked:
    """Let a policy refuse words it does not know, or leave them out; others read what they read."""
    if isinstance(policy.policy, nn.Module):
        for part in policy.policy.modules():
            if isinstance(part, WordEncoder):
                part.unknown = unknown
    return policy


@dataclass(frozen=True)
class FirstLook:
    """What an environment shows and wants.

    Attributes:
        observation: Of some scene.
        action_dim: Size of an action.
    """

    observation: RawObservation
    action_dim: int

    @classmethod
    def at(cls, make_env: Callable[[], Environment]) -> "FirstLook":
        """Make an environment, look, and close it.

        Raises:
            UnknownNameError: If it, or a camera that is wanted of it, does not exist.
        """
        env = make_env()
        try:
            observation, _ = env.reset(seed=0)
            # Pictures may be taken when they are looked at, which a closed environment cannot.
            observation = {**observation, "images": dict(observation["images"])}
            shape = env.action_space.shape or (0,)
        finally:
            env.close()
        return cls(observation, int(shape[0]))


def refusal_of(
    policy: Checked, look: FirstLook, sentences: Sequence[str], masked: Sequence[str] = ()
) -> str:
    """Return why a policy would not read some sentence of an environment; empty if it reads all.

    Args:
        policy: Anything that predicts chunks.
        look: At the environment.
        sentences: All that may be said there; as many are asked about as have every word in them.
        masked: Modalities that are hidden from the policy.

    Raises:
        PlaitError: If the policy cannot act there whatever it is told: its actions, its state or
            its images are of other sizes.
    """
    policy = replace(policy, action_dim=look.action_dim)
    told = _observation(policy, look, [sentences[0]])
    try:
        policy.predict(mask_modalities(told, (*masked, LANGUAGE)))
    except RefusedError as error:
        raise PlaitError(f"{policy.name} cannot act in the environment: {error}") from error
    observation = _observation(policy, look, _every_word(sentences))
    try:
        policy.predict(mask_modalities(observation, masked))
    except RefusedError as error:
        return without_known_names(str(error))
    return ""


def _every_word(sentences: Sequence[str]) -> list[str]:
    """Choose sentences that have every word of all of them, and the longest one."""
    chosen, met = [max(sentences, key=len)], set[str]()
    for sentence in sentences:
        new = set(split_words(sentence)) - met
        if new:
            met |= new
            chosen.append(sentence)
    return chosen


def _observation(policy: Checked, look: FirstLook, told: Sequence[str]) -> Observation:
    window = policy.observation_window
    histories = [[{**look.observation, "instruction": text}] * window for text in told]
    return stack_observations(histories, policy.cameras)
