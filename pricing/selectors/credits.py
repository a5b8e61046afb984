"""Applications for research credits, as their applicants see them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pricing.models import Allotment, CreditApplication, CreditEvent
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


def applications_of(user: Any) -> list[CreditApplication]:
    """One's own, the newest first."""
    return list(CreditApplication.objects.filter(user=user))


def standing(application: CreditApplication) -> Standing:
    """Its place, its window, what happened, and what was granted and used. Five queries."""
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
        list(application.allotments.all()),
    )  # fmt: skip
