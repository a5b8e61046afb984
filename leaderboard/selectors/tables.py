"""A benchmark's table: filtered, sorted, a page at a time; the list of all tables."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from django.contrib.postgres.aggregates import ArrayAgg
from django.core.paginator import Page, Paginator
from django.db.models import Count, Exists, F, FloatField, OuterRef, Q, QuerySet, Subquery
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Coalesce

from leaderboard import errors
from leaderboard.models import (
    Benchmark,
    Challenge,
    Entry,
    Split,
    Submission,
    entries_shown,
    sealed_by,
    sealing,
)
from leaderboard.scoring import Metric
from pricing import selectors as pricing
from pricing.costs import image_cents
from pricing.models import MachinePrice

PAGE = 25
SIZES = {"1b": (0, 10**9), "4b": (10**9, 4 * 10**9), "more": (4 * 10**9, 10**15)}
SIZE_NAMES = {"1b": "up to 1B", "4b": "1B to 4B", "more": "over 4B"}
PROVENANCES = ("verified", "reproduced", "reported")
_PLAIN = frozenset(("parameters", "latency_ms", "output_tokens", "scored_at"))
"""Columns that are fields, beside those that are metrics."""
COST = "cost"
"""The column of what an image cost, which is computed from a field and the machines' prices."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure of a row, as it is shown."""

    metric: Metric
    value: float | None
    low: float | None = None
    high: float | None = None

    @property
    def text(self) -> str:
        return self._text(self.value)

    @property
    def scaled(self) -> float | None:
        """In the metric's unit."""
        return None if self.value is None else self.value * self.metric.scale

    @property
    def interval(self) -> str:
        """ "61.2 to 67.9"; empty where there is none."""
        return f"{self._text(self.low)} to {self._text(self.high)}" if self.low is not None else ""

    def _text(self, value: float | None) -> str:
        if value is None or not math.isfinite(value):
            return "—"
        return f"{value * self.metric.scale:.{self.metric.digits}f}"


def cell(metric: Metric, figure: Mapping[str, float] | None) -> Cell:
    """An entry's figure; empty where it has none."""
    return Cell(metric, **figure) if figure else Cell(metric, None)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    entry: Entry
    cells: list[Cell]
    dollars: float | None = None
    """What one image cost where we ran it, at today's price of its machine."""

    @property
    def cost(self) -> str:
        """In cents; empty when unknown."""
        return "" if self.dollars is None else image_cents(self.dollars)

    @property
    def size(self) -> str:
        return size_text(self.entry.parameters)


def size_text(parameters: int | None) -> str:
    """ "1.93B"; empty when unknown."""
    for limit, mark in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if parameters and parameters >= limit:
            return f"{parameters / limit:.3g}{mark}"
    return str(parameters) if parameters else ""


@dataclass(frozen=True, slots=True)
class Asked:
    """How a reader wants the table; what makes no sense is left out."""

    sort: str = ""
    down: bool = True
    q: str = ""
    size: str = ""
    precision: str = ""
    provenance: str = ""
    is_open: bool = False
    page: str = "1"
    """As it came: the paginator makes sense of it."""

    @classmethod
    def read(cls, query: Mapping[str, str], benchmark: Benchmark) -> "Asked":
        columns = {m.slug for m in benchmark.metrics} | _PLAIN | {COST}
        sort = query.get("sort", "")
        up = sort.startswith("up-")
        sort = sort.removeprefix("up-")
        return cls(
            sort=sort if sort in columns else "", down=not up, q=query.get("q", "")[:60].strip(),
            size=query["size"] if query.get("size") in SIZES else "",
            precision=query.get("precision", "")[:20],
            provenance=query["provenance"] if query.get("provenance") in PROVENANCES else "",
            is_open=query.get("open") == "1",
            page=query.get("page", "1"),
        )  # fmt: skip

    @property
    def filters(self) -> dict[str, str]:
        """The fields of the query that say which entries are wanted."""
        fields = {
            "q": self.q, "size": self.size, "precision": self.precision,
            "provenance": self.provenance, "open": "1" if self.is_open else "",
        }  # fmt: skip
        return {name: value for name, value in fields.items() if value}

    @property
    def order(self) -> dict[str, str]:
        """The field that says in which order."""
        return {"sort": ("" if self.down else "up-") + self.sort} if self.sort else {}

    @property
    def query(self) -> str:
        """All of it as the beginning of a query string."""
        return "".join(f"{urlencode({k: v})}&" for k, v in (self.order | self.filters).items())

    @property
    def is_filtered(self) -> bool:
        return bool(self.filters)


@dataclass(frozen=True, slots=True)
class Column:
    """A heading that sorts."""

    slug: str
    name: str
    title: str
    direction: str
    """ "↑" where more is better, "↓" where less is."""
    sorted: str
    """aria-sort."""
    address: str


@dataclass(frozen=True)
class Table:
    """What a page of a table shows."""

    benchmark: Benchmark
    asked: Asked
    page: Page
    metrics: Sequence[Metric]
    precisions: list[str]
    has_costs: bool
    """Whether any entry was run here since runs note tokens and the worker's time."""
    machines: Sequence[MachinePrice]

    @cached_property
    def rows(self) -> list[Row]:
        return [
            Row(
                entry,
                [cell(metric, entry.figures.get(metric.slug)) for metric in self.metrics],
                entry_cost(entry, self.machines),
            )
            for entry in self.page.object_list
        ]

    @property
    def columns(self) -> list[Column]:
        return [
            *(_column(self, m.slug, m.name, m.definition, "↑" if m.higher_is_better else "↓") for m in self.metrics),
            _column(self, "parameters", "Size", "Parameters", ""),
            _column(self, "latency_ms", "Latency", "Median of one item: measured here where we ran the model, else reported", "↓"),
            *self._columns_of_runs,
        ]  # fmt: skip

    @property
    def _columns_of_runs(self) -> list[Column]:
        if not self.has_costs:
            return []
        cost = "What one image cost where we ran the model: the worker's median time at the present price of its machine"
        return [
            _column(self, "output_tokens", "Tokens", "Median of one answer, where we ran the model", "↓"),
            _column(self, COST, "Cost", cost, "↓"),
        ]  # fmt: skip

    @property
    def sizes(self) -> dict[str, str]:
        return SIZE_NAMES


def _column(table: Table, slug: str, name: str, title: str, direction: str) -> Column:
    asked = table.asked
    current = asked.sort or table.benchmark.ranked_by.slug
    chosen = slug == current
    best_down = direction != "↓"
    down = asked.down if asked.sort else best_down
    turn = not down if chosen else best_down
    return Column(
        slug, name, title, direction,
        ("descending" if down else "ascending") if chosen else "none",
        "?" + urlencode({"sort": ("" if turn else "up-") + slug} | asked.filters),
    )  # fmt: skip


def entry_cost(row: Entry | Submission, machines: Iterable[MachinePrice]) -> float | None:
    """Dollars for one image as it was run here; None where it was not, or the machine has no price."""
    if row.worker_ms is None:
        return None
    return pricing.measured_cost(machines, row.device, row.hardware, row.worker_ms / 1000)


def benchmark_get(slug: str) -> Benchmark:
    """
    Raises:
        NotFound: there is none of that name.
    """
    shown = Benchmark.objects.filter(slug=slug, is_shown=True)
    found = shown.select_related("table_state").first() if "\x00" not in slug else None
    if found is None:
        raise errors.LEADERBOARD_NOT_FOUND()
    return found


def split_get(benchmark: Benchmark, name: str = "") -> Split:
    """A split by its name; by default the one that ranks.

    Raises:
        NotFound: there is none.
    """
    splits = Split.objects.filter(benchmark=benchmark).select_related("benchmark")
    chosen = splits.filter(name=name) if name else splits.filter(ranks=True)
    found = chosen.first() if "\x00" not in name else None
    if found is None:
        names = ", ".join(splits.values_list("name", flat=True))
        raise errors.SPLIT_NOT_FOUND(hint=f"There is: {names}.")
    return found


def splits_now(benchmark: Benchmark) -> tuple[list[Split], Challenge | None]:
    """A benchmark's splits but for those that others took the place of, and the challenge that the
    one that ranks is kept shut for; one query, two while it is."""
    there = benchmark.splits.filter(retired_at=None).annotate(is_shut=Exists(sealing("pk")))
    splits: list[Any] = list(there)
    shut = next((s for s in splits if s.ranks and s.is_shut), None)
    return splits, sealed_by(shut) if shut else None


def _ordered(
    entries: QuerySet[Entry], asked: Asked, machines: Iterable[MachinePrice]
) -> QuerySet[Entry]:
    if not asked.sort:
        return entries.order_by(F("score").desc(nulls_last=True), "scored_at", "pk")
    if asked.sort in _PLAIN:
        by: Any = F(asked.sort)
    elif asked.sort == COST:
        by = pricing.order_by_cost(machines, "worker_ms")
    else:
        text = KeyTextTransform("value", KeyTextTransform(asked.sort, "figures"))
        by = Cast(text, FloatField())
    order = by.desc(nulls_last=True) if asked.down else by.asc(nulls_last=True)
    return entries.order_by(order, "scored_at", "pk")


def _wanted(asked: Asked) -> Q:
    wanted = Q()
    if asked.q:
        wanted &= Q(model_name__icontains=asked.q) | Q(team_name__icontains=asked.q)
    if asked.size:
        low, high = SIZES[asked.size]
        wanted &= Q(parameters__gt=low, parameters__lte=high)
    if asked.precision:
        wanted &= Q(precision=asked.precision)
    if asked.provenance:
        wanted &= Q(provenance=asked.provenance)
    return wanted & Q(open_weights=True) if asked.is_open else wanted


def table(benchmark: Benchmark, asked: Asked) -> Table:
    """A page of a table: two queries, and one for the machines' prices when they have changed."""
    entries, wanted = entries_shown().filter(benchmark=benchmark), _wanted(asked)
    told = entries.aggregate(
        count=Count("pk", filter=wanted or None),
        ran=Count("worker_ms"),
        precisions=ArrayAgg("precision", distinct=True, filter=~Q(precision=""), default=[]),
    )
    machines = pricing.machine_prices()
    paginator = Paginator(_ordered(entries.filter(wanted), asked, machines), PAGE)
    paginator.count = told["count"]  # type: ignore[misc]  # known already
    page = paginator.get_page(asked.page)
    held = {slug for entry in page.object_list for slug in entry.figures}
    metrics = [m for m in benchmark.metrics if not held or m.slug in held]
    return Table(
        benchmark, asked, page, metrics or [benchmark.ranked_by], sorted(told["precisions"]),
        bool(told["ran"]), machines,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Board:
    """A benchmark on the list of all."""

    benchmark: Benchmark
    entries: int
    first: Entry | None

    @property
    def cell(self) -> Cell | None:
        if self.first is None:
            return None
        metric = self.benchmark.ranked_by
        return cell(metric, self.first.figures.get(metric.slug))


def boards(pks: Sequence[int] | None = None) -> list[Board]:
    """Every leaderboard, or those named, with who leads it; two queries."""
    best = entries_shown().filter(
        benchmark=OuterRef("pk"), score__isnull=False, submission__isnull=False
    )
    shown = Benchmark.objects.filter(is_shown=True)
    if pks is not None:
        shown = shown.filter(pk__in=pks)
    rows = list(
        shown.annotate(
            entry_count=Count("entries", filter=~Exists(sealing("entries__submission__split"))),
            first_id=Subquery(best.values("pk")[:1]),
        )
    )
    first = Entry.objects.in_bulk([row.first_id for row in rows if row.first_id])
    return [Board(row, row.entry_count, first.get(row.first_id)) for row in rows]


def board_count() -> Coalesce:
    """How many leaderboards there are, as part of another query."""
    shown = Benchmark.objects.filter(is_shown=True).order_by().values("is_shown")
    return Coalesce(Subquery(shown.annotate(n=Count("pk")).values("n")), 0)


def points(benchmark: Benchmark, most: int = 300) -> list[dict[str, Any]]:
    """The best entries as points of a chart: figure, size, latency, date."""
    metric = benchmark.ranked_by
    machines = pricing.machine_prices()
    rows = entries_shown().filter(benchmark=benchmark, score__isnull=False)[:most]
    return [
        {
            "name": r.model_name, "precision": r.precision, "team": r.team_name, "ours": r.is_ours,
            "reported": r.submission_id is None,
            **{
                part: value * metric.scale
                for part, value in r.figures[metric.slug].items()
                if value is not None
            },
            "parameters": r.parameters, "latency_ms": r.latency_ms,
            "cost": None if (dollars := entry_cost(r, machines)) is None else dollars * 100,
            "on": r.scored_at.date().isoformat(),
        }
        for r in rows
    ]  # fmt: skip
