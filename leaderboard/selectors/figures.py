"""Published figures, as charts."""

from dataclasses import dataclass
from itertools import groupby

from leaderboard.models import ReportedFigure


@dataclass(frozen=True, slots=True)
class Bar:
    """One model's row of a chart."""

    figure: ReportedFigure
    width: float
    """0..100, of the longest bar."""

    @property
    def text(self) -> str:
        """The value with as many digits as its source gives."""
        return f"{self.figure.value:g}"


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


def mini_benchmark() -> list[Chart]:
    """Charts of the front page; one query.

    Until entries are scored here, the figures are the published ones, each with its source.
    """
    rows = ReportedFigure.objects.filter(is_shown=True).order_by("benchmark", "pk")
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
                [Bar(f, round(100 * f.value / longest, 2)) for f in figures],
                "reported", first.caveat, list(sources),
            )
        )  # fmt: skip
    return sorted(charts, key=lambda c: -len(c.bars))
