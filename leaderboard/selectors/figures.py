"""Figures as charts: what others publish, and what was scored here."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from inference import page_cache
from leaderboard.models import ReportedFigure, Submission, entries_shown


@dataclass(frozen=True, slots=True)
class Bar:
    """One model's row of a chart."""

    model: str
    is_ours: bool
    text: str
    """The value with as many digits as its source gives."""
    width: float
    """0..100, of the longest bar."""
    source: tuple[str, str] = ("", "")
    """Name and address of who publishes it."""


@dataclass(frozen=True, slots=True)
class Chart:
    """One benchmark with its rows, best first."""

    slug: str
    benchmark: str
    metric: str
    unit: str
    higher_is_better: bool
    bars: list[Bar]
    provenance: str
    caveat: str
    sources: list[tuple[str, str]]
    """Name and address of each."""


def mini_benchmark() -> list[Chart]:
    """Charts of the front page: published figures of several makers' models with their sources, then
    what the leaderboards hold now; two queries."""
    return page_cache.remember(
        "charts", lambda: [*side_by_side(reported())[:MOST_REPORTED], *scored()][:MOST_CHARTS]
    )


MOST_REPORTED = 4
MOST_CHARTS = 12
"""What the styles of the chooser know to show."""


def side_by_side(charts: Sequence[Chart]) -> list[Chart]:
    """Those with models of several makers."""
    return [c for c in charts if not all(bar.is_ours for bar in c.bars)]


@dataclass(frozen=True, slots=True)
class Release:
    """One benchmark's row: what each release of Moondream is said to reach, None where nothing is."""

    chart: Chart
    cells: list[Bar | None]


@dataclass(frozen=True, slots=True)
class Releases:
    """What Moondream's makers report, release by release."""

    models: list[str]
    rows: list[Release]


def by_release(charts: Sequence[Chart]) -> Releases:
    """The rest: charts of Moondream alone, as one table."""
    own = [c for c in charts if all(bar.is_ours for bar in c.bars)]
    models = sorted({bar.model for chart in own for bar in chart.bars})
    rows = []
    for chart in sorted(own, key=lambda c: c.benchmark):
        known = {bar.model: bar for bar in chart.bars}
        rows.append(Release(chart, [known.get(model) for model in models]))
    return Releases(models, rows)


def reported_names() -> list[str]:
    """What others publish figures of; one query."""
    rows = ReportedFigure.objects.filter(is_shown=True).order_by("benchmark")
    return list(rows.values_list("benchmark", flat=True).distinct())


def reported(benchmarks: Sequence[str] | None = None) -> list[Chart]:
    """What others publish, of everything or of those named, the fullest chart first; one query."""
    rows = ReportedFigure.objects.filter(is_shown=True).order_by("benchmark", "pk")
    if benchmarks is not None:
        rows = rows.filter(benchmark__in=benchmarks)
    charts = []
    for benchmark, group in groupby(rows, key=lambda f: f.benchmark):
        figures = list(group)
        first = figures[0]
        figures.sort(key=lambda f: f.value, reverse=first.higher_is_better)
        longest = max(f.value for f in figures) or 1.0
        sources = dict.fromkeys((f.source, f.source_url) for f in figures)
        charts.append(
            Chart(
                f"chart-{first.pk}", benchmark, first.metric, first.unit, first.higher_is_better,
                [
                    Bar(f.model, f.is_ours, f.text, round(100 * f.value / longest, 2),
                        (f.source, f.source_url))
                    for f in figures
                ],
                "reported", first.caveat, list(sources),
            )
        )  # fmt: skip
    return sorted(charts, key=lambda c: -len(c.bars))


def scored(most: int = 6) -> list[Chart]:
    """The first entries of each leaderboard; one query."""
    rows = (
        entries_shown()
        .filter(rank__lte=most, benchmark__is_shown=True)
        .select_related("benchmark")
        .order_by("benchmark__position", "rank", "scored_at")
    )
    charts = []
    for benchmark, group in groupby(rows, key=lambda e: e.benchmark):
        metric = benchmark.ranked_by
        entries = list(group)[:most]
        values = [e.figures[metric.slug]["value"] * metric.scale for e in entries]
        longest = max(values) or 1.0
        charts.append(
            Chart(
                f"board-{benchmark.pk}", benchmark.title, metric.name, metric.unit,
                metric.higher_is_better,
                [
                    Bar(" ".join(filter(None, (e.model_name, e.precision))), e.is_ours,
                        f"{v:.{metric.digits}f}", round(100 * v / longest, 2))
                    for e, v in zip(entries, values, strict=True)
                ],
                entries[0].provenance, "", [(benchmark.title, benchmark.get_absolute_url())],
            )
        )  # fmt: skip
    return charts


def by_model() -> dict[str, dict[str, str]]:
    """What our own runs reached on each leaderboard: title → the model's name → figure; one query."""
    rows = (
        entries_shown()
        .filter(provenance=Submission.Provenance.REPRODUCED, benchmark__is_shown=True)
        .select_related("benchmark", "submission")
    )
    found: dict[str, dict[str, str]] = {}
    for entry in rows.order_by("benchmark__position"):
        metric = entry.benchmark.ranked_by
        figure = entry.figures.get(metric.slug)
        if figure and entry.submission:
            text = f"{figure['value'] * metric.scale:.{metric.digits}f} {metric.unit}".strip()
            found.setdefault(entry.benchmark.title, {})[entry.submission.site_model] = text
    return found
