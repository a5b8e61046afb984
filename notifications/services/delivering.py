"""Deliveries are tried, tried again and given up here; one worker at a time has a subscription."""

import logging
import math
import random
import smtplib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone

from inference import site
from inference.safe_fetch import AddressRefusedError, FetchError, Reply
from notifications import kinds, mails, targets
from notifications.models import Attempt, Delivery, Subscription
from notifications.services.events import event_make
from notifications.services.spreading import deliver_soon, still_may
from pricing import mails as pricing_mails

logger = logging.getLogger(__name__)

DELAYS_S = (5, 300, 1800, 7200, 18000, 36000, 50400)
"""Between tries, each give or take a fifth: eight tries over 25 to 38 hours."""
JITTER = 0.2
LONGEST_WAIT_S = 24 * 3600
"""The most that `Retry-After` is honoured for."""
PAUSE_S = 300
"""How long a receiver that is away or overloaded is left alone by its other deliveries, at most."""
SLOW = frozenset({408, 425, 429, 500, 502, 503, 504})
GIVEN_UP_AT = 20
FAILING_FOR = timedelta(days=5)
"""A subscription that has had this many given up in a row, or one given up while nothing came through for
so long, is disabled."""
LEASE = timedelta(seconds=60)
"""Of a worker that has a subscription: longer than any try takes."""
TURN_S = 20.0
"""After so long a worker goes on with another message: the rest of this one's deliveries is asked for
again."""
State = Delivery.State


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a try went."""

    ok: bool
    status: int | None = None
    error: str = ""
    message: str = ""
    wait_s: float | None = None
    """What the receiver asked for."""
    is_gone: bool = False
    """It wants no more, for ever."""
    seconds: float = 0.0
    reply: Reply | None = field(default=None, repr=False)

    @property
    def is_away(self) -> bool:
        """Whether others should not be tried just now either."""
        return not self.ok and (self.status is None or self.status in SLOW)


def subscription_deliver(*, subscription_id: UUID) -> int:
    """Send what is due of one subscription, oldest first, until a receiver fails or the turn is over.

    Returns:
        How many tries were made.
    """
    token, began, count = uuid4(), monotonic(), 0
    try:
        while monotonic() - began < TURN_S:
            due = _taken(subscription_id, token)
            if not due:
                return count
            count += 1
            if due[0].subscription.is_mail:
                _mail(due, token)
            else:
                _post(due[0], token)
        deliver_soon(subscription_id)
        return count
    finally:
        Subscription.objects.filter(pk=subscription_id, busy_with=token).update(
            busy_until=None, busy_with=None
        )


@transaction.atomic
def _taken(subscription_id: UUID, token: UUID) -> list[Delivery]:
    """The next delivery that is due, or all of a digest, under a lease of its subscription; none where
    there is none, or another worker has it. What may not be sent any more ends here."""
    now = timezone.now()
    free = Q(busy_until=None) | Q(busy_until__lt=now) | Q(busy_with=token)
    open_ = Q(not_before=None) | Q(not_before__lte=now)
    subscription = (
        Subscription.objects.select_for_update(skip_locked=True, of=("self",))
        .filter(free, open_, pk=subscription_id, state=Subscription.State.ACTIVE)
        .select_related("user").first()
    )  # fmt: skip
    if subscription is None:
        return []
    waiting = Delivery.objects.filter(
        subscription=subscription, state=State.PENDING, due_at__lte=now
    ).order_by("due_at", "pk")
    is_digest = subscription.is_mail and subscription.frequency != Subscription.Frequency.AT_ONCE
    found: list[Delivery] = []
    for delivery in waiting.select_related("event").iterator(chunk_size=50):
        delivery.subscription = subscription
        reason = still_may(delivery)
        if reason:
            _end(delivery, State.SKIPPED, now, note=reason)
            continue
        found.append(delivery)
        if not is_digest or len(found) == 100:
            break
    if found:
        subscription.busy_until, subscription.busy_with = now + LEASE, token
        subscription.save(update_fields=["busy_until", "busy_with"])
    return found


def _post(delivery: Delivery, token: UUID) -> None:
    subscription = delivery.subscription
    request = targets.request_of(delivery)
    began = monotonic()
    try:
        outcome = _judged(subscription, targets.post(subscription, request))
    except AddressRefusedError as error:
        outcome = Outcome(
            ok=False, error="refused", message=str(error), seconds=monotonic() - began
        )
    except FetchError as error:
        outcome = Outcome(ok=False, error=error.code, message=str(error), seconds=monotonic() - began)  # fmt: skip
    sent = {"request_headers": request.headers, "request_body": request.body.decode()}
    _record([delivery], outcome, token, sent)


def _judged(subscription: Subscription, reply: Reply) -> Outcome:
    status = reply.status
    if 200 <= status < 300:
        return Outcome(ok=True, status=status, seconds=reply.seconds, reply=reply)
    gone = (
        {410} if subscription.is_signed else {404, 410}
    )  # chats answer so for a hook that was removed
    message = f"It answers with {status}."
    if 300 <= status < 400:
        message = f"It redirects ({status}); redirects are not followed."
    return Outcome(
        ok=False, status=status, message=message, wait_s=wait_of(reply.header("retry-after")),
        is_gone=status in gone, seconds=reply.seconds, reply=reply,
    )  # fmt: skip


def wait_of(text: str) -> float | None:
    """Seconds of a `Retry-After`, which may be a number or a date; None where it says nothing."""
    text = text.strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(text) - timezone.now()).total_seconds()
        except (ValueError, TypeError):
            return None
    return min(max(seconds, 0.0), LONGEST_WAIT_S) if math.isfinite(seconds) else None


def _mail(due: Sequence[Delivery], token: UUID) -> None:
    """One mail of one event, or of all that a digest holds."""
    subscription = due[0].subscription
    kind, values = _letter(subscription, due)
    headers = {
        "List-Unsubscribe": f"<{targets.unsubscribe_url(subscription)}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    began = monotonic()
    try:
        pricing_mails.send_one(kind, subscription.email, values, headers)
        outcome = Outcome(ok=True, seconds=monotonic() - began)
    except smtplib.SMTPRecipientsRefused as error:
        is_gone = any(code >= 550 for code, _ in error.recipients.values())
        outcome = Outcome(
            ok=False, error="mail", message="The mail server refuses the address.", is_gone=is_gone,
            seconds=monotonic() - began,
        )  # fmt: skip
    except (OSError, smtplib.SMTPException) as error:
        logger.warning("Mail to a subscriber could not be sent: %s", error)
        outcome = Outcome(ok=False, error="mail", message="The mail server did not take it.", seconds=monotonic() - began)  # fmt: skip
    _record(due, outcome, token, {"request_body": "\n".join(d.event.title for d in due)})


def _letter(
    subscription: Subscription, due: Sequence[Delivery]
) -> tuple[pricing_mails.MailKind, dict[str, str]]:
    values = {"site": site.host(), "leave": targets.leave_url(subscription)}
    first = due[0].event
    if subscription.frequency == Subscription.Frequency.AT_ONCE:
        return mails.NEWS, values | {
            "title": first.title,
            "text": first.text,
            "link": targets.link_of(first),
        }
    is_daily = subscription.frequency == Subscription.Frequency.DAILY
    news = "\n\n".join(f"{d.event.title}\n{targets.link_of(d.event)}" for d in due)
    period = "day" if is_daily else "week"
    return mails.DIGEST, values | {"count": str(len(due)), "news": news, "period": period}


def _record(due: Sequence[Delivery], outcome: Outcome, token: UUID, sent: dict[str, Any]) -> None:
    """Note a try, and what follows from it for the deliveries and their subscription."""
    now = timezone.now()
    with transaction.atomic():
        subscription = (
            Subscription.objects.select_for_update(of=("self",))
            .filter(pk=due[0].subscription_id, busy_with=token).select_related("user").first()
        )  # fmt: skip
        if subscription is None:  # deleted meanwhile, or taken over after a stand-still
            return
        for delivery in due:
            delivery.tries += 1
            _attempt(delivery, outcome, now, sent)
            if outcome.ok:
                _end(delivery, State.DELIVERED, now)
            else:
                _again(delivery, outcome, now)
        if outcome.ok:
            _succeeded(subscription, now)
        else:
            _failed(subscription, outcome, now, given_up=any(not d.is_open for d in due))


def _attempt(delivery: Delivery, outcome: Outcome, now: datetime, sent: dict[str, Any]) -> None:
    reply = outcome.reply
    body = reply.body.decode("utf-8", "replace").replace("\0", "�") if reply else ""
    Attempt.objects.create(
        delivery=delivery, at=now, status=outcome.status, error=outcome.error,
        message=outcome.message[:200], duration_ms=round(outcome.seconds * 1000),
        response_body=body + ("…" if reply and reply.is_cut else ""),
        response_headers=_kept_headers(reply), **sent,
    )  # fmt: skip


def _kept_headers(reply: Reply | None) -> list[list[str]]:
    """Of an answer's headers the first 30, each cut; no cookie of theirs."""
    if reply is None:
        return []
    kept = [(name, value) for name, value in reply.headers if name != "set-cookie"][:30]
    return [[name[:60], value[:200].replace("\0", "�")] for name, value in kept]


def _end(delivery: Delivery, state: str, now: datetime, *, note: str = "") -> None:
    delivery.state, delivery.ended_at, delivery.note = state, now, note[:200]
    delivery.save(update_fields=["state", "ended_at", "note", "tries"])


def _again(delivery: Delivery, outcome: Outcome, now: datetime) -> None:
    """Set the next time; give up after the last one."""
    is_test = delivery.event.kind == kinds.TEST.name
    if is_test or outcome.is_gone or delivery.tries > len(DELAYS_S):
        _end(delivery, State.FAILED, now, note=outcome.message)
        return
    delay = DELAYS_S[delivery.tries - 1] * random.uniform(1 - JITTER, 1 + JITTER)
    delivery.due_at = now + timedelta(seconds=max(delay, outcome.wait_s or 0.0))
    delivery.note = outcome.message[:200]
    delivery.save(update_fields=["due_at", "note", "tries"])


def _succeeded(subscription: Subscription, now: datetime) -> None:
    since = subscription.failing_since
    subscription.failing_since, subscription.given_up, subscription.not_before = None, 0, None
    subscription.succeeded_at = now
    subscription.save(update_fields=["failing_since", "given_up", "not_before", "succeeded_at"])
    if since is None or not subscription.is_signed:
        return
    lost = subscription.deliveries.filter(
        created_at__gte=since, state__in=(State.FAILED, State.SKIPPED)
    ).exclude(event__kind=kinds.TEST.name)
    count = lost.count()
    if count:
        event_make(
            kinds.RECOVERED, title=f"The endpoint answers again; {count} deliveries did not reach it",
            path=path_of(subscription), only_for=subscription,
            data={"failing_since": since.isoformat(), "missed": count},
        )  # fmt: skip


def path_of(subscription: Subscription) -> str:
    """The page of a subscription: its owner's, or of one without an account the general one."""
    if subscription.user_id is None:
        return reverse("notifications:subscribe")
    return reverse("webhook", args=[subscription.pk])


def _failed(subscription: Subscription, outcome: Outcome, now: datetime, *, given_up: bool) -> None:
    subscription.failing_since = subscription.failing_since or now
    if outcome.is_away or outcome.wait_s:
        pause = min(PAUSE_S, DELAYS_S[0] * 2 ** min(_failures(subscription), 6))
        wait = max(pause, outcome.wait_s or 0.0)
        subscription.not_before = now + timedelta(seconds=wait)
    subscription.save(update_fields=["failing_since", "not_before"])
    if given_up:
        Subscription.objects.filter(pk=subscription.pk).update(given_up=F("given_up") + 1)
        subscription.given_up += 1
    # Of mail it is this site's own server that does not take it.
    is_lasting = (
        given_up
        and not subscription.is_mail
        and (
            subscription.given_up >= GIVEN_UP_AT or now - subscription.failing_since >= FAILING_FOR
        )
    )
    if outcome.is_gone or is_lasting:
        why = outcome.message or "It failed for days."
        disable(subscription, "It answers that it is gone." if outcome.is_gone else why)


def _failures(subscription: Subscription) -> int:
    """Tries since the last success, of which the more there are the longer the pause is."""
    tried = Attempt.objects.filter(delivery__subscription=subscription)
    if subscription.failing_since:
        tried = tried.filter(at__gte=subscription.failing_since)
    return max(tried.count() - 1, 0)


def disable(subscription: Subscription, reason: str) -> None:
    """Send nothing more to it, and tell its owner by mail. Expects a transaction."""
    now = timezone.now()
    Subscription.objects.filter(pk=subscription.pk).update(
        state=Subscription.State.DISABLED, disabled_reason=reason[:200], not_before=None
    )
    subscription.deliveries.filter(state=State.PENDING).update(
        state=State.SKIPPED, ended_at=now, note="The subscription was disabled."
    )
    user = subscription.user
    address = user.email if user is not None else subscription.email
    if not address or subscription.is_mail:
        return
    since = subscription.failing_since or now
    values = {
        "site": site.host(), "account": user.get_username() if user else "", "name": str(subscription),
        "where": subscription.where, "since": f"{since:%-d %B %Y, %H:%M} UTC", "reason": reason,
        "link": site.url(path_of(subscription)) if user else targets.leave_url(subscription),
    }  # fmt: skip
    transaction.on_commit(lambda: pricing_mails.send(mails.DISABLED, [address], values))
