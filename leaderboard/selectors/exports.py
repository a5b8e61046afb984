"""A whole table, or all there is in public, for other programs."""

from collections.abc import Iterator
from typing import Any

from inference.spreadsheets import csv_text
from leaderboard import disclosure
from leaderboard.models import (
    Benchmark,
    LogLine,
    ReportedFigure,
    Score,
    Submission,
    entries_shown,
    told,
)
from leaderboard.scoring import Metric
from leaderboard.selectors.tables import entry_cost
from pricing import selectors as pricing

_PLAIN = ("rank", "rank_first", "rank_last", "model", "team", "provenance", "parameters", "precision",
          "open_weights", "latency_ms", "hardware", "output_tokens", "image_cost_dollars", "scored_at", "link", "source", "caveat", "expired")  # fmt: skip


def _figures(benchmark: Benchmark) -> list[tuple[str, Metric, str]]:
    """Columns of figures: name, metric, and which part of its interval."""
    parts = {"": "value", "_low": "low", "_high": "high"}
    return [(m.slug + end, m, part) for m in benchmark.metrics for end, part in parts.items()]


def _heads(benchmark: Benchmark) -> list[str]:
    return [*_PLAIN, *(name for name, _, _ in _figures(benchmark))]


def export_rows(benchmark: Benchmark) -> list[dict[str, Any]]:
    """Every row of a table, for CSV and JSON; figures are given in the metrics' units."""
    rows: list[dict[str, Any]] = []
    machines = pricing.machine_prices()
    for e in entries_shown().filter(benchmark=benchmark):
        row: dict[str, Any] = {
            "rank": e.rank, "rank_first": e.rank_first, "rank_last": e.rank_last,
            "model": e.model_name, "team": e.team_name, "provenance": e.provenance,
            "parameters": e.parameters, "precision": e.precision, "open_weights": e.open_weights,
            "latency_ms": e.latency_ms, "hardware": e.hardware,
            "output_tokens": e.output_tokens, "image_cost_dollars": entry_cost(e, machines),
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
    heads = _heads(benchmark)
    return csv_text(heads, ([row[name] for name in heads] for row in export_rows(benchmark)))


def export_all() -> Iterator[dict[str, Any]]:
    """All that the leaderboards know and may say, a record at a time: closing this site must not lose
    it. Benchmarks with their splits, public submissions with every score they ever had, tables, what
    others report, the log. No references, no predictions, nothing private."""
    for benchmark in Benchmark.objects.filter(is_shown=True).prefetch_related("splits"):
        yield {
            "kind": "benchmark", "slug": benchmark.slug, "title": benchmark.title,
            "summary": benchmark.summary, "task": benchmark.task, "licence": benchmark.licence,
            "source": benchmark.source, "ranked_by": benchmark.ranked_by.slug,
            "metrics": {m.slug: m.definition for m in benchmark.metrics},
            "splits": [{"name": s.name, "is_public": s.is_public, "ranks": s.ranks,
                        "items": s.item_count, "data_hash": s.data_hash} for s in benchmark.splits.all()],
        }  # fmt: skip
        public = Submission.objects.filter(
            told(), split__benchmark=benchmark, status=Submission.Status.SCORED, is_public=True
        ).select_related("team", "split")
        for s in public.order_by("created_at").iterator(500):
            yield {
                "kind": "submission", "benchmark": benchmark.slug, "id": str(s.pk),
                "split": s.split.name, "team": s.team.name, "model": s.model_name,
                "provenance": s.provenance, "parameters": s.parameters, "precision": s.precision,
                "revision": s.revision, "link": s.link, "note": s.note,
                "open_weights": s.open_weights, "latency_ms": s.latency_ms,
                "hardware": s.hardware, "submitted_at": s.created_at.isoformat(),
            }  # fmt: skip
        scores = Score.objects.filter(submission__in=public).defer(*Score.LARGE)
        for score in scores.select_related("submission__split").iterator(500):
            yield {
                "kind": "score", "submission": str(score.submission_id), "metric": score.metric,
                "value": score.value, "low": score.low, "high": score.high,
                "signature": score.signature, "by_category": disclosure.slices(score.submission.split, score),
                "is_current": score.is_current, "scored_at": score.created_at.isoformat(),
            }  # fmt: skip
        yield from (
            {"kind": "row", "benchmark": benchmark.slug, **r} for r in export_rows(benchmark)
        )
        for line in LogLine.objects.filter(benchmark=benchmark, is_public=True).order_by("pk"):
            yield {
                "kind": "log", "benchmark": benchmark.slug, "at": line.created_at.isoformat(),
                "actor": line.actor, "action": line.action, "text": line.text,
            }  # fmt: skip
    for figure in ReportedFigure.objects.filter(is_shown=True):
        yield {
            "kind": "reported", "benchmark": figure.benchmark, "metric": figure.metric,
            "model": figure.model, "value": figure.value, "unit": figure.unit,
            "source": figure.source, "source_url": figure.source_url,
            "reported_on": figure.reported_on.isoformat(), "caveat": figure.caveat,
        }  # fmt: skip
