"""A whole table, for other programs."""

import csv
import io
from typing import Any

from leaderboard.models import Benchmark, Entry
from leaderboard.scoring import Metric

_PLAIN = ("rank", "rank_first", "rank_last", "model", "team", "provenance", "parameters", "precision",
          "open_weights", "latency_ms", "hardware", "scored_at", "link", "source", "caveat", "expired")  # fmt: skip


def _figures(benchmark: Benchmark) -> list[tuple[str, Metric, str]]:
    """Columns of figures: name, metric, and which part of its interval."""
    parts = {"": "value", "_low": "low", "_high": "high"}
    return [(m.slug + end, m, part) for m in benchmark.metrics for end, part in parts.items()]


def _heads(benchmark: Benchmark) -> list[str]:
    return [*_PLAIN, *(name for name, _, _ in _figures(benchmark))]


def export_rows(benchmark: Benchmark) -> list[dict[str, Any]]:
    """Every row of a table, for CSV and JSON; figures are given in the metrics' units."""
    rows: list[dict[str, Any]] = []
    for e in Entry.objects.filter(benchmark=benchmark):
        row: dict[str, Any] = {
            "rank": e.rank, "rank_first": e.rank_first, "rank_last": e.rank_last,
            "model": e.model_name, "team": e.team_name, "provenance": e.provenance,
            "parameters": e.parameters, "precision": e.precision, "open_weights": e.open_weights,
            "latency_ms": e.latency_ms, "hardware": e.hardware,
            "scored_at": e.scored_at.isoformat(), "link": e.link, "source": e.source,
            "caveat": e.caveat, "expired": e.expired,
        }  # fmt: skip
        for name, metric, part in _figures(benchmark):
            value = e.figures.get(metric.slug, {}).get(part)
            row[name] = None if value is None else round(value * metric.scale, 6)
        rows.append(row)
    return rows


def export_csv(benchmark: Benchmark) -> str:
    """The same as CSV; a cell that a spreadsheet would take for a formula is quoted."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, _heads(benchmark))
    writer.writeheader()
    for row in export_rows(benchmark):
        writer.writerow({k: _plain(v) for k, v in row.items()})
    return buffer.getvalue()


def _plain(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value
