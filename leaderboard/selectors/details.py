"""Submissions one by one, and a benchmark's log."""

import statistics
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import redis
from django.core.paginator import Page, Paginator
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Sum
from django.utils import timezone

from inference import adapters
from inference import selectors as inference
from leaderboard import disclosure, errors
from leaderboard.models import (
    Benchmark,
    LogLine,
    QuotaLine,
    Score,
    Submission,
    Team,
    entries_shown,
    sealed_by,
    told,
)
from leaderboard.roles import Act
from leaderboard.selectors.tables import Cell, entry_cost
from leaderboard.services.quota import day_of
from leaderboard.services.teams import teams_joined
from pricing import selectors as pricing
from pricing.costs import image_cents


@dataclass(frozen=True, slots=True)
class Detail:
    """One submission with all its scores."""

    submission: Submission
    scores: list[tuple[Cell, Score]]
    earlier: list[Submission]
    public: Submission | None = None
    """The same model on the public split, where its own is hidden."""
    is_sealed: bool = False
    """Nothing of it is told before a challenge's final ranking: its own, or another on its split."""
    tuned_model: str = ""
    """`base/finetune@step` of the tuned model that predicted, where the reader may know it."""

    @property
    def cost(self) -> str:
        """What an image cost where we ran it, in cents; empty where that is not known."""
        machines = pricing.machine_prices()
        dollars = entry_cost(self.submission, machines)
        return "" if dollars is None else image_cents(dollars)

    @property
    def by_category(self) -> list[tuple[str, list[str]]]:
        """Category → the figure of each metric, a dash where it has none."""
        split = self.submission.split
        told = [(cell.metric, disclosure.slices(split, score)) for cell, score in self.scores]
        names = sorted({name for _, slices in told for name in slices})
        return [
            (name, [Cell(metric, slices.get(name)).text for metric, slices in told])
            for name in names
        ]


def _detail(submission: Submission, *, is_own: bool, reader: Any = None) -> Detail:
    benchmark = submission.split.benchmark
    phase = submission.phase
    is_sealed = submission.is_sealed if phase else sealed_by(submission.split) is not None
    order = {m.slug: (n, m) for n, m in enumerate(benchmark.metrics)}
    scores = sorted(
        submission.scores.filter(is_current=True, metric__in=[] if is_sealed else order).defer(
            *Score.LARGE
        ),
        key=lambda s: order[s.metric][0],
    )
    pairs = [(Cell(order[s.metric][1], s.value, s.low, s.high), s) for s in scores]
    earlier = Submission.objects.filter(
        team=submission.team_id, split=submission.split_id, status=Submission.Status.SCORED,
        model_name=submission.model_name,
    ).exclude(pk=submission.pk)  # fmt: skip
    if is_own:
        mine = list(earlier.order_by("-created_at")[:10])
        return Detail(
            submission, pairs, mine, is_sealed=is_sealed, tuned_model=_tuned(submission, reader)
        )
    shown = list(earlier.filter(told(), is_public=True).order_by("-created_at")[:10])
    return Detail(
        submission, pairs, shown, _on_public(submission), tuned_model=_tuned(submission, reader)
    )


def _tuned(submission: Submission, reader: Any) -> str:
    """The tuned model's name, for its owner, and for everybody while it is published."""
    if not submission.adapter:
        return ""
    adapter = adapters.known([submission.adapter]).get(submission.adapter)
    is_owner = adapter and reader is not None and adapter.owner_id == reader.pk
    return submission.site_model if adapter and (adapter.is_public or is_owner) else ""


def _on_public(submission: Submission) -> Submission | None:
    if submission.split.is_public:
        return None
    return (
        _public(submission.split.benchmark)
        .filter(
            team=submission.team_id, model_name=submission.model_name,
            precision=submission.precision, revision=submission.revision,
        )
        .order_by("-created_at")
        .first()
    )  # fmt: skip


def _public(benchmark: Benchmark) -> QuerySet[Submission]:
    """What everybody may see of the public split."""
    return Submission.objects.filter(
        told(), split__benchmark=benchmark, split__is_public=True, status=Submission.Status.SCORED,
        is_public=True,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class PublicRow:
    """A submission to the public split with its figure."""

    submission: Submission
    cell: Cell


def public_page(benchmark: Benchmark, number: str | int = 1) -> tuple[Page, list[PublicRow]]:
    """Submissions to the public split, best first: the latest of each team's model; four queries."""
    metric = benchmark.ranked_by
    newer = _public(benchmark).filter(
        team=OuterRef("submission__team"), model_name=OuterRef("submission__model_name"),
        precision=OuterRef("submission__precision"), created_at__gt=OuterRef("submission__created_at"),
    )  # fmt: skip
    scores = Score.objects.filter(
        ~Exists(newer), submission__in=_public(benchmark), metric=metric.slug, is_current=True
    ).defer(*Score.LARGE)
    order = F("value").desc() if metric.higher_is_better else F("value").asc()
    page = Paginator(
        scores.select_related("submission__team").order_by(order, "submission__created_at"), 25
    ).get_page(number)
    return page, [
        PublicRow(s.submission, Cell(metric, s.value, s.low, s.high)) for s in page.object_list
    ]


def comparable(submission: Submission, most: int = 50) -> list[Submission]:
    """Others of the same split to compare a submission with: of one that ranks those on the table."""
    if submission.split.ranks:
        table = (
            entries_shown()
            .filter(benchmark=submission.split.benchmark_id, submission__isnull=False)
            .exclude(submission=submission.pk)
        )
        rows = table.select_related("submission__team")[:most]
        return [entry.submission for entry in rows if entry.submission]
    _, rows_public = public_page(submission.split.benchmark)
    return [r.submission for r in rows_public if r.submission.pk != submission.pk][:most]


def entry_detail(submission_id: UUID) -> Detail:
    """A public, scored submission.

    Raises:
        NotFound: there is none, or it is not public.
    """
    found = (
        Submission.objects.select_related("split__benchmark", "team", "entry", "phase__challenge")
        .filter(
            told(), pk=submission_id, status=Submission.Status.SCORED, is_public=True,
            split__benchmark__is_shown=True,
        )
        .first()
    )  # fmt: skip
    if found is None:
        raise errors.ENTRY_NOT_FOUND()
    return _detail(found, is_own=False)


def own_detail(submission: Submission, reader: Any = None) -> Detail:
    """A submission for its own team, in whatever state, as one of them (`reader`) may see it."""
    return _detail(submission, is_own=True, reader=reader)


def submissions_of(user: Any, most: int = 50) -> list[Submission]:
    """What a user's teams submitted, newest first."""
    return list(
        Submission.objects.filter(
            team__in=teams_joined(user, Act.SEE_WORK).order_by()
        ).select_related("split__benchmark", "team")[:most]
    )


@dataclass(frozen=True, slots=True)
class TeamUse:
    """What one member used of one split for a team."""

    who: str
    split: str
    benchmark: str
    submissions: int
    today: int


def use_of_team(team: Team) -> list[TeamUse]:
    """Submissions that count, by member and split; who has left is named so. One query."""
    today = day_of(timezone.now())
    rows = (
        QuotaLine.objects.filter(team=team)
        .order_by("split__benchmark__title", "split__name", "user")
        .values("user__email", "user__username", "split__name", "split__benchmark__title")
        .annotate(used=Sum("amount"), today=Sum("amount", filter=Q(day=today)))
    )
    return [
        TeamUse(
            row["user__email"] or row["user__username"] or "somebody who is gone", row["split__name"],
            row["split__benchmark__title"], row["used"], row["today"] or 0,
        )
        for row in rows
        if row["used"]
    ]  # fmt: skip


def teams_of(user: Any, act: Act = Act.SEE) -> list[Team]:
    """A user's teams in which they may do something, the one they submit for by default first; none for a
    visitor."""
    return list(teams_joined(user, act)) if user.is_authenticated else []


@dataclass(frozen=True, slots=True)
class Queue:
    """Where a submission stands that is not scored yet."""

    before: int
    """How many are scored, or wait, before it."""
    usual: float | None
    """Seconds that scoring took lately, the median of this split's; None when none was scored."""
    heard_at: datetime | None
    """When a worker last gave a sign of life; None when none did in the last half minute."""

    @property
    def seconds(self) -> int | None:
        """About how long it will take; None when nothing is known, or nobody works."""
        if self.usual is None or self.heard_at is None:
            return None
        return max(1, round((self.before + 1) * self.usual))


def queue_of(submission: Submission) -> Queue | None:
    """None once it is scored."""
    if submission.is_finished:
        return None
    before = Submission.objects.filter(
        status__in=Submission.UNFINISHED,
        created_at__lt=submission.created_at,
    ).count()
    lately = Submission.objects.filter(
        split=submission.split_id, status=Submission.Status.SCORED, started_at__isnull=False
    ).order_by("-finished_at")[:20]
    took = [
        (finished - started).total_seconds()
        for started, finished in lately.values_list("started_at", "finished_at")
        if started and finished
    ]
    try:
        heard = max((w.seen_at for w in inference.workers_seen()), default=None)
    except redis.exceptions.RedisError:
        heard = None
    return Queue(before, round(statistics.median(took), 1) if took else None, heard)


def log_lines(benchmark: Benchmark, number: str | int = 1) -> Page:
    """The public log, newest first."""
    lines = LogLine.objects.filter(benchmark=benchmark, is_public=True)
    return Paginator(lines, 50).get_page(number)
