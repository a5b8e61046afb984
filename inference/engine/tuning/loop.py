"""Whole trainings: from examples and a reward to a tuned adapter, step by step.

    loop = Loop(tuner, examples, LoopSettings(steps=60), reward=Reward.from_json(text))
    for record in loop.run():
        print(record.step, record.report.reward)

What a step asks and samples follows from the seed and the step's number alone: a training that goes on
from a checkpoint is the one that would have been.
"""

import functools
import math
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from inference.engine.rewards import Reward, Score
from inference.engine.tuning import objectives
from inference.engine.tuning.examples import Example
from inference.engine.tuning.plan import check_ranges
from inference.engine.tuning.rehearsal import Rehearsal, without_conflicts
from inference.engine.tuning.rollouts import REGION_SKILLS, Rollout
from inference.engine.tuning.sampling import SamplingSettings
from inference.engine.tuning.tuner import (
    RehearsalGroup,
    RLGroup,
    SFTGroup,
    StepReport,
    Tuner,
    TunerSettings,
)

Method = Literal["rl", "sft"]


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How long and on what is trained.

    Raises:
        ValueError: out of range.
    """

    method: Method = "rl"
    steps: int = 60
    lr: float = 1e-3
    lr_warmup: int = 3
    """Steps over which the learning rate rises."""
    warmup_steps: int = 0
    """Of "rl": first steps that teach right answers, so that there is something to prefer."""
    groups: int = 6
    """Questions a step."""
    group_size: int = 8
    """Sampled answers of each."""
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    refills: int = 2
    """How often questions whose answers were all rewarded alike are replaced by others in a step
    (DAPO's dynamic sampling, Yu et al. 2025, arXiv 2503.14476)."""
    rehearsal: float = 0.0
    """Questions of other skills that are rehearsed in a step, for each of its `groups`."""
    kl_limit: float | None = None
    """The training ends before a step that starts further from the base than this, nats a token."""

    def __post_init__(self) -> None:
        check_ranges(
            self, "steps", "groups", "group_size", "refills", "lr", "lr_warmup", "warmup_steps",
            "kl_limit", "rehearsal",
        )  # fmt: skip
        if self.method == "rl" and not self.sampling.temperature:
            raise ValueError("Reinforcement learning samples: its temperature is over 0.")

    def teaches(self, step: int) -> bool:
        """Whether a step (from 0) teaches right answers, rather than sample."""
        return self.method == "sft" or step < self.warmup_steps

    def rate(self, step: int) -> float:
        """Learning rate of a step (from 0): it rises, then falls in a line to a tenth."""
        rise = min(1.0, (step + 1) / (self.lr_warmup + 1))
        return self.lr * rise * (1 - 0.9 * step / self.steps)


@dataclass(frozen=True, slots=True)
class ScoredRollout:
    """An answer with what it was given."""

    rollout: Rollout
    score: Score
    advantage: float | None = None
    """As its step trained with it (`advantaged`); None: it was left out of the loss."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of a step, with its answers."""

    example: Example
    answers: Sequence[ScoredRollout]


@dataclass(frozen=True, slots=True)
class StepRecord:
    """What there is to tell of one step."""

    report: StepReport
    terms: Mapping[str, float]
    """Mean of each reward term where it could be measured, raw, 0..1, by the term's place and slug."""
    weighted: Mapping[str, float]
    """Its share of the reward."""
    asked: Sequence[Asked]
    tokens: int
    """Choices sampled; of supervised steps, taught."""
    sampling_s: float
    training_s: float

    @property
    def step(self) -> int:
        return self.report.step

    def metrics(self) -> dict[str, float]:
        """Flat, by TRL's names."""
        r = self.report
        named = {
            "loss": r.loss, "sft_loss": r.sft_loss, "rehearsal/kl": r.rehearsal_kl,
            "reward": r.reward, "reward_std": r.reward_std,
            "frac_reward_zero_std": r.frac_reward_zero_std, "kl": r.kl, "entropy": r.entropy,
            "clip_ratio/low_mean": r.clip_low, "clip_ratio/high_mean": r.clip_high,
            "completions/mean_length": r.completion_length, "grad_norm": r.grad_norm,
            "sampling/sampling_logp_difference/mean": r.logp_difference,
        }  # fmt: skip
        named |= {f"rewards/{name}/mean": value for name, value in self.terms.items()}
        named |= {f"rewards/{name}/weighted": value for name, value in self.weighted.items()}
        seconds = self.sampling_s + self.training_s
        named["tokens_per_second"] = self.tokens / seconds if seconds else 0.0
        return {name: float(value) for name, value in named.items() if value is not None}


class Collapsed(RuntimeError):
    """The training went further from the base than its limit allows."""


class Loop:
    """A training on examples.

    Raises:
        ValueError: no examples, or some that cannot be trained on so.
    """

    def __init__(
        self,
        tuner: Tuner,
        examples: Sequence[Example],
        settings: LoopSettings,
        *,
        reward: Reward | None = None,
        rehearsed: Sequence[Example] = (),
        seed: int = 0,
    ) -> None:
        if not examples:
            raise ValueError("There is nothing to train on: no examples.")
        if settings.method == "rl" and reward is None:
            raise ValueError("Reinforcement learning needs a reward.")
        if settings.method == "sft" or settings.warmup_steps:
            bare = sum(1 for example in examples if example.target is None)
            if bare:
                raise ValueError(f"{bare} of {len(examples)} examples have no target to learn.")
        self.tuner, self.examples, self.settings = tuner, examples, settings
        self.reward, self.seed = reward, seed
        self.rehearsal: Rehearsal | None = None
        if settings.rehearsal:
            others = without_conflicts(rehearsed, examples)
            if not others:
                raise ValueError("There are no other questions to rehearse.")
            self.rehearsal = Rehearsal(tuner, others, seed=seed)
        self.kl = 0.0

    def run(self) -> Iterator[StepRecord]:
        """Train from where the tuner stands to the last step.

        Raises:
            Collapsed: the KL limit was reached.
            TunerError: an invariant does not hold.
        """
        while self.tuner.steps < self.settings.steps:
            yield self.step()

    def step(self) -> StepRecord:
        """One step; see `run`."""
        number = self.tuner.steps
        is_taught = self.settings.teaches(number)
        record = self._supervise(number) if is_taught else self._reinforce(number)
        if number == 2 and record.report.applied:
            self.tuner.check_learning()
        self.kl = record.report.kl or 0.0
        limit = self.settings.kl_limit
        if limit is not None and self.kl > limit:
            raise Collapsed(
                f"At step {number + 1} the divergence to the base was {self.kl:.2f} nats a token; "
                f"the limit is {limit:g}."
            )
        return record

    def drawn(self, step: int, part: int = 0) -> list[Example]:
        """The questions of a step: each is asked once before one is asked again.

        Args:
            part: 0 for the step's first, further ones for its refills.
        """
        count = self.settings.groups
        if part:
            rng = random.Random(f"{self.seed}:{step}:{part}")
            return rng.sample(self.examples, min(count, len(self.examples)))
        drawn: list[Example] = []
        at = step * count
        while len(drawn) < count:
            epoch, place = divmod(at + len(drawn), len(self.examples))
            order = _order(self.seed, epoch, len(self.examples))
            drawn += [self.examples[n] for n in order[place : place + count - len(drawn)]]
        return drawn

    def _rehearsed(self, number: int) -> list[RehearsalGroup]:
        if self.rehearsal is None:
            return []
        count = math.ceil(self.settings.rehearsal * self.settings.groups)
        return self.rehearsal.groups(number, count)

    def _supervise(self, number: int) -> StepRecord:
        started = time.perf_counter()
        groups = [SFTGroup(e, e.target or {}) for e in self.drawn(number)]
        report = self.tuner.train_step(
            [*groups, *self._rehearsed(number)], self.settings.rate(number)
        )
        spent = time.perf_counter() - started
        return StepRecord(report, {}, {}, [Asked(g.example, ()) for g in groups], 0, 0.0, spent)

    def _reinforce(self, number: int) -> StepRecord:
        started = time.perf_counter()
        groups = advantaged(self._sampled(number), self.tuner.settings)
        sampled = time.perf_counter()
        trained = [
            RLGroup(a.example, [s.rollout for s in a.answers], [_vote(s.score) for s in a.answers],
                    [s.score.values for s in a.answers])
            for a in groups
        ]  # fmt: skip
        report = self.tuner.train_step(
            [*trained, *self._rehearsed(number)], self.settings.rate(number)
        )
        scores = [s.score for a in groups for s in a.answers]
        assert self.reward is not None
        terms, weighted = term_means(self.reward, scores)
        tokens = sum(s.rollout.length for a in groups for s in a.answers)
        return StepRecord(
            report, terms, weighted, groups, tokens, sampled - started,
            time.perf_counter() - sampled,
        )  # fmt: skip

    def _sampled(self, number: int) -> list[Asked]:
        """The step's questions with scored answers. Flat ones are replaced while there are refills
        left; then they stay, and are left out of the loss."""
        kept: list[Asked] = []
        flat: list[Asked] = []
        for part in range(self.settings.refills + 1):
            missing = self.settings.groups - len(kept)
            if not missing:
                break
            asked = self.answers(
                self.drawn(number, part)[:missing], seed=_seed(self.seed, number, part)
            )
            kept += [a for a in asked if not is_flat(a)]
            flat += [a for a in asked if is_flat(a)]
        return kept + flat[: self.settings.groups - len(kept)]

    def answers(self, examples: Sequence[Example], *, seed: int) -> list[Asked]:
        """Sampled and scored answers of examples."""
        assert self.reward is not None
        settings = self.settings
        groups = self.tuner.rollouts(examples, settings.group_size, settings.sampling, seed=seed)
        return [
            Asked(example, scored(self.reward, example, group))
            for example, group in zip(examples, groups, strict=True)
        ]


def scored(reward: Reward, example: Example, rollouts: Sequence[Rollout]) -> list[ScoredRollout]:
    """Answers with their scores."""
    pairs = [(completion(rollout), example.reference) for rollout in rollouts]
    return list(map(ScoredRollout, rollouts, reward.score_all(pairs)))


def advantaged(asked: Sequence[Asked], settings: TunerSettings) -> list[Asked]:
    """A step's answers with the advantages that training on all of them gives each."""
    found = objectives.advantages(
        [[_vote(answer.score) for answer in each.answers] for each in asked], settings.objective,
        [[answer.score.values for answer in each.answers] for each in asked], settings.reward_weights,
    )  # fmt: skip
    return [
        replace(each, answers=[
            replace(answer, advantage=value)
            for answer, value in zip(each.answers, values, strict=True)
        ])
        for each, values in zip(asked, found.values, strict=True)
    ]  # fmt: skip


def completion(rollout: Rollout) -> Any:
    """What a reward reads of an answer: its text, or its places as the API gives them."""
    if rollout.skill in REGION_SKILLS:
        return rollout.output
    return next(iter(rollout.output.values()))


def _vote(score: Score) -> float | None:
    """A reward of which no term could be measured is no vote."""
    return None if all(value is None for value in score.values) else score.total


def is_flat(asked: Asked) -> bool:
    """Whether all answers were rewarded alike, so that none is better than another."""
    return objectives.is_flat([_vote(answer.score) for answer in asked.answers])


@functools.lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> list[int]:
    """Numbers of the examples as one epoch asks them; a step may end one and begin the next."""
    order = list(range(count))
    random.Random(f"{seed}:{epoch}").shuffle(order)
    return order


def _seed(*parts: int) -> int:
    return random.Random(":".join(map(str, parts))).getrandbits(62)


def term_means(
    reward: Reward, scores: Sequence[Score]
) -> tuple[dict[str, float], dict[str, float]]:
    """Mean of each term where it could be measured, and its mean share of the total."""
    raw: dict[str, float] = {}
    weighted: dict[str, float] = {}
    for number, name in enumerate(reward.term_names):
        values = [s.values[number] for s in scores if s.values[number] is not None]
        if values:
            raw[name] = math.fsum(v for v in values if v is not None) / len(values)
            alone: list[float | None] = [None] * len(reward.terms)
            shares = []
            for value in values:
                alone[number] = value
                shares.append(reward.total(alone))
            weighted[name] = math.fsum(shares) / len(scores)
    return raw, weighted


@dataclass(frozen=True, slots=True)
class Measured:
    """What an adapter's likeliest answers are worth."""

    reward: float
    terms: Mapping[str, float]
    length: float
    """Mean of the answers' choices."""
    count: int

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def measure(
    tuner: Tuner,
    examples: Sequence[Example],
    reward: Reward,
    *,
    adapter: bool = True,
    batch: int = 24,
    max_tokens: int = 128,
) -> Measured:
    """Answer held-out examples with the likeliest choices, and reward them.

    Args:
        adapter: False measures the base.
    """
    settings = SamplingSettings(temperature=0, max_tokens=max_tokens)
    scores: list[Score] = []
    lengths: list[int] = []
    for start in range(0, len(examples), batch):
        some = examples[start : start + batch]
        groups = tuner.rollouts(some, 1, settings, seed=0, adapter=adapter)
        for example, (rollout,) in zip(some, groups, strict=True):
            scores.append(reward.score(completion(rollout), example.reference))
            lengths.append(rollout.length)
    terms, _ = term_means(reward, scores)
    total = math.fsum(score.total for score in scores) / len(scores)
    return Measured(total, terms, sum(lengths) / len(lengths), len(scores))
