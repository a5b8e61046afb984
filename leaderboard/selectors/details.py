"""Submissions one by one, and a benchmark's log."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core.paginator import Page, Paginator

from inference.errors import NotFound
from leaderboard.models import Benchmark, LogLine, Score, Submission, Team
from leaderboard.selectors.tables import Cell


@dataclass(frozen=True, slots=True)
class Detail:
    """One submission with all its scores."""

    submission: Submission
    scores: list[tuple[Cell, Score]]
    earlier: list[Submission]

    @property
    def by_category(self) -> list[tuple[str, list[str]]]:
        """Category → the figure of each metric, a dash where it has none."""
        names = sorted({name for _, score in self.scores for name in score.by_category})
        return [
            (
                name,
                [
                    Cell(cell.metric, score.by_category.get(name)).text
                    for cell, score in self.scores
                ],
            )
            for name in names
        ]


def _detail(submission: Submission, *, is_own: bool) -> Detail:
    benchmark = submission.split.benchmark
    order = {m.slug: (n, m) for n, m in enumerate(benchmark.metrics)}
    scores = sorted(
        submission.scores.filter(is_current=True, metric__in=order).defer("per_item"),
        key=lambda s: order[s.metric][0],
    )
    pairs = [(Cell(order[s.metric][1], s.value, s.low, s.high), s) for s in scores]
    earlier = Submission.objects.filter(
        team=submission.team_id, split=submission.split_id, status=Submission.Status.SCORED,
        model_name=submission.model_name,
    ).exclude(pk=submission.pk)  # fmt: skip
    if not is_own:
        earlier = earlier.filter(is_public=True)
    return Detail(submission, pairs, list(earlier.order_by("-created_at")[:10]))


def entry_detail(submission_id: UUID) -> Detail:
    """A public, scored submission.

    Raises:
        NotFound: there is none, or it is not public.
    """
    found = (
        Submission.objects.select_related("split__benchmark", "team")
        .filter(
            pk=submission_id, status=Submission.Status.SCORED, is_public=True,
            split__benchmark__is_shown=True,
        )
        .first()
    )  # fmt: skip
    if found is None:
        raise NotFound("There is no such entry.", code="entry_not_found")
    return _detail(found, is_own=False)


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


def teams_of(user: Any) -> list[Team]:
    """A user's teams, the one they submit for by default first; none for a visitor."""
    return list(user.teams.order_by("pk")) if user.is_authenticated else []


def waiting_before(submission: Submission) -> int:
    """How many wait or are scored before it."""
    return Submission.objects.filter(
        status__in=(Submission.Status.QUEUED, Submission.Status.RUNNING),
        created_at__lt=submission.created_at,
    ).count()


def log_lines(benchmark: Benchmark, number: str | int = 1) -> Page:
    """The public log, newest first."""
    lines = LogLine.objects.filter(benchmark=benchmark, is_public=True)
    return Paginator(lines, 50).get_page(number)
