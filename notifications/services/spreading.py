"""From what happened to who is told: a delivery for each subscription that wants it."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from inference.messages import send_on_commit
from notifications.kinds import KINDS
from notifications.models import Delivery, Event, Subscription

AT_ONCE = 200
"""Events that one message spreads at most; the sweeper asks for the rest."""
DIGEST_HOUR = 7
"""UTC. Weekly ones come on Mondays."""
State = Subscription.State


def events_spread() -> int:
    """Make the deliveries of all events that have none yet, oldest first; returns of how many events.

    Many workers may do so at once: each event is one's alone while its row is locked.
    """
    count = 0
    while count < AT_ONCE:
        with transaction.atomic():
            event = (
                Event.objects.select_for_update(skip_locked=True, of=("self",))
                .filter(spread_at=None).order_by("pk").first()
            )  # fmt: skip
            if event is None:
                return count
            _spread(event)
            count += 1
    return count


def _spread(event: Event) -> None:
    now = timezone.now()
    wanted = list(subscribers(event).only("pk", "target", "frequency", "state"))
    rows = [_delivery(event, one, now) for one in wanted]
    Delivery.objects.bulk_create(rows, batch_size=1000, ignore_conflicts=True)
    Event.objects.filter(pk=event.pk).update(spread_at=now)
    for one, row in zip(wanted, rows, strict=True):
        if row.state == Delivery.State.PENDING and row.due_at <= now:
            deliver_soon(one.pk)


def _delivery(event: Event, subscription: Subscription, now: datetime) -> Delivery:
    made = Delivery(event=event, subscription=subscription, due_at=due_of(subscription, now))
    if subscription.state == State.DISABLED:
        made.state, made.ended_at = Delivery.State.SKIPPED, now
        made.note = "The subscription was disabled."
    return made


def deliver_soon(subscription_id: UUID) -> None:
    """Ask a worker to deliver what is due, once this is committed. A lost message is the sweeper's."""
    from notifications.tasks import deliver

    send_on_commit(deliver, str(subscription_id), lost=lambda _: None)


def subscribers(event: Event) -> QuerySet[Subscription]:
    """Those that chose an event's kind, may have it, and were there when it happened. One that is
    disabled is among them: what it missed is listed."""
    found = Subscription.objects.filter(state__in=(State.ACTIVE, State.DISABLED))
    if event.only_for_id is not None:
        return found.filter(pk=event.only_for_id)
    found = found.filter(
        Q(user=None) | Q(user__is_active=True), kinds__contains=[event.kind],
        confirmed_at__lte=event.occurred_at,
    )  # fmt: skip
    kind = KINDS.get(event.kind)
    if kind is None:  # of a version that is no more
        return found.none()
    if not kind.is_public:
        found = found.filter(Q(user__isnull=False) & _named(event))
    elif not kind.still_holds(event):
        return found.none()
    if kind.has_board:
        found = found.filter(Q(boards=None) | Q(boards=event.benchmark_id)).distinct()
    return found


def _named(event: Event) -> Q:
    """Whom a private event is for; of one that names nobody, nobody."""
    if event.team_id is not None:
        return Q(user__teams=event.team_id)
    return Q(user=event.owner_id) if event.owner_id is not None else Q(pk=None)


def still_may(delivery: Delivery) -> str:
    """Why a delivery is not sent after all; empty where it may be. Asked at each try: meanwhile somebody
    left a team, or a page was taken back."""
    event, subscription = delivery.event, delivery.subscription
    user = subscription.user
    if user is not None and not user.is_active:
        return "The account is not active."
    if event.only_for_id is not None:
        return ""
    kind = KINDS.get(event.kind)
    if kind is None:
        return "There is no such event any more."
    if kind.is_public:
        return "" if kind.still_holds(event) else "It is not public any more."
    mine = Subscription.objects.filter(_named(event), pk=subscription.pk, user__isnull=False)
    return "" if mine.exists() else "It is not for this account any more."


def due_of(subscription: Subscription, now: datetime) -> datetime:
    """When a delivery is sent: at once, or with the next digest."""
    frequency = subscription.frequency
    if not subscription.is_mail or frequency == Subscription.Frequency.AT_ONCE:
        return now
    due = now.replace(hour=DIGEST_HOUR, minute=0, second=0, microsecond=0)
    if frequency == Subscription.Frequency.WEEKLY:
        due -= timedelta(days=due.weekday())
        return due if due > now else due + timedelta(days=7)
    return due if due > now else due + timedelta(days=1)
