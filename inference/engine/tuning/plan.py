"""What a run is to do: a document that is kept, checked before anything is queued, and read by the worker.

Imports no torch: the web process checks with it too.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from inference.engine.numbers import is_number

METHODS = ("rl", "sft")
RANKS = (8, 16, 24, 32)
LOSSES = ("dapo", "grpo", "dr_grpo", "cispo")
SCALINGS = ("group", "batch", "none")
LAYERS = ("text", "mlp", "variant")
"""Of the text blocks: all, those that Moondream's tuning service adapts, those that its variants change
(`inference.engine.tuning.adapters`)."""
COMBINATIONS = ("sum_then_normalize", "normalize_then_sum")
MOST_ANSWERS = 512
"""Sampled answers of one step."""
Problem = tuple[str, str]
"""A field, and what is wrong with it."""


class PlanError(ValueError):
    """No plan: each field with what is wrong."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{name} {text}" for name, text in problems))


@dataclass(frozen=True, slots=True)
class Plan:
    """Settings of a run.

    Raises:
        PlanError: with everything that is out of range.
    """

    method: str = "rl"
    """"rl": answers are sampled and rewarded; "sft": the right answers are taught."""
    steps: int = 60
    """Updates, those that teach included."""
    warmup_steps: int = 0
    """Of an "rl" run: steps that teach the right answers first, so that there is something to prefer."""
    groups: int = 6
    """Examples of one step."""
    group_size: int = 8
    """Answers sampled of each."""
    temperature: float = 1.3
    """Of the sampling; answers are scored at the same."""
    max_tokens: int = 64
    """Of one answer."""
    max_objects: int = 20
    """Points or boxes of one answer."""
    lr: float = 1e-3
    lr_warmup: int = 3
    """Steps over which the learning rate rises."""
    refills: int = 2
    """How often questions whose answers were all rewarded alike are replaced in a step."""
    rehearsal: float = 0.5
    """Questions of other skills in a step, for each of its groups: what the base answers is kept."""
    rank: int = 16
    """Of the adapter."""
    layers: str = "text"
    """Which layers of the text blocks are adapted. Moondream's own files hold "mlp" and "variant"."""
    regions: bool = False
    """Adapt the heads that say places as well."""
    loss: str = "dapo"
    scaling: str = "group"
    combination: str = "sum_then_normalize"
    clip_low: float = 0.2
    clip_high: float = 0.28
    beta: float = 0.0
    """Weight of the divergence to the base in the loss."""
    kl_limit: float | None = None
    """Nats a token from the base at which the run ends, with what it has learnt."""
    checkpoint_every: int = 20
    """Steps between checkpoints that are kept."""
    seed: int = 0

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise PlanError(problems)

    def _problems(self) -> list[Problem]:
        problems = out_of_range(self, RANGES)
        problems += [
            (name, f"must be one of {', '.join(map(str, known))}")
            for name, known in _CHOICES.items()
            if isinstance(getattr(self, name), bool) or getattr(self, name) not in known
        ]
        regions: Any = self.regions  # whatever a document held
        if not isinstance(regions, bool):
            problems.append(("regions", "must be true or false"))
        if self.kl_limit is not None:
            problems += out_of_range(self, OPTIONAL_RANGES)
        return problems or self._together()

    def _together(self) -> list[Problem]:
        """What is wrong with values that are each right by themselves."""
        problems = []
        if self.method == "sft" and self.warmup_steps:
            problems.append(("warmup_steps", "is of rl alone: all steps of sft teach"))
        if self.warmup_steps >= self.steps and self.method == "rl":
            problems.append(("warmup_steps", "leaves no steps that sample: it must be below steps"))
        if self.method == "rl" and self.groups * self.group_size > MOST_ANSWERS:
            problems.append(("group_size", f"times groups is over {MOST_ANSWERS} answers a step"))
        if self.clip_low >= 1 and self.loss != "cispo":
            problems.append(("clip_low", "must be below 1"))
        return problems

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """
        Raises:
            PlanError: with everything that is wrong.
        """
        if not isinstance(values, Mapping):
            raise PlanError([("settings", "must be an object")])
        known = {field.name for field in fields(cls)}
        strange = [(str(name)[:40], "is not known") for name in values if name not in known]
        try:
            plan = cls(**{name: value for name, value in values.items() if name in known})
        except PlanError as error:
            raise PlanError(strange + error.problems) from None
        if strange:
            raise PlanError(strange)
        return plan

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def teaches(self, step: int) -> bool:
        """Whether a step (from 0) teaches right answers, rather than sample."""
        return self.method == "sft" or step < self.warmup_steps

    @property
    def needs_targets(self) -> bool:
        return self.method == "sft" or self.warmup_steps > 0


RANGES: Mapping[str, tuple[type, float, float]] = {
    "steps": (int, 1, 10_000),
    "warmup_steps": (int, 0, 1000),
    "lr_warmup": (int, 0, 1000),
    "refills": (int, 0, 8),
    "max_objects": (int, 1, 100),
    "groups": (int, 1, 64),
    "group_size": (int, 2, 32),
    "temperature": (float, 0.1, 3),
    "max_tokens": (int, 1, 256),
    "lr": (float, 1e-7, 0.1),
    "clip_low": (float, 0, 1),
    "clip_high": (float, 0, 10),
    "rehearsal": (float, 0, 4),
    "beta": (float, 0, 10),
    "checkpoint_every": (int, 1, 10_000),
    "seed": (int, 0, 2**31 - 1),
}
"""Of each number: its kind, the least and the most. Loops, samplings and objectives that are made
without a plan have the same."""
OPTIONAL_RANGES: Mapping[str, tuple[type, float, float]] = {"kl_limit": (float, 1e-9, 100)}
"""Of those that may be nothing."""
_CHOICES: dict[str, tuple[Any, ...]] = {
    "method": METHODS, "rank": RANKS, "layers": LAYERS, "loss": LOSSES, "scaling": SCALINGS, "combination": COMBINATIONS,
}  # fmt: skip


def out_of_range(settings: Any, ranges: Mapping[str, tuple[type, float, float]]) -> list[Problem]:
    """The fields of some settings that are not numbers of their range."""
    return [
        (name, f"must be {low:g} to {high:g}")
        for name, (kind, low, high) in ranges.items()
        if not _is_of(getattr(settings, name), kind) or not low <= getattr(settings, name) <= high
    ]


def check_ranges(settings: Any, *names: str) -> None:
    """
    Raises:
        ValueError: some of these fields are out of the range that a plan has for them.
    """
    known = {**RANGES, **OPTIONAL_RANGES}
    wanted = {name: known[name] for name in names if getattr(settings, name) is not None}
    problems = out_of_range(settings, wanted)
    if problems:
        raise ValueError("; ".join(f"{name} {text}" for name, text in problems) + ".")


def _is_of(value: Any, kind: type) -> bool:
    return is_number(value) and (kind is float or isinstance(value, int))
