"""A reward: a weighted sum of terms, as a document that can be kept, checked and taken away."""

import json
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from inference.engine.rewards.cases import Case, Completion
from inference.engine.rewards.parameters import Problem, kind_of, number_problem, read_parameters
from inference.engine.rewards.patterns import TooSlow
from inference.engine.rewards.terms import TERMS, TermType

FORMAT = "moondream-reward/1"
MOST_TERMS = 12
MAX_WEIGHT = 10.0
MAX_NAME = 80
MAX_DOCUMENT = 100_000
NORMALISATIONS = ("weights", "none")
_PATIENCE = 2
"""How often a term may be too slow before it is not asked again."""


class RewardError(ValueError):
    """A document that is no reward: each problem with its path."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(f"{path}: {text}" if path else text for path, text in problems))


@dataclass(frozen=True, slots=True)
class Term:
    """A term with its weight and parameters."""

    type: TermType
    weight: float
    parameters: dict[str, Any]

    def value(self, case: Case) -> float | None:
        """0..1; None where the reference it needs is not known.

        Raises:
            TooSlow: a pattern's time was up.
        """
        return self.type.measure(case, self.parameters)


@dataclass(frozen=True, slots=True)
class Score:
    """What a reward gives one completion."""

    total: float
    values: tuple[float | None, ...]
    """Of each term, in order; None where it could not be told, which adds nothing."""
    notes: tuple[str, ...]
    """Why, where there is something to say."""


@dataclass(frozen=True, slots=True)
class Reward:
    """A weighted sum of terms.

    `normalise="weights"` divides the sum by that of the weights' sizes: the total then lies in −1..1
    however many terms there are. `"none"` leaves it as it is.
    """

    terms: tuple[Term, ...]
    name: str = "Reward"
    normalise: str = "weights"
    _size: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        size = sum(abs(term.weight) for term in self.terms)
        divides = size > 0 and self.normalise == "weights"
        object.__setattr__(self, "_size", size if divides else 1.0)

    @property
    def term_names(self) -> list[str]:
        """A name for each term: its slug, numbered where there are several of a kind."""
        names = [term.type.slug for term in self.terms]
        return [
            name if names.count(name) == 1 else f"{name}_{names[: n + 1].count(name)}"
            for n, name in enumerate(names)
        ]

    def total(self, values: Sequence[float | None]) -> float:
        """The weighted sum of the terms' values."""
        pairs = zip(self.terms, values, strict=True)
        # Divided last: one over the smallest of weights would be infinite.
        return sum(term.weight * value for term, value in pairs if value) / self._size

    def score(self, completion: Completion, reference: Any = None) -> Score:
        """One completion: a text, or an answer as the API gives it.

        Args:
            reference: what is right: a text, texts, a number, or an object of the benchmarks' forms
                (see `Reference.read`).

        Raises:
            UnreadableReference: the reference is of no known form.
        """
        return self.score_all([(completion, reference)])[0]

    def score_all(
        self, pairs: Iterable[tuple[Completion, Any]], *, budget_s: float = math.inf
    ) -> list[Score]:
        """Completions with their references. A term that is too slow twice is not asked again, and
        none is asked when the budget is spent.

        Raises:
            UnreadableReference: a reference is of no known form.
        """
        until = time.monotonic() + budget_s
        slow = [0] * len(self.terms)
        return [self._score(Case(*pair), slow, until) for pair in pairs]

    def _score(self, case: Case, slow: list[int], until: float) -> Score:
        values: list[float | None] = []
        notes = []
        for number, term in enumerate(self.terms):
            note, value = "", None
            if slow[number] >= _PATIENCE or time.monotonic() > until:
                note = "not asked: too slow"
            else:
                try:
                    value = term.value(case)
                except TooSlow as error:
                    slow[number] += 1
                    note, value = str(error), 0.0
            if value is None and not note:
                note = f"the reference has no {term.type.needs}"
            values.append(value)
            notes.append(note)
        return Score(self.total(values), tuple(values), tuple(notes))

    def to_dict(self) -> dict[str, Any]:
        """The document."""
        return {
            "format": FORMAT,
            "name": self.name,
            "normalise": self.normalise,
            "terms": [
                {"type": t.type.slug, "weight": t.weight, "parameters": dict(t.parameters)}
                for t in self.terms
            ],
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_dict(cls, document: Any) -> Self:
        """
        Raises:
            RewardError: with the path of everything that is wrong.
        """
        if not isinstance(document, dict):
            raise RewardError([("", f"a reward is an object, not {kind_of(document)}")])
        problems = [
            (str(name)[:40], "is not known")
            for name in document
            if name not in ("format", "name", "normalise", "terms")
        ]
        if document.get("format") != FORMAT:
            problems.append(("format", f"must be {FORMAT}"))
        name = document.get("name", "Reward")
        if not isinstance(name, str) or not 0 < len(name.strip()) <= MAX_NAME:
            problems.append(("name", f"must be a string of 1 to {MAX_NAME} characters"))
        normalise = document.get("normalise", "weights")
        if normalise not in NORMALISATIONS:
            problems.append(("normalise", f"must be one of {', '.join(NORMALISATIONS)}"))
        terms, wrong = _read_terms(document.get("terms"))
        if problems or wrong:
            raise RewardError(problems + wrong)
        return cls(terms, name.strip(), normalise)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """
        Raises:
            RewardError: it is no JSON, or with the path of everything that is wrong.
        """
        if len(text) > MAX_DOCUMENT:
            raise RewardError([("", f"is longer than {MAX_DOCUMENT:,} characters")])
        try:
            document = json.loads(text)
        except RecursionError:
            raise RewardError([("", "is nested too deeply")]) from None
        except ValueError as error:
            raise RewardError([("", f"is not JSON: {error}")]) from None
        return cls.from_dict(document)


def _read_terms(given: Any) -> tuple[tuple[Term, ...], list[Problem]]:
    if not isinstance(given, list):
        return (), [("terms", f"must be an array, not {kind_of(given)}")]
    if not 0 < len(given) <= MOST_TERMS:
        return (), [("terms", f"must hold 1 to {MOST_TERMS} terms, not {len(given)}")]
    terms, problems = [], []
    for number, row in enumerate(given):
        term, wrong = _read_term(row, f"terms[{number}]")
        problems += wrong
        if term:
            terms.append(term)
    return tuple(terms), problems


def _read_term(row: Any, path: str) -> tuple[Term | None, list[Problem]]:
    if not isinstance(row, dict):
        return None, [(path, f"must be an object, not {kind_of(row)}")]
    problems = [
        (f"{path}.{str(name)[:40]}", "is not known")
        for name in row
        if name not in ("type", "weight", "parameters")
    ]
    slug = row.get("type")
    kind = TERMS.get(slug) if isinstance(slug, str) else None
    if kind is None:
        problems.append((f"{path}.type", f"must be one of {', '.join(TERMS)}"))
        return None, problems
    weight = row.get("weight", kind.weight)
    problem = number_problem(weight, -MAX_WEIGHT, MAX_WEIGHT)
    if problem:
        problems.append((f"{path}.weight", problem))
    values, wrong = read_parameters(
        kind.parameters, row.get("parameters", {}), f"{path}.parameters"
    )
    if not wrong:
        wrong = [(f"{path}.parameters.{name}", text) for name, text in kind.check(values)]
    problems += wrong
    return (None, problems) if problems else (Term(kind, float(weight), values), problems)
