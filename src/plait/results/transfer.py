"""What `plait transfer` writes, and all that its report reads. Standard library only."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from plait.results import SCHEMA_VERSION, EpisodeResult, Machine, Rate

# How what is asked for relates to what training showed.
TRAINED = "trained"
FAMILIAR = "familiar"
BESIDE = "beside"
COMBINATIONS = "combinations"
PARAPHRASES = "paraphrases"
VERBS = "verbs"
# Of these, training showed nothing: what is lost there is what did not transfer.
NEVER_SEEN = (COMBINATIONS, PARAPHRASES, VERBS)


@dataclass(frozen=True, kw_only=True)
class Challenge:
    """What every policy is asked for in one column of a transfer test.

    Attributes:
        env: Environment id.
        relation: `trained`: the suite it was trained on, in other scenes; `familiar`: another
            suite whose instructions were in the demonstrations; `combinations`: of verb, colour
            and shape that no demonstration shows; `beside`: the scenes of `combinations`, asked
            for a combination that was shown; `paraphrases`: shown combinations in words that were
            not; `verbs`: verbs that no demonstration shows.
    """

    env: str
    relation: str

    @property
    def key(self) -> str:
        """A name for its files: one for each challenge."""
        env = re.sub(r"[^\w+.-]", "~", self.env)
        return f"{env}-{self.relation}"


@dataclass(frozen=True, kw_only=True)
class TransferCell:
    """What one policy did in one challenge; a file of its own.

    Attributes:
        arm: Name of its row.
        seed: Training seed.
        challenge: What was asked for.
        episodes: One rollout a scene.
        num_fitting: Tasks of each scene that the shown words of its instruction leave open; of
            paraphrases alone.
        refusal: Why the policy would not act, if it refused; then there are no episodes.
        seconds: Wall time.
    """

    arm: str
    seed: int
    challenge: Challenge
    episodes: tuple[EpisodeResult, ...] = ()
    num_fitting: tuple[int, ...] = ()
    refusal: str = ""
    seconds: float = 0.0
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A difference of success rates with its 95 % interval.

    Attributes:
        value: The first rate less the second.
        is_paired: Whether both were measured in the same scenes.
    """

    value: float
    low: float
    high: float
    is_paired: bool


@dataclass(frozen=True, kw_only=True)
class TransferScore:
    """All training seeds of an arm in one challenge.

    Attributes:
        challenge: What was asked for.
        success: Over scenes and training seeds; None where the policy refused.
        chance: Mean of 1 / candidates over the scenes: what guessing among the scene's tasks gives
            a policy that can do them all.
        chance_by_words: What guessing among the tasks gives that fit the words which training
            showed; of paraphrases alone.
        outcomes: How often each outcome occurred.
        seed_rates: Success rate of each training seed, in order.
        lost: Success on what was trained less success here; None where either is missing.
        lost_beside: Success on shown combinations in these very scenes less success here.
        refusal: Why the policy refused.
    """

    challenge: Challenge
    success: Rate | None
    chance: float = 0.0
    chance_by_words: float | None = None
    outcomes: Mapping[str, int] = field(default_factory=dict)
    seed_rates: tuple[float, ...] = ()
    lost: Difference | None = None
    lost_beside: Difference | None = None
    refusal: str = ""


@dataclass(frozen=True, kw_only=True)
class ArmTransfer:
    """One row: a strategy with all its training seeds, or a control.

    Attributes:
        arm: Its name.
        fusion: Name of the strategy; empty for a policy of the user's own.
        control: None, or which modality was hidden in training and evaluation.
        scores: One a challenge, what was trained first.
    """

    arm: str
    fusion: str
    control: str | None
    scores: tuple[TransferScore, ...]


@dataclass(frozen=True, kw_only=True)
class LossComparison:
    """Whether one strategy loses less than another in the same challenge.

    Attributes:
        challenge: Where.
        first: The strategy that loses less.
        second: The other.
        difference: By how much less, as a share.
        low: Lower end of its interval, at 95 % over all pairs of the challenge together.
        high: Upper end.
        differs: Whether the interval leaves out zero.
    """

    challenge: Challenge
    first: str
    second: str
    difference: float
    low: float
    high: float
    differs: bool


@dataclass(frozen=True, kw_only=True)
class TransferResult:
    """The whole of `plait transfer`: what its `results.json` holds and its report shows.

    Attributes:
        command: The command that made it.
        sources: Folders of comparisons and policies, or `module:function`.
        env: Environment the policies were trained on.
        challenges: What was trained first.
        arms: In the order of their success on what was trained, controls last.
        comparisons: Of the losses of strategies that had something to lose.
        num_scenes: Scenes a challenge and training seed.
        num_shown: Distinct instructions of the demonstrations; 0 where they are unknown.
        notes: Plain sentences on what could not be judged, and why.
        settings: What identifies this test.
        total_seconds: Wall time of all cells, added up over processes.
    """

    command: str
    sources: tuple[str, ...]
    env: str
    challenges: tuple[Challenge, ...]
    arms: tuple[ArmTransfer, ...]
    comparisons: tuple[LossComparison, ...]
    num_scenes: int
    num_shown: int
    notes: tuple[str, ...]
    settings: Mapping[str, Any]
    total_seconds: float
    machine: Machine
    schema_version: int = SCHEMA_VERSION
