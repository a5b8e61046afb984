"""Applications for research credits, as their applicants see them."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any

from django.db.models import Sum

from pricing import errors
from pricing.models import (
    Allotment,
    CreditApplication,
    CreditAttachment,
    CreditEvent,
    CreditOutcome,
    Meter,
)
from pricing.selectors.shown import settings_now

WAITING = (CreditApplication.State.SUBMITTED, CreditApplication.State.HALF)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an application stands."""

    application: CreditApplication
    place: int | None
    """In the queue, from 1; None where it does not wait."""
    waiting: int
    until: datetime | None
    """When it is to be decided."""
    events: list[CreditEvent]
    grants: list[Allotment]
    attachments: list[CreditAttachment]
    outcomes: list[CreditOutcome]


def applications_of(user: Any) -> list[CreditApplication]:
    """One's own, the newest first."""
    return list(CreditApplication.objects.filter(user=user))


def standing(application: CreditApplication) -> Standing:
    """Its place, its window, what happened, and what was granted and used, and what came of it. Seven queries."""
    queue = CreditApplication.objects.filter(state__in=WAITING)
    place = None
    if application.state in WAITING and application.submitted_at:
        place = 1 + queue.filter(submitted_at__lt=application.submitted_at).count()
    waits = application.state in (*WAITING, CreditApplication.State.ASKED)
    internal = (CreditEvent.Kind.NOTE, CreditEvent.Kind.HALF)
    return Standing(
        application, place, queue.count() if place else 0,
        application.review_until(settings_now().review_days) if waits else None,
        list(application.events.exclude(kind__in=internal)),
        list(application.allotments.all()), list(application.attachments.all()),
        list(application.outcomes.all()),
    )  # fmt: skip


def attachment_of(application: CreditApplication, attachment_id: int) -> CreditAttachment:
    """
    Raises:
        NotFound: it has no such file.
    """
    found = application.attachments.filter(pk=attachment_id).first()
    if found is None:
        raise errors.ATTACHMENT_NOT_FOUND()
    return found


def attachment_get(attachment_id: int) -> CreditAttachment:
    """Of an application that was sent in: what is still a draft is its applicant's alone.

    Raises:
        NotFound: there is none.
    """
    sent = CreditAttachment.objects.exclude(application__state=CreditApplication.State.DRAFT)
    found = sent.filter(pk=attachment_id).first()
    if found is None:
        raise errors.ATTACHMENT_NOT_FOUND()
    return found


@dataclass(frozen=True, slots=True)
class ReportYear:
    """What was decided in one year, and what has come of it since."""

    year: int
    decided: int
    approved: int
    median_days: float | None
    """From being sent in to the decision."""
    granted_images: int
    used_images: int
    granted_minutes: int
    used_minutes: int
    reported: int
    """Approved applications with a report or an outcome."""
    outcomes: dict[str, int]
    """How many of each kind."""

    @property
    def used_percent(self) -> float | None:
        """Of the images that were granted."""
        return 100 * self.used_images / self.granted_images if self.granted_images else None


@dataclass(frozen=True, slots=True)
class CreditsReport:
    """What research credits came to: by year of the decision, and every outcome."""

    years: list[ReportYear]
    outcomes: list[CreditOutcome]
    waiting: int


def credits_report() -> CreditsReport:
    """All of it, for the lab. Five queries."""
    state = CreditApplication.State
    decided = CreditApplication.objects.filter(
        state__in=(state.APPROVED, state.DECLINED), decided_at__isnull=False
    )
    rows = list(decided.only("state", "submitted_at", "decided_at", "reported_at", "report"))
    outcomes = list(CreditOutcome.objects.select_related("application").order_by("-created_at"))
    pots: dict[tuple[int, str], tuple[int, int]] = {
        (pk, meter): (granted, used)
        for pk, meter, granted, used in Allotment.objects.filter(application__in=rows)
        .values_list("application", "meter")
        .annotate(granted_sum=Sum("granted"), used_sum=Sum("used"))
        .order_by()
    }
    years = sorted({row.decided_at.year for row in rows if row.decided_at}, reverse=True)
    waiting = CreditApplication.objects.filter(state__in=WAITING).count()
    return CreditsReport([_year(year, rows, outcomes, pots) for year in years], outcomes, waiting)


def _year(
    year: int, rows: list[CreditApplication], outcomes: list[CreditOutcome],
    pots: dict[tuple[int, str], tuple[int, int]],
) -> ReportYear:  # fmt: skip
    mine = [row for row in rows if row.decided_at and row.decided_at.year == year]
    approved = [row for row in mine if row.state == CreditApplication.State.APPROVED]
    ids = {row.pk for row in approved}
    came = [outcome for outcome in outcomes if outcome.application_id in ids]
    days = [
        (row.decided_at - row.submitted_at).total_seconds() / 86400
        for row in mine
        if row.decided_at and row.submitted_at
    ]

    def total(meter: str, place: int) -> int:
        return sum(pots.get((pk, meter), (0, 0))[place] for pk in ids)

    with_outcome = {outcome.application_id for outcome in came}
    return ReportYear(
        year, len(mine), len(approved), median(days) if days else None,
        total(Meter.IMAGES, 0), total(Meter.IMAGES, 1),
        total(Meter.TRAINING, 0) // 60, total(Meter.TRAINING, 1) // 60,
        sum(1 for row in approved if row.reported_at or row.pk in with_outcome),
        dict(Counter(outcome.kind for outcome in came)),
    )  # fmt: skip
