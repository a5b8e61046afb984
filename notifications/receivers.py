"""What the rooms below do that is told. Each writes its event in the transaction it is called in."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.db.models.signals import post_save
from django.urls import reverse
from django.utils import timezone

from inference.tuning.models import TuningRun
from leaderboard import selectors as leaderboard
from leaderboard.models import Benchmark, Entry, LogLine, Submission
from leaderboard.signals import entries_added
from notifications import kinds, services
from pricing.models import Allotment, CreditApplication
from pricing.signals import credits_decided, usage_alerted
from research.models import ChallengePage, PaperPage, ReleasePage

FRESH = timedelta(days=7)
"""A page that came earlier is no news, though it is saved again."""
_PAGES = {
    PaperPage: (kinds.PAPER, "New paper"), ReleasePage: (kinds.RELEASE, "New release"),
    ChallengePage: (kinds.CHALLENGE, "New challenge"),
}  # fmt: skip
_ENDED = {
    TuningRun.Status.SUCCEEDED: "has finished", TuningRun.Status.FAILED: "has failed",
    TuningRun.Status.CANCELLED: "was cancelled",
}  # fmt: skip


def connect() -> None:
    """Listen."""
    for model in _PAGES:
        post_save.connect(_page, sender=model, dispatch_uid=f"notifications-{model.__name__}")
    entries_added.connect(_entries, dispatch_uid="notifications-entries")
    post_save.connect(_log_line, sender=LogLine, dispatch_uid="notifications-log")
    post_save.connect(_run, sender=TuningRun, dispatch_uid="notifications-runs")
    credits_decided.connect(_credits, dispatch_uid="notifications-credits")
    usage_alerted.connect(_usage, dispatch_uid="notifications-usage")


def _page(sender: Any, instance: Any, **_: Any) -> None:
    """Each page is told of once, when it is first published; whether it is restricted is asked when it
    is spread and at each delivery."""
    if not instance.live or instance.alias_of_id is not None:
        return
    came = instance.first_published_at or instance.last_published_at
    if came is not None and came < timezone.now() - FRESH:
        return
    kind, what = _PAGES[sender]
    services.event_make(
        kind, title=f"{what}: {instance.title}", text=str(instance.summary), path=urlsplit(instance.url or "").path,
        subject=str(instance.pk), once=f"{kind.name}:{instance.translation_key}",
        data={"page": str(instance.translation_key)},
    )  # fmt: skip


def _entries(sender: Any, benchmark: Benchmark, entries: list[Entry], **_: Any) -> None:
    if not benchmark.is_shown:
        return
    for entry in entries:
        news = leaderboard.entry_news(entry, timezone.now())
        services.event_make(
            kinds.ENTRY_ADDED, title=news.title, text=news.text, path=news.path, subject=str(entry.submission_id), benchmark=benchmark,
            once=f"{kinds.ENTRY_ADDED.name}:{entry.submission_id}", data=_of_board(benchmark, entry.submission_id),
        )  # fmt: skip


def _of_board(benchmark: Benchmark, submission_id: Any) -> dict[str, str]:
    return {"leaderboard": benchmark.slug, "submission": str(submission_id)}


def _log_line(sender: Any, instance: LogLine, created: bool, **_: Any) -> None:  # noqa: FBT001  # Django's signature
    if not created or instance.submission_id is None:
        return
    if instance.action == "new first":
        _top_changed(instance)
    elif instance.action == "scored":
        _scored(instance)


def _top_changed(line: LogLine) -> None:
    benchmark = line.benchmark
    if not benchmark.is_shown:
        return
    services.event_make(
        kinds.TOP_CHANGED, title=f"{benchmark.title}: {line.text}", path=benchmark.get_absolute_url(),
        subject=str(line.submission_id), benchmark=benchmark,
        data=_of_board(benchmark, line.submission_id),
    )  # fmt: skip


def _scored(line: LogLine) -> None:
    found = (
        Submission.objects.filter(pk=str(line.submission_id))
        .select_related("split", "team")
        .first()
    )
    if found is None or found.team.is_ours:
        return
    services.event_make(
        kinds.SUBMISSION_SCORED, title=f"Scored: {found.model_name} on {line.benchmark.title}",
        path=reverse("submission", args=[found.pk]), subject=str(found.pk), benchmark=line.benchmark,
        team=found.team, once=f"{kinds.SUBMISSION_SCORED.name}:{found.pk}",
        data=_of_board(line.benchmark, found.pk),
    )  # fmt: skip


def _run(
    sender: Any, instance: TuningRun, update_fields: frozenset[str] | None = None, **_: Any
) -> None:
    if not instance.is_finished or (update_fields is not None and "status" not in update_fields):
        return
    owner = instance.finetune.owner
    if owner is None:
        return
    services.event_make(
        kinds.FINETUNE_FINISHED, title=f"Your fine-tune {instance.title} {_ENDED[TuningRun.Status(instance.status)]}",
        path=reverse("playground:tuning_run", args=[instance.pk]), subject=str(instance.pk), owner=owner,
        once=f"{kinds.FINETUNE_FINISHED.name}:{instance.pk}",
        data={"run": str(instance.pk), "finetune": instance.finetune_id, "status": instance.status},
    )  # fmt: skip


def _credits(sender: Any, application: CreditApplication, **_: Any) -> None:
    services.event_make(
        kinds.CREDITS_DECIDED,
        title=f"Your application for credits is {application.get_state_display().lower()}",
        path=reverse("credits_application", args=[application.pk]), subject=str(application.pk),
        owner=application.user, data={"application": application.pk, "state": application.state},
    )  # fmt: skip


def _usage(sender: Any, user: Any, allotment: Allotment, percent: int, unit: str, **_: Any) -> None:
    services.event_make(
        kinds.USAGE_ALERT, title=f"{percent} % of your {unit} are used", path=reverse("usage"),
        subject=str(allotment.pk), owner=user,
        once=f"{kinds.USAGE_ALERT.name}:{allotment.pk}:{percent}",
        data={"meter": allotment.meter, "percent": percent},
    )  # fmt: skip
