"""What the scheduler does: find what a lost message left, and forget what is old."""

from datetime import timedelta

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from notifications.models import Delivery, Event, Subscription
from notifications.services.spreading import deliver_soon, events_spread

KEPT = timedelta(days=30)
"""Deliveries with what was tried; those that wait are never as old."""
EVENTS_KEPT = timedelta(days=90)
UNCONFIRMED_KEPT = timedelta(days=8)


def sweep() -> int:
    """Spread what nobody has spread, and ask for what is due; returns how much there was."""
    count, now = events_spread(), timezone.now()
    due = Delivery.objects.filter(
        subscription=OuterRef("pk"), state=Delivery.State.PENDING, due_at__lte=now
    )
    idle = Q(busy_until=None) | Q(busy_until__lt=now)
    open_ = Q(not_before=None) | Q(not_before__lte=now)
    found = Subscription.objects.filter(
        Exists(due), idle, open_, state=Subscription.State.ACTIVE
    ).values_list("pk", flat=True)[:1000]
    for subscription_id in found:
        deliver_soon(subscription_id)
        count += 1
    return count


def purge() -> None:
    """Forget deliveries after 30 days, events after 90 where none is open, subscriptions that nobody
    confirmed after eight days."""
    now = timezone.now()
    Delivery.objects.filter(ended_at__lt=now - KEPT).delete()
    open_ = Delivery.objects.filter(event=OuterRef("pk"), state=Delivery.State.PENDING)
    # What is told only once stays: its name is what keeps it from being told again.
    old = Event.objects.filter(occurred_at__lt=now - EVENTS_KEPT, once=None)
    old.filter(~Exists(open_), spread_at__isnull=False).delete()
    Subscription.objects.filter(
        state=Subscription.State.UNCONFIRMED, created_at__lt=now - UNCONFIRMED_KEPT
    ).delete()
