"""Lines of the ledger for Stripe's meter, by way of an outbox.

A line is put into the outbox once (it is its key) and is sent with its own id as identifier, by which Stripe counts
it once however often it is sent within a day. What was on its way for longer, and whose answer was lost, is not
sent again: an admin looks it up.
"""

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from pricing import stripe_api
from pricing.models import (
    Allotment,
    BillingCustomer,
    LedgerEntry,
    Meter,
    MeterEvent,
    Subscription,
)

logger = logging.getLogger(__name__)
State = MeterEvent.State
UNIQUE_FOR = timedelta(hours=23)
"""Stripe knows identifiers for at least 24 hours."""
OLDEST = timedelta(days=34)
"""Stripe takes what happened within the last 35 days."""
_FIRST_WAIT = timedelta(seconds=30)
_LONGEST_WAIT = timedelta(hours=2)
_AT_ONCE = 200


def meter_events_collect() -> int:
    """Put what subscribers used, and pay for one by one, into the outbox; how many lines.

    Images of research credits are free, and so left out. Lines are found by what is not in the outbox, not by
    where the last look ended: of two that are written at once, the later may be seen first.
    """
    if not stripe_api.is_on():
        return 0
    count = 0
    metered = Subscription.objects.filter(
        is_metered=True, status__in=Subscription.GIVING, customer__is_live=stripe_api.is_live()
    ).select_related("customer")
    for one in metered:
        since = max(one.started_at, timezone.now() - OLDEST)
        lines = LedgerEntry.objects.filter(
            account_id=one.customer.account_id, created_at__gte=since, kind=LedgerEntry.Kind.SETTLE,
            allotment__meter=Meter.IMAGES, allotment__kind=Allotment.Kind.PLAN, meter_event=None,
        ).order_by("pk").values_list("pk", "amount", "created_at")[:10_000]  # fmt: skip
        made = [_waiting(one.customer, *line) for line in lines]
        MeterEvent.objects.bulk_create(made, ignore_conflicts=True)
        count += len(made)
    return count


def _waiting(customer: BillingCustomer, entry: int, amount: int, at: datetime) -> MeterEvent:
    return MeterEvent(entry_id=entry, customer=customer, amount=amount, happened_at=at, next_at=at)


def meter_events_send() -> int:
    """Send what waits; how many Stripe has counted. It stops at the first that Stripe does not answer."""
    if not stripe_api.is_on():
        return 0
    count = 0
    for _ in range(_AT_ONCE):
        with transaction.atomic():
            event = (
                MeterEvent.objects.select_for_update(skip_locked=True, of=("self",))
                .filter(state=State.WAITING, next_at__lte=timezone.now())
                .select_related("customer").order_by("next_at", "pk").first()
            )  # fmt: skip
            if event is None:
                break
            answered = _send(event)
            event.save()
        count += event.state == State.SENT
        if not answered:
            break
    return count


def _send(event: MeterEvent) -> bool:
    """Send one, and note what came of it; whether Stripe answered."""
    import stripe

    now = timezone.now()
    if event.first_at is not None and now - event.first_at > UNIQUE_FOR:
        event.state, event.next_at = State.UNCLEAR, None
        logger.error("Whether Stripe counted %s is not known any more", event.identifier)
        return True
    event.attempts += 1
    # Only what may have been counted is dated: who was turned away can come back any day.
    first, event.first_at = event.first_at, event.first_at or now
    try:
        stripe_api.client().v1.billing.meter_events.create(
            {
                "event_name": settings.STRIPE_METER_EVENT, "identifier": event.identifier,
                "timestamp": int(event.happened_at.timestamp()),
                "payload": {"stripe_customer_id": event.customer.stripe_id, "value": str(event.amount)},
            },
            {"idempotency_key": f"{event.customer.stripe_id}-{event.identifier}"},
        )  # fmt: skip
    except stripe.InvalidRequestError as error:
        if "already exists with identifier" in str(error):
            _noted(event, State.SENT, "it was counted before")
        else:
            _noted(event, State.REFUSED, str(error))
            logger.error("Stripe refused %s: %s", event.identifier, error)
        return True
    except stripe.StripeError as error:
        if error.http_status is not None and error.http_status < 500:
            event.first_at = first
        event.note = str(error)[:300]
        event.next_at = now + min(_FIRST_WAIT * 2 ** min(event.attempts - 1, 12), _LONGEST_WAIT)
        return False
    _noted(event, State.SENT, "")
    return True


def _noted(event: MeterEvent, state: str, note: str) -> None:
    event.state, event.note, event.next_at = state, note[:300], None
    if state == State.SENT:
        event.sent_at = timezone.now()


def meter_event_again(*, event: MeterEvent) -> None:
    """Let what Stripe refused be sent again, as an admin asks once its cause is gone. What may have been counted
    is not: the admin says so by this only after having looked it up."""
    MeterEvent.objects.filter(pk=event.pk, state__in=(State.REFUSED, State.UNCLEAR)).update(
        state=State.WAITING, first_at=None, next_at=timezone.now(), attempts=0
    )
