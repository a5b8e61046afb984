"""A benchmark's table: filtered, sorted, a page at a time; entries, and two of them side by side."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import numpy as np
from django.core.files.storage import default_storage, storages
from django.core.paginator import Page, Paginator
from django.db.models import Count, F, FloatField, OuterRef, QuerySet, Subquery
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Coalesce

from inference.errors import NotFound
from leaderboard import vault
from leaderboard.metrics.statistics import bootstrap, paired_p, sums_by_unit
from leaderboard.models import Benchmark, BenchmarkItem, Entry, LogLine, Score, Split, Submission
from leaderboard.scoring import Metric, read_predictions

PAGE = 25
SIZES = {"1b": (0, 10**9), "4b": (10**9, 4 * 10**9), "more": (4 * 10**9, 10**15)}
SIZE_NAMES = {"1b": "up to 1B", "4b": "1B to 4B", "more": "over 4B"}
PROVENANCES = ("verified", "reproduced")


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
    def interval(self) -> str:
        """ "61.2 to 67.9"; empty where there is none."""
        return f"{self._text(self.low)} to {self._text(self.high)}" if self.low is not None else ""

    def _text(self, value: float | None) -> str:
        if value is None or not math.isfinite(value):
            return "—"
        return f"{value * self.metric.scale:.{self.metric.digits}f}"


def cells(entry: Entry, metrics: Iterable[Metric]) -> list[Cell]:
    """A row's figures in the columns' order."""
    return [_cell(metric, entry.figures.get(metric.slug)) for metric in metrics]


def _cell(metric: Metric, figure: Mapping[str, float] | None) -> Cell:
    return Cell(metric, **figure) if figure else Cell(metric, None)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    entry: Entry
    cells: list[Cell]

    @property
    def ranks(self) -> str:
        """ "2", or "1–3" where paired tests leave it open."""
        entry = self.entry
        if entry.rank is None:
            return "—"
        if entry.rank_first is None or entry.rank_first == entry.rank_last:
            return str(entry.rank)
        return f"{entry.rank_first}–{entry.rank_last}"

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
    page: int = 1

    @classmethod
    def read(cls, query: Mapping[str, str], benchmark: Benchmark) -> "Asked":
        columns = {m.slug for m in benchmark.rules.metrics} | {
            "parameters",
            "latency_ms",
            "scored_at",
        }
        number = query.get("page", "1")
        sort = query.get("sort", "")
        up = sort.startswith("up-")
        sort = sort.removeprefix("up-")
        return cls(
            sort=sort if sort in columns else "", down=not up, q=query.get("q", "")[:60].strip(),
            size=query["size"] if query.get("size") in SIZES else "",
            precision=query.get("precision", "")[:20],
            provenance=query["provenance"] if query.get("provenance") in PROVENANCES else "",
            is_open=query.get("open") == "1",
            page=int(number) if number.isascii() and number.isdigit() and len(number) < 6 else 1,
        )  # fmt: skip

    def address(self, **changed: Any) -> str:
        """The query string of the same wish with something changed."""
        fields = {
            "sort": ("" if self.down else "up-") + self.sort if self.sort else "",
            "q": self.q, "size": self.size, "precision": self.precision,
            "provenance": self.provenance, "open": "1" if self.is_open else "", "page": "",
        } | changed  # fmt: skip
        return "?" + urlencode({k: v for k, v in fields.items() if v})

    @property
    def is_filtered(self) -> bool:
        return bool(self.q or self.size or self.precision or self.provenance or self.is_open)


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

    @cached_property
    def rows(self) -> list[Row]:
        return [Row(entry, cells(entry, self.metrics)) for entry in self.page.object_list]

    @property
    def columns(self) -> list[Column]:
        return [
            *(_column(self, m.slug, m.name, m.definition, "↑" if m.higher_is_better else "↓") for m in self.metrics),
            _column(self, "parameters", "Size", "Parameters", ""),
            _column(self, "latency_ms", "Latency", "Median of one item, as run here", "↓"),
        ]  # fmt: skip

    @property
    def previous(self) -> str:
        return self.asked.address(page=self.page.previous_page_number())

    @property
    def next(self) -> str:
        return self.asked.address(page=self.page.next_page_number())

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
        asked.address(sort=("" if turn else "up-") + slug),
    )  # fmt: skip


def benchmark_get(slug: str) -> Benchmark:
    """
    Raises:
        NotFound: there is none of that name.
    """
    found = Benchmark.objects.filter(slug=slug, is_shown=True).first()
    if found is None:
        raise NotFound("There is no such leaderboard.", code="leaderboard_not_found")
    return found


def split_get(benchmark: Benchmark, name: str = "") -> Split:
    """A split by its name; by default the one that ranks.

    Raises:
        NotFound: there is none.
    """
    splits = Split.objects.filter(benchmark=benchmark).select_related("benchmark")
    found = splits.filter(name=name).first() if name else splits.filter(ranks=True).first()
    if found is None:
        names = ", ".join(splits.values_list("name", flat=True))
        raise NotFound(
            "There is no such split.", code="split_not_found", hint=f"There is: {names}."
        )
    return found


def _ordered(entries: QuerySet[Entry], benchmark: Benchmark, asked: Asked) -> QuerySet[Entry]:
    if not asked.sort:
        return entries.order_by(F("score").desc(nulls_last=True), "scored_at", "pk")
    if asked.sort in ("parameters", "latency_ms", "scored_at"):
        by: Any = F(asked.sort)
    else:
        text = KeyTextTransform("value", KeyTextTransform(asked.sort, "figures"))
        by = Cast(text, FloatField())
    order = by.desc(nulls_last=True) if asked.down else by.asc(nulls_last=True)
    return entries.order_by(order, "scored_at", "pk")


def _filtered(entries: QuerySet[Entry], asked: Asked) -> QuerySet[Entry]:
    if asked.q:
        entries = entries.filter(model_name__icontains=asked.q) | entries.filter(
            team_name__icontains=asked.q
        )
    if asked.size:
        low, high = SIZES[asked.size]
        entries = entries.filter(parameters__gt=low, parameters__lte=high)
    if asked.precision:
        entries = entries.filter(precision=asked.precision)
    if asked.provenance:
        entries = entries.filter(provenance=asked.provenance)
    return entries.filter(open_weights=True) if asked.is_open else entries


def table(benchmark: Benchmark, asked: Asked) -> Table:
    """A page of a table: three queries."""
    entries = Entry.objects.filter(benchmark=benchmark)
    page = Paginator(_ordered(_filtered(entries, asked), benchmark, asked), PAGE).get_page(
        asked.page
    )
    precisions = entries.exclude(precision="").order_by("precision")
    told = precisions.values_list("precision", flat=True).distinct()
    held = {slug for entry in page.object_list for slug in entry.figures}
    metrics = [m for m in _metrics(benchmark) if not held or m.slug in held]
    return Table(benchmark, asked, page, metrics or _metrics(benchmark)[:1], list(told))


def _metrics(benchmark: Benchmark) -> list[Metric]:
    """Columns: the metric that ranks first."""
    first = benchmark.ranked_by
    return [first, *(m for m in benchmark.rules.metrics if m != first)]


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
        return _cell(metric, self.first.figures.get(metric.slug))


def boards() -> list[Board]:
    """Every leaderboard with who leads it; two queries."""
    best = Entry.objects.filter(benchmark=OuterRef("pk"), score__isnull=False)
    rows = list(
        Benchmark.objects.filter(is_shown=True).annotate(
            entry_count=Count("entries"), first_id=Subquery(best.values("pk")[:1])
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
    rows = Entry.objects.filter(benchmark=benchmark, score__isnull=False)[:most]
    return [
        {
            "name": r.model_name, "precision": r.precision, "team": r.team_name, "ours": r.is_ours,
            "value": r.figures[metric.slug]["value"] * metric.scale,
            "low": r.figures[metric.slug]["low"] * metric.scale,
            "high": r.figures[metric.slug]["high"] * metric.scale,
            "parameters": r.parameters, "latency_ms": r.latency_ms,
            "on": r.scored_at.date().isoformat(),
        }
        for r in rows
    ]  # fmt: skip


CSV_HEAD = ["rank", "rank_first", "rank_last", "model", "team", "provenance", "parameters", "precision",
            "open_weights", "latency_ms", "hardware", "scored_at", "link"]  # fmt: skip


def export_rows(benchmark: Benchmark) -> list[dict[str, Any]]:
    """Every row of a table, for CSV and JSON; figures are given in the metrics' units."""
    metrics = _metrics(benchmark)
    rows = []
    for e in Entry.objects.filter(benchmark=benchmark):
        row: dict[str, Any] = {
            "rank": e.rank, "rank_first": e.rank_first, "rank_last": e.rank_last,
            "model": e.model_name, "team": e.team_name, "provenance": e.provenance,
            "parameters": e.parameters, "precision": e.precision, "open_weights": e.open_weights,
            "latency_ms": e.latency_ms, "hardware": e.hardware,
            "scored_at": e.scored_at.isoformat(), "link": e.link,
        }  # fmt: skip
        for metric in metrics:
            figure = e.figures.get(metric.slug) or {}
            for part, name in (("value", ""), ("low", "_low"), ("high", "_high")):
                value = figure.get(part)
                row[metric.slug + name] = None if value is None else round(value * metric.scale, 6)
        rows.append(row)
    return rows


def export_csv(benchmark: Benchmark) -> str:
    """The same as CSV; a cell that a spreadsheet would take for a formula is quoted."""
    rows, buffer = export_rows(benchmark), io.StringIO()
    heads = [
        *CSV_HEAD,
        *(f"{m.slug}{p}" for m in _metrics(benchmark) for p in ("", "_low", "_high")),
    ]
    writer = csv.DictWriter(buffer, heads)
    writer.writeheader()
    for row in rows:
        writer.writerow({k: _plain(v) for k, v in row.items()})
    return buffer.getvalue()


def _plain(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value


@dataclass(frozen=True, slots=True)
class Detail:
    """One submission with all its scores."""

    submission: Submission
    scores: list[tuple[Cell, Score]]
    categories: list[str]
    earlier: list[Submission]
    is_own: bool = False

    @property
    def by_category(self) -> list[tuple[str, list[str]]]:
        """Category → the figure of each metric that has one."""
        return [
            (name, [_share(cell, score.by_category.get(name)) for cell, score in self.scores])
            for name in self.categories
        ]


def _share(cell: Cell, value: float | None) -> str:
    return Cell(cell.metric, value).text


def _detail(submission: Submission, *, is_own: bool) -> Detail:
    benchmark = submission.split.benchmark
    order = {m.slug: (n, m) for n, m in enumerate(_metrics(benchmark))}
    scores = sorted(
        submission.scores.filter(is_current=True, metric__in=order).defer("per_item"),
        key=lambda s: order[s.metric][0],
    )
    pairs = [(Cell(order[s.metric][1], s.value, s.low, s.high), s) for s in scores]
    names = sorted({name for s in scores for name in s.by_category})
    earlier = Submission.objects.filter(
        team=submission.team_id, split=submission.split_id, status=Submission.Status.SCORED,
        model_name=submission.model_name,
    ).exclude(pk=submission.pk)  # fmt: skip
    if not is_own:
        earlier = earlier.filter(is_public=True)
    return Detail(submission, pairs, names, list(earlier.order_by("-created_at")[:10]), is_own)


def entry_detail(submission_id: UUID) -> Detail:
    """A public, scored submission.

    Raises:
        NotFound: there is none, or it is not public.
    """
    found = _public().filter(pk=submission_id).first()
    if found is None:
        raise NotFound("There is no such entry.", code="entry_not_found")
    return _detail(found, is_own=False)


def _public() -> QuerySet[Submission]:
    return Submission.objects.select_related("split__benchmark", "team").filter(
        status=Submission.Status.SCORED, is_public=True, split__benchmark__is_shown=True
    )


def own_detail(submission: Submission) -> Detail:
    """A submission for its own team, in whatever state."""
    return _detail(submission, is_own=True)


def submissions_of(user: Any, most: int = 50) -> list[Submission]:
    """What a user's teams submitted, newest first."""
    return list(
        Submission.objects.filter(team__members=user)
        .select_related("split__benchmark", "team")
        .distinct()[:most]
    )


def waiting_before(submission: Submission) -> int:
    """How many wait or are scored before it."""
    return Submission.objects.filter(
        status__in=(Submission.Status.QUEUED, Submission.Status.RUNNING),
        created_at__lt=submission.created_at,
    ).count()


@dataclass(frozen=True, slots=True)
class ItemView:
    """One item of a public split with what was predicted and what is right."""

    item: BenchmarkItem
    image_url: str
    predicted: list[str]
    scores: list[float | None]
    reference: str


def image_url(item: BenchmarkItem) -> str:
    """Where an item's image is."""
    return item.image if item.image.startswith("http") else default_storage.url(item.image)


def _said(value: Any) -> str:
    """A prediction or reference in words."""
    if isinstance(value, list):
        return f"{len(value)} {'place' if len(value) == 1 else 'places'}"
    return str(value)


def _right(reference: Mapping[str, Any]) -> str:
    if "captions" in reference:
        return " / ".join(reference["captions"])
    if "answers" in reference:
        return ", ".join(dict.fromkeys(reference["answers"]))
    if "objects" in reference:
        return _said(reference["objects"])
    return str(reference.get("count", reference.get("answer", "")))


def items_page(
    submissions: Sequence[Submission], number: int, size: int = 20
) -> tuple[Page, list[ItemView]]:
    """Items of a public split with what submissions to it said about each.

    Raises:
        NotFound: the split is hidden: what was predicted for it is not shown item by item.
    """
    split = submissions[0].split
    if not split.is_public:
        raise NotFound("Items of a hidden split are not shown.", code="split_hidden")
    page = Paginator(split.items.order_by("position"), size).get_page(number)
    references = {item.key: item.reference for item in vault.unseal(split)}
    said = [_predictions(s, set(references)) for s in submissions]
    scores = [_item_scores(s) for s in submissions]
    views = [
        ItemView(
            item, image_url(item), [_said(p.get(item.key, "—")) for p in said],
            [float(s[item.position]) if s is not None else None for s in scores],
            _right(references[item.key]),
        )
        for item in page.object_list
    ]  # fmt: skip
    return page, views


def _predictions(submission: Submission, keys: set[str]) -> dict[str, Any]:
    with storages["private"].open(submission.file) as file:
        return read_predictions(submission.split.benchmark.rules, keys, file).predictions


def _item_scores(submission: Submission) -> np.ndarray | None:
    slug = submission.split.benchmark.ranked_by.slug
    score = submission.scores.filter(is_current=True, metric=slug).first()
    return score.items() if score else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two entries on the same split, by the metric that ranks."""

    left: Detail
    right: Detail
    difference: Cell | None = None
    p: float | None = None
    wins: int = 0
    losses: int = 0
    ties: int = 0
    items: list[ItemView] = field(default_factory=list)
    page: Page | None = None

    @property
    def verdict(self) -> str:
        """What may be said of it."""
        if self.p is None:
            return "These two cannot be compared item by item."
        sure = "The difference is significant" if self.p <= 0.05 else "The difference is within the noise"  # fmt: skip
        p = "p < 0.001" if self.p < 0.001 else f"p = {self.p:.3f}"
        return f"{sure} ({p}, paired randomisation test over images)."


def compare(left_id: UUID, right_id: UUID, number: int = 1) -> Comparison:
    """Two public entries: the difference with its interval, a paired test, and item by item where the
    split is public. Of a hidden split only totals are given.

    Raises:
        NotFound: one of them is not there, or they are of different splits.
    """
    left, right = entry_detail(left_id), entry_detail(right_id)
    split = left.submission.split
    if right.submission.split_id != split.pk:
        raise NotFound("These entries are of different splits.", code="not_comparable")
    a, b = _item_scores(left.submission), _item_scores(right.submission)
    if a is None or b is None or a.shape != b.shape:
        return Comparison(left, right)
    images = list(split.items.order_by("position").values_list("image", flat=True))
    units = np.unique(images, return_inverse=True)[1]
    sums = [sums_by_unit(x[:, None], units)[:, 0] for x in (a, b)]
    spread = bootstrap(a - b, clusters=units)
    page, views = (
        items_page([left.submission, right.submission], number) if split.is_public else (None, [])
    )
    return Comparison(
        left, right, Cell(split.benchmark.ranked_by, spread.value, spread.low, spread.high),
        paired_p(*sums), int((a > b).sum()), int((a < b).sum()), int((a == b).sum()), views, page,
    )  # fmt: skip


def log_lines(benchmark: Benchmark, number: int = 1) -> Page:
    """The public log, newest first."""
    lines = LogLine.objects.filter(benchmark=benchmark, is_public=True)
    return Paginator(lines, 50).get_page(number)
