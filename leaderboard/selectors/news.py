"""What is new on all leaderboards, for feeds."""

from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from leaderboard.models import Entry, LogLine, Submission, entries_shown, told


@dataclass(frozen=True, slots=True)
class News:
    """An entry that came, or one that leads since."""

    key: str
    """The same for ever."""
    title: str
    text: str
    path: str
    at: datetime


def news(count: int) -> list[News]:
    """The newest so many, newest first; two queries."""
    found = [*_entries(count), *_leaders(count)]
    return sorted(found, key=lambda one: one.at, reverse=True)[:count]


def entry_news(row: Entry, at: datetime) -> News:
    """That an entry came, in the words of feeds and webhooks."""
    rank = f", rank {row.rank}" if row.rank else ""
    return News(
        f"entry/{row.submission_id}", f"{row.benchmark.title}: {row.model_name} is on the leaderboard",
        f"By {row.team_name}{rank}.", reverse("entry", args=[row.submission_id]), at,
    )  # fmt: skip


def _entries(count: int) -> list[News]:
    rows = (
        entries_shown().filter(benchmark__is_shown=True, submission__finished_at__isnull=False)
        .select_related("benchmark", "submission").order_by("-submission__finished_at")[:count]
    )  # fmt: skip
    return [
        entry_news(row, row.submission.finished_at)
        for row in rows
        if row.submission is not None and row.submission.finished_at is not None
    ]


def _leaders(count: int) -> list[News]:
    """Of submissions that may still be seen."""
    public = Submission.objects.filter(told(), is_public=True, status=Submission.Status.SCORED)
    lines = (
        LogLine.objects.filter(
            action="new first", is_public=True, benchmark__is_shown=True,
            submission_id__in=public.values("pk"),
        )
        .select_related("benchmark").order_by("-created_at")[:count]
    )  # fmt: skip
    return [
        News(
            f"leader/{line.submission_id}/{line.created_at.isoformat()}",
            f"{line.benchmark.title}: {line.text}", "It is first now.", line.benchmark.get_absolute_url(), line.created_at,
        )
        for line in lines
    ]  # fmt: skip
