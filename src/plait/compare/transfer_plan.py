"""The plan of a transfer test: who is asked for what, settled before anything long starts."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from plait.compare.arm import EVALUATION_SEED
from plait.compare.environment import EnvFactory
from plait.compare.subjects import Subject, find_subjects
from plait.compare.transfer_cells import CellPlan, TransferJob, positions, scene_seeds
from plait.errors import OptionError, require_at_least_one, require_seed
from plait.evaluation.stress.policies import Checked, load_policy, policy_fingerprint
from plait.evaluation.transfer.challenges import (
    default_envs,
    make_challenges,
    spoken_in,
)
from plait.evaluation.transfer.reading import (
    REFUSE,
    FirstLook,
    check_unknown_words,
    refusal_of,
    treat_unknown_words,
)
from plait.results.transfer import TRAINED, Challenge

DEFAULT_EXECUTION_HORIZON = 2
WAYS_TO_READ = (
    "--unknown-words mask leaves out words that a policy does not know; or train with an encoder "
    "that reads any word: --language sentence, or bytes"
)


@dataclass(frozen=True, kw_only=True)
class TransferOptions:
    """What is asked of whom.

    Attributes:
        sources: Folders of comparisons or policies, or `module:function`.
        envs: Besides the one they were trained on; its sister suites and the other verbs if empty.
        trained_on: Environment of the demonstrations, where nothing says so.
        num_episodes: Scenes a challenge and training seed.
        execution_horizon: Steps executed before a policy looks again; as in the comparison, or 2,
            where None.
        unknown_words: What policies do with words they do not know: `refuse`, or `mask`, which
            leaves them out.
        seed: Of the first scene.
        num_workers: Processes; one a core where None.
    """

    sources: tuple[str, ...]
    envs: tuple[str, ...] = ()
    trained_on: str | None = None
    num_episodes: int = 100
    execution_horizon: int | None = None
    unknown_words: str = REFUSE
    seed: int = EVALUATION_SEED
    num_workers: int | None = None

    def check(self) -> None:
        """Refuse numbers that cannot be.

        Raises:
            OptionError: Naming the number.
            UnknownNameError: If unknown words are to be treated in a way there is none of.
        """
        require_at_least_one("number of policies", len(self.sources))
        require_at_least_one("number of episodes", self.num_episodes)
        require_seed(self.seed)
        check_unknown_words(self.unknown_words)
        if self.execution_horizon is not None:
            require_at_least_one("execution horizon", self.execution_horizon)


class Plan:
    """What is played, decided before anything is.

    Args:
        options: What was asked for.

    Raises:
        PlaitError: Of a policy, an environment, or the record of a training.
    """

    def __init__(self, options: TransferOptions) -> None:
        self.options = options
        self.record, self.shown = find_subjects(options.sources, options.trained_on)
        envs = options.envs or default_envs(self.shown.env)
        self.challenges = make_challenges(envs, self.shown)

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """All policies."""
        return self.record.subjects

    @cached_property
    def policies(self) -> Mapping[Subject, Checked]:
        """All policies, loaded."""
        unknown = self.options.unknown_words
        return {
            subject: treat_unknown_words(load_policy(subject.policy), unknown)
            for subject in self.subjects
        }

    @cached_property
    def execution_horizon(self) -> int:
        """Steps executed before a policy looks again; fewer for one that predicts fewer."""
        own = self.record.execution_horizon or DEFAULT_EXECUTION_HORIZON
        return self.options.execution_horizon or own

    @cached_property
    def looks(self) -> Mapping[tuple[str, tuple[str, ...], int], FirstLook]:
        """A look at every environment, as the policies see it."""
        wanted = {
            (challenge.env, policy.cameras, policy.image_size)
            for challenge in self.challenges
            for policy in self.policies.values()
        }
        return {view: FirstLook.at(EnvFactory(*view)) for view in sorted(wanted)}

    @cached_property
    def refusals(self) -> Mapping[tuple[Subject, Challenge], str]:
        """Why a policy would not read what is said in a challenge; empty where it would."""
        return {
            (subject, challenge): refusal_of(
                policy,
                self.looks[challenge.env, policy.cameras, policy.image_size],
                spoken_in(challenge),
                subject.masked,
            )
            for subject, policy in self.policies.items()
            for challenge in self.challenges
        }

    @property
    def cells(self) -> list[CellPlan]:
        """All that is to be played: what every policy reads."""
        place, options = positions(self.subjects), self.options
        return [
            CellPlan(
                subject,
                challenge,
                scene_seeds(options.seed, options.num_episodes, place[subject]),
            )
            for subject in self.subjects
            for challenge in self.challenges
            if not self.refusals[subject, challenge]
        ]

    def job(self, folder: Path) -> TransferJob:
        """Return what all processes have in common, without any cells."""
        action_dim = next(iter(self.looks.values())).action_dim
        return TransferJob(
            cells=(),
            shown=self.shown,
            unknown_words=self.options.unknown_words,
            action_dim=action_dim,
            execution_horizon=self.execution_horizon,
            folder=folder,
        )

    @property
    def identity(self) -> dict[str, Any]:
        """What makes two cells of the same name the same; environments may be added later."""
        return {
            "policies": {
                f"{each.arm}, seed {each.seed}": policy_fingerprint(each.policy)
                for each in self.subjects
            },
            "trained_on": self.shown.env,
            "episodes": self.options.num_episodes,
            "seed": self.options.seed,
            "execution_horizon": self.execution_horizon,
            "unknown_words": self.options.unknown_words,
        }

    def check(self) -> None:
        """Refuse what could not be judged at all.

        Raises:
            PlaitError: If a policy does not fit an environment, or does not read what it was
                trained on.
            OptionError: If no strategy reads what is said in an environment that was named, or a
                policy predicts fewer steps than are to be executed.
        """
        for subject, policy in self.policies.items():
            if policy.action_horizon < (self.options.execution_horizon or 1):
                raise OptionError(
                    f"the execution horizon is {self.execution_horizon}, but {subject.policy} "
                    f"predicts only {policy.action_horizon} steps at once"
                )
        for (subject, challenge), refusal in self.refusals.items():
            if challenge.relation == TRAINED and refusal:
                raise OptionError(
                    f"{subject.policy} does not read all that it is told in {challenge.env}: "
                    f"{refusal}. It was trained on something else, or on too few demonstrations "
                    "to meet every word; --unknown-words mask leaves such words out"
                )
        for challenge in self.challenges:
            reasons = self.strategy_refusals(challenge)
            is_unread = bool(reasons) and all(reasons.values())
            if challenge.env in self.options.envs and is_unread:
                raise OptionError(
                    f"no policy reads what is said in {challenge.env}: "
                    f"{next(iter(reasons.values()))}. {WAYS_TO_READ}"
                )

    def strategy_refusals(self, challenge: Challenge) -> dict[str, str]:
        """Return, by strategy, why it would not read what is said; empty where it would.

        Controls are left out: one without its instruction reads anything.
        """
        return {
            subject.arm: self.refusals[subject, challenge]
            for subject in self.subjects
            if subject.control is None
        }
