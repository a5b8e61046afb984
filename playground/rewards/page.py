"""What the builder's page shows of a bench."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from inference.engine.rewards import (
    MAX_WEIGHT,
    MOST_TERMS,
    PRESETS,
    TERMS,
    Parameter,
    Preset,
    Reward,
    TermType,
    to_python,
)
from inference.errors import DomainError
from playground.rewards.links import PARAMETER_LINKS, TERM_LINKS, TOTAL_LINK
from playground.rewards.samples import SampleItem, SampleSet, sample_items, sample_sets
from playground.rewards.work import MOST_OWN, START, Own, Work

BUDGET_S = 2.0


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter with what it holds."""

    id: str
    parameter: Parameter
    value: Any
    problem: str
    link: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class TermCard:
    """A term as it is edited."""

    number: int
    type: TermType
    weight: Any
    problem: str
    fields: list[Field]
    link: tuple[str, str]
    is_last: bool

    @property
    def slider(self) -> float:
        """Where the slider stands: its range is what is usual, the field beside takes more."""
        is_number = isinstance(self.weight, int | float)
        return min(2.0, max(-2.0, float(self.weight))) if is_number else 0.0


@dataclass(frozen=True, slots=True)
class ValueCell:
    """What one term gives one answer."""

    title: str
    value: float | None
    note: str

    @property
    def text(self) -> str:
        return "—" if self.value is None else f"{self.value:.2f}"

    @property
    def width(self) -> float:
        return round(100 * (self.value or 0), 1)


@dataclass(slots=True)
class Row:
    """One answer with what it is worth."""

    item: SampleItem
    text: str
    by: str
    cells: list[ValueCell] = field(default_factory=list)
    total: float = 0.0
    rank: int = 0

    @property
    def values_json(self) -> str:
        return json.dumps([cell.value for cell in self.cells])


@dataclass(frozen=True, slots=True)
class ReferenceField:
    """An item's reference, to be written over."""

    item: SampleItem
    text: str
    original: str


class Bench:
    """The page's context, worked out once."""

    terms = TERMS
    presets: tuple[Preset, ...] = tuple(PRESETS.values())
    total_link = TOTAL_LINK
    most_terms = MOST_TERMS
    max_weight = MAX_WEIGHT

    def __init__(self, work: Work) -> None:
        self.work = work
        self.sets = sample_sets()
        by_slug = {s.slug: s for s in self.sets}
        self.chosen: SampleSet = by_slug.get(work.chosen) or by_slug[START[1]]
        work.chosen = self.chosen.slug
        self.sets_problem = ""
        try:
            self.items = sample_items(self.chosen)
        except DomainError as error:  # its references cannot be opened
            self.items, self.sets_problem = [], f"{error.message} {error.hint}".strip()
        self.reward: Reward | None = work.reward()

    @cached_property
    def cards(self) -> list[TermCard]:
        rows = self.work.document["terms"]
        return [self._card(n, row, is_last=n == len(rows) - 1) for n, row in enumerate(rows)]

    def _card(self, number: int, row: dict[str, Any], *, is_last: bool) -> TermCard:
        kind, problems = TERMS[row["type"]], self.work.problems
        given, path = row.get("parameters"), f"terms[{number}]"
        values = kind.defaults | (given if isinstance(given, dict) else {})
        fields = [
            Field(
                f"t{number}-p-{p.name}", p, values[p.name], problems.get(f"{path}.parameters.{p.name}", ""),
                PARAMETER_LINKS.get((kind.slug, p.name)),
            )
            for p in kind.parameters
        ]  # fmt: skip
        return TermCard(
            number, kind, row.get("weight", kind.weight), problems.get(f"{path}.weight", ""),
            fields, TERM_LINKS[kind.slug], is_last,
        )  # fmt: skip

    @property
    def name_problem(self) -> str:
        return self.work.problems.get("name", "")

    @cached_property
    def keys(self) -> set[str]:
        return {item.key for item in self.items}

    @property
    def own(self) -> list[tuple[int, Own]]:
        return list(enumerate(self.work.own))

    @property
    def next_own(self) -> int | None:
        """The number of the empty field for one more; None when there are enough."""
        return len(self.work.own) if len(self.work.own) < MOST_OWN else None

    @cached_property
    def rows(self) -> list[Row]:
        """Every answer, best first; unscored, in order, while the reward is not right."""
        by_key = {item.key: item for item in self.items}
        rows = [Row(item, said.text, said.by) for item in self.items for said in item.answers]
        rows += [
            Row(by_key[o.item], o.text, o.by or "yours") for o in self.work.own if o.item in by_key
        ]
        if self.reward is None:
            return rows
        pairs = [(r.text, self.work.reference_of(r.item.key, r.item.reference)) for r in rows]
        for row, score in zip(rows, self.reward.score_all(pairs, budget_s=BUDGET_S), strict=True):
            parts = zip(self.reward.terms, score.values, score.notes, strict=True)
            row.cells = [ValueCell(t.type.title, value, note) for t, value, note in parts]
            row.total = score.total
        rows.sort(key=lambda row: -row.total)
        for rank, row in enumerate(rows, 1):
            row.rank = rank
        return rows

    @property
    def references(self) -> list[ReferenceField]:
        fields = []
        for item in self.items:
            original = plain(item.reference)
            fields.append(ReferenceField(item, self.work.references.get(item.key, original), original))  # fmt: skip
        return fields

    @property
    def problems(self) -> list[tuple[str, str]]:
        """What is wrong and has no field of its own, or came with an import."""
        own = {"name"} | {
            f"terms[{card.number}].{path}"
            for card in self.cards
            for path in ("weight", *(f"parameters.{f.parameter.name}" for f in card.fields))
        }
        return [
            (path.removeprefix("import:"), text)
            for path, text in self.work.problems.items()
            if path not in own
        ]

    @property
    def weights_json(self) -> str:
        return json.dumps([t.weight for t in self.reward.terms] if self.reward else [])

    @property
    def json_text(self) -> str:
        return self.reward.to_json() if self.reward else ""

    @property
    def python_text(self) -> str:
        return to_python(self.reward) if self.reward else ""


def plain(reference: Any) -> str:
    """A reference as it is easiest to edit: a lone text as such, the rest as JSON."""
    if isinstance(reference, dict):
        for name in ("captions", "answers", "answer", "count"):
            value = reference.get(name)
            if name in reference and len(reference) == 1:
                if isinstance(value, list) and len(value) == 1:
                    return str(value[0])
                return str(value) if isinstance(value, str | int) else json.dumps(value)
        kept = {k: v for k, v in reference.items() if k != "size"}
        return json.dumps(kept)
    return "" if reference is None else str(reference)
