"""The rows of a table, made anew whenever something they stand for changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Exists, Q, QuerySet
from django.utils import timezone

from inference import adapters, stream
from inference import selectors as inference
from inference.adapters import Adapter
from leaderboard.metrics.statistics import ranks
from leaderboard.models import (
    Benchmark,
    Entry,
    LogLine,
    ReportedFigure,
    Score,
    Split,
    Submission,
    TableState,
    sealing,
    told,
)
from leaderboard.scoring import INTERVALS, interval_method
from leaderboard.services import stale
from leaderboard.services.pairs import pair_ranges
from leaderboard.services.stale import Row
from leaderboard.signals import entries_added, top_entry_changed

TESTED = 40
"""Entries from the top between which every pair is tested: 780 tests."""
BY_RELEASE = " by release"
"""What follows a benchmark's name where figures of one model's releases are reported."""

TUNED_MODEL_GONE = "the tuned model was deleted"

Scored = tuple[Submission, dict[str, Score]]


@dataclass(frozen=True, slots=True)
class Models:
    """What there is now of this site's models that submissions name."""

    revisions: dict[str, str]
    """Of variants, by slug."""
    adapters: Mapping[str, Adapter]
    """By `finetune@step`."""


def _models(scored: Sequence[Scored]) -> Models:
    """Of some submissions; two queries."""
    return Models(inference.revisions(), adapters.known(s.adapter for s, _ in scored))


def entries_make(*, benchmark: Benchmark) -> int:
    """Make a benchmark's rows from its submissions, by the rule of who is shown, and from what others
    report of the same metric. Done at once, by who has the time: a request notes `tables_stale`.

    Returns:
        How many there are.
    """
    rows = stale.make(
        stale.state_of(benchmark=benchmark), lambda: _computed(benchmark.pk), _written
    )
    return len(rows)


def _computed(benchmark_pk: int) -> list[Entry]:
    """The rows that are ranked, best first, and after them those that are not."""
    benchmark = Benchmark.objects.get(pk=benchmark_pk)
    shown = chosen(benchmark, scored_of(benchmark), benchmark.entry_rule)
    models = _models(shown)
    rows = [_row(benchmark, submission, scores, models) for submission, scores in shown]
    if rows:
        rank(benchmark.splits.get(ranks=True), rows, shown)
    return [*rows, *_reported(benchmark)]


def _written(state: TableState, rows: list[Entry]) -> None:
    assert state.benchmark is not None
    before = state.leader if state.made_at else _first(state.benchmark)
    own = Entry.objects.filter(benchmark=state.benchmark)
    known = set(own.values_list("submission_id", flat=True))
    own.delete()
    Entry.objects.bulk_create(rows, batch_size=1000)
    new = [row for row in rows if row.submission_id and row.submission_id not in known]
    if new:
        entries_added.send(Benchmark, benchmark=state.benchmark, entries=new)
    first = rows[0] if rows and rows[0].submission_id else None
    state.leader = first.submission_id if first else None
    if first and first.submission_id != before:
        _announce(state.benchmark, first)
    transaction.on_commit(partial(stale.table_changed, state))


def entries_check() -> list[Benchmark]:
    """Note those tables whose marks no longer hold: a scorer or our weights have changed.

    Returns:
        Their benchmarks.
    """
    changed = []
    for benchmark in Benchmark.objects.filter(is_shown=True):
        marks = dict(
            Entry.objects.filter(benchmark=benchmark, submission__isnull=False).values_list(
                "submission_id", "expired"
            )
        )
        marked = [(s, scores) for s, scores in scored_of(benchmark) if s.pk in marks]
        models = _models(marked)
        now = {s.pk: _expired(benchmark, s, scores, models) for s, scores in marked}
        if now != marks:
            changed.append(benchmark)
    stale.tables_stale(benchmarks=[benchmark.pk for benchmark in changed])
    return changed


def entries_seal() -> int:
    """Take the rows away of splits that a challenge has shut since they were made: readers do not see
    them, and pages that are kept must not go on to show them. Returns of how many tables."""
    shut = Entry.objects.filter(Exists(sealing("submission__split"))).order_by()
    found = set(shut.values_list("benchmark", flat=True))
    stale.tables_stale(benchmarks=found, gone=Q(Exists(sealing())))
    return len(found)


def variant_changed(*, slug: str) -> None:
    """A variant has other weights: what was measured with the old ones has expired."""
    rows = Entry.objects.filter(submission__variant_slug=slug)
    stale.tables_stale(benchmarks=rows.values_list("benchmark", flat=True))


def reported_changed(*, name: str) -> None:
    """A figure that others report of something has changed."""
    name = name.removesuffix(BY_RELEASE)
    of = Benchmark.objects.filter(Q(title=name) | Q(slug=name))
    stale.tables_stale(benchmarks=of.values_list("pk", flat=True))


def standings(benchmark: Benchmark, scored: list[Scored]) -> dict[Any, int]:
    """The rank of each submission that would be shown, by its id."""
    shown = chosen(benchmark, scored, benchmark.entry_rule)
    found = ranks([score_of(benchmark, scores) for _, scores in shown])
    return {s.pk: rank for (s, _), rank in zip(shown, found, strict=True)}


def _first(benchmark: Benchmark) -> Any:
    rows = Entry.objects.filter(benchmark=benchmark, submission__isnull=False)
    return rows.values_list("submission_id", flat=True).first()


def scored_of(benchmark: Benchmark) -> list[Scored]:
    """Public submissions to the split that ranks, oldest first, with their current scores."""
    split = {"split__benchmark": benchmark, "split__ranks": True}
    # Also of a challenge that is over, while another keeps the split shut: its rows come back after.
    return scored(Submission.objects.filter(told(), ~Exists(sealing()), is_public=True, **split))


def scored(submissions: QuerySet[Submission]) -> list[Scored]:
    """Those of some submissions that are scored, with what they scored, oldest first; two queries."""
    return with_scores(submissions.filter(status=Submission.Status.SCORED))


def with_scores(found: QuerySet[Submission]) -> list[Scored]:
    """The same of submissions in whatever state: scores stay of what is withdrawn."""
    scores: dict[Any, dict[str, Score]] = {}
    rows = Score.objects.filter(submission__in=found, is_current=True).defer(*Score.LARGE)
    for row in rows:
        scores.setdefault(row.submission_id, {})[row.metric] = row
    return [
        (s, scores[s.pk])
        for s in found.select_related("team").order_by("created_at")
        if s.pk in scores
    ]


def score_of(benchmark: Benchmark, scores: dict[str, Score]) -> float | None:
    """The ranking figure, turned so that more is better."""
    metric = benchmark.ranked_by
    row = scores.get(metric.slug)
    if row is None:
        return None
    return row.value if metric.higher_is_better else -row.value


def figures_of(scores: dict[str, Score]) -> dict[str, dict[str, float]]:
    """Scores as a row keeps them."""
    return {m: {"value": s.value, "low": s.low, "high": s.high} for m, s in scores.items()}


def chosen(benchmark: Benchmark, scored: Sequence[Scored], rule: str) -> list[Scored]:
    """By the rule: all, or one for each team and, with ours, for each variant."""
    if rule == Benchmark.EntryRule.ALL:
        return list(scored)
    kept: dict[Any, Scored] = {}
    for submission, scores in scored:  # oldest first
        ours = submission.team.is_ours
        key = (submission.team_id, submission.site_model.partition("@")[0] if ours else "")
        before = kept.get(key)
        latest = ours or rule == Benchmark.EntryRule.LATEST
        if (
            before is None
            or latest
            or _better(score_of(benchmark, scores), score_of(benchmark, before[1]))
        ):
            kept[key] = (submission, scores)
    return list(kept.values())


def _better(a: float | None, b: float | None) -> bool:
    return a is not None and (b is None or a > b)


def _expired(
    benchmark: Benchmark,
    submission: Submission,
    scores: dict[str, Score],
    models: Models,
) -> str:
    """Why figures are of the past: another scorer's, or of weights that were replaced."""
    ours = submission.provenance == Submission.Provenance.REPRODUCED
    if ours and submission.adapter and submission.adapter not in models.adapters:
        return TUNED_MODEL_GONE
    if (
        ours
        and models.revisions.get(submission.variant_slug, submission.revision)
        != submission.revision
    ):
        return "the weights have changed since"
    metrics = {m.slug: m for m in benchmark.metrics}
    old = [metrics[slug].name for slug, score in scores.items()
           if slug in metrics and score.version != metrics[slug].version]  # fmt: skip
    if old:
        return f"scored by an older version of {', '.join(old)}"[:120]
    methods = {interval_method(score.signature) for score in scores.values()}
    return "its intervals are of an older method" if methods - {INTERVALS, ""} else ""


def _reported(benchmark: Benchmark) -> list[Entry]:
    """What others published under this benchmark's name and one of its metrics': shown beside our
    own figures, never ranked with them."""
    metrics = {m.name.lower(): m for m in benchmark.metrics}
    rows: dict[tuple[str, str], Entry] = {}
    names = [name + end for name in (benchmark.title, benchmark.slug) for end in ("", BY_RELEASE)]
    found = ReportedFigure.objects.filter(benchmark__in=names, is_shown=True)
    for figure in found.order_by("reported_on"):
        metric = metrics.get(figure.metric.lower())
        if metric is None:
            continue
        entry = rows.setdefault((figure.model, figure.source_url), Entry(
            benchmark=benchmark, provenance="reported", model_name=figure.model,
            team_name=figure.source[:60], is_ours=figure.is_ours, link=figure.source_url,
            source=figure.source, caveat=figure.caveat, figures={},
            scored_at=datetime.combine(figure.reported_on, time(), UTC),
        ))  # fmt: skip
        value = figure.value / metric.scale
        entry.figures[metric.slug] = {"value": value}
        if metric == benchmark.ranked_by:
            entry.score = value if metric.higher_is_better else -value
    return list(rows.values())


def _row(
    benchmark: Benchmark,
    submission: Submission,
    scores: dict[str, Score],
    models: Models,
) -> Entry:
    return Entry(
        expired=_expired(benchmark, submission, scores, models),
        benchmark=benchmark, submission=submission, provenance=submission.provenance,
        model_name=submission.model_name, team_name=submission.team.name,
        is_ours=submission.team.is_ours, parameters=submission.parameters,
        precision=submission.precision, open_weights=submission.open_weights,
        latency_ms=submission.latency_ms, hardware=submission.hardware, link=submission.link,
        device=submission.device, worker_ms=submission.worker_ms, output_tokens=submission.output_tokens,
        figures=figures_of(scores), score=score_of(benchmark, scores), scored_at=submission.created_at,
    )  # fmt: skip


def rank(split: Split, rows: list[Row], scored: Sequence[Scored]) -> None:
    """Put rows in order, with ranks, and for the first of them the ranges that paired tests leave
    open."""
    rows.sort(key=lambda r: (r.score is None, -(r.score or 0.0), r.scored_at))
    for row, place in zip(rows, ranks([r.score for r in rows]), strict=True):
        row.rank = place if row.score is not None else None
    metric = split.benchmark.ranked_by
    first = [r for r in rows[:TESTED] if r.score is not None]
    if len(first) < 2:
        return
    scores: dict[Any, dict[str, Score]] = {submission.pk: of for submission, of in scored}
    wanted = [scores[r.submission_id][metric.slug].pk for r in first]
    ranges = pair_ranges(split, wanted, higher_is_better=metric.higher_is_better)
    for row, found in zip(first, ranges, strict=True):
        if found:
            row.rank_first, row.rank_last = found.first, found.last


def _announce(benchmark: Benchmark, entry: Entry) -> None:
    """Note that somebody else leads; who is looking, and other rooms, are told when it is so."""
    LogLine.objects.create(
        benchmark=benchmark, submission_id=entry.submission_id, actor="table", action="new first",
        text=f"{entry.model_name} leads", created_at=timezone.now(),
    )  # fmt: skip
    news = {"model": entry.model_name}
    transaction.on_commit(
        partial(stream.publish_if_reachable, stale.board_stream(benchmark), "top", news)
    )
    transaction.on_commit(partial(top_entry_changed.send, Entry, entry=entry))
