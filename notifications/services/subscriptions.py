"""Subscriptions: made, confirmed, changed, ended, by their owner or by who holds the link in a mail."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from allauth.account.models import EmailAddress
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils import timezone

from inference import safe_fetch, site
from inference.sealing import seal
from leaderboard.models import Benchmark
from notifications import errors, kinds, mails, signing
from notifications.kinds import KINDS, choosable
from notifications.models import Delivery, Subscription
from notifications.services import delivering
from notifications.services.events import event_make
from notifications.services.spreading import deliver_soon
from pricing import mails as pricing_mails

MOST_OF_USER = 20
MOST_OF_ADDRESS = 5
"""Public ones that one mail address may have, confirmed or not."""
ASK_AGAIN = timedelta(minutes=10)
"""A mail that asks to confirm is not sent to an address more often."""
OVERLAP = timedelta(hours=24)
"""How long a former secret signs beside the new one."""
State = Subscription.State
Target = Subscription.Target


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody typed into the form of a subscription."""

    target: str
    kinds: Sequence[str]
    name: str = ""
    url: str = field(default="", repr=False)
    email: str = ""
    boards: Sequence[str] = ()
    """Slugs."""
    frequency: str = Subscription.Frequency.AT_ONCE


def _checked(wanted: Wanted, *, user: Any, needs_url: bool) -> tuple[list[str], list[Benchmark]]:
    """The kinds and leaderboards that were chosen.

    Raises:
        InvalidInput: something is wrong; `field` says with what.
    """
    offered = {kind.name for kind in choosable(with_private=user is not None)}
    if wanted.target not in Target.values:
        raise _bad("target", "Choose where it goes.")
    if not wanted.kinds:
        raise _bad("kinds", "Choose at least one kind of news.")
    if not set(wanted.kinds) <= offered:
        raise _bad("kinds", "There is no such kind of news.")
    if wanted.frequency not in Subscription.Frequency.values:
        raise _bad("frequency", "Choose how often.")
    boards = list(Benchmark.objects.filter(slug__in=wanted.boards, is_shown=True))
    if len(boards) != len(set(wanted.boards)):
        raise _bad("boards", "There is no such leaderboard.")
    if len(wanted.name) > 80:
        raise _bad("name", "A name has up to 80 characters.")
    _check_place(wanted, user=user, needs_url=needs_url)
    return [name for name in KINDS if name in set(wanted.kinds)], boards


def _check_place(wanted: Wanted, *, user: Any, needs_url: bool) -> None:
    if wanted.target != Target.EMAIL and (needs_url or wanted.url):
        try:
            safe_fetch.check(wanted.url)
        except safe_fetch.AddressRefusedError as error:
            raise _bad("url", str(error)) from error
    if wanted.target == Target.EMAIL or user is None:
        try:
            validate_email(wanted.email)
        except ValidationError as error:
            raise _bad("email", "This is no mail address.") from error


def _bad(name: str, message: str) -> Exception:
    return errors.BAD_SUBSCRIPTION(message, field=name)


@transaction.atomic
def subscription_make(*, user: Any, wanted: Wanted) -> tuple[Subscription, str]:
    """One of an account. Mail to an address that is not the account's own waits until it is confirmed.

    Returns:
        The subscription, and the secret of a webhook; empty of others.

    Raises:
        InvalidInput: something of it is wrong.
        Conflict: the account has as many as it may.
    """
    chosen, boards = _checked(wanted, user=user, needs_url=True)
    # One after another: two at once would both find room.
    get_user_model().objects.select_for_update(no_key=True).get(pk=user.pk)
    if Subscription.objects.filter(user=user).count() >= MOST_OF_USER:
        raise errors.TOO_MANY_SUBSCRIPTIONS(f"An account has up to {MOST_OF_USER} subscriptions.")
    is_own = wanted.target != Target.EMAIL or _is_own(user, wanted.email)
    made, secret = _made(wanted, chosen, user=user)
    if is_own:
        made.state, made.confirmed_at = State.ACTIVE, timezone.now()
    made.save()
    made.boards.set(boards)
    if not is_own:
        _ask(made)
    return made, secret


def _is_own(user: Any, address: str) -> bool:
    return EmailAddress.objects.filter(user=user, verified=True, email__iexact=address).exists()


def _made(wanted: Wanted, chosen: list[str], *, user: Any) -> tuple[Subscription, str]:
    made = Subscription(
        user=user, name=" ".join(wanted.name.split()), target=wanted.target, kinds=chosen,
        frequency=wanted.frequency if wanted.target == Target.EMAIL else Subscription.Frequency.AT_ONCE,
        email=wanted.email if wanted.target == Target.EMAIL or user is None else "",
    )  # fmt: skip
    secret = ""
    if wanted.target != Target.EMAIL:
        made.url_sealed, made.host = seal(wanted.url), (urlsplit(wanted.url).hostname or "")[:255]
    if made.is_signed:
        secret = signing.secret_make()
        made.secret_sealed = seal(secret)
    return made, secret


@transaction.atomic
def subscription_ask(*, wanted: Wanted) -> None:
    """Somebody without an account asks for one: a mail to their address asks them to confirm it. What
    comes back is the same whether there is one already, so that nobody learns who subscribes.

    Raises:
        InvalidInput: something of it is wrong.
    """
    chosen, boards = _checked(wanted, user=None, needs_url=True)
    of_address = Subscription.objects.filter(user=None, email__iexact=wanted.email)
    now = timezone.now()
    if of_address.filter(asked_at__gt=now - ASK_AGAIN).exists():
        return
    if of_address.count() >= MOST_OF_ADDRESS:
        # The latest that nobody confirmed makes place; confirmed ones stay as they are.
        old = of_address.filter(state=State.UNCONFIRMED).order_by("created_at").first()
        if old is None:
            return
        old.delete()
    made, _ = _made(wanted, chosen, user=None)
    made.save()
    made.boards.set(boards)
    _ask(made)


def _ask(subscription: Subscription) -> None:
    subscription.asked_at = timezone.now()
    subscription.save(update_fields=["asked_at"])
    lines = "\n".join(f"- {KINDS[name].label}" for name in subscription.kinds if name in KINDS)
    values = {
        "site": site.host(), "where": subscription.where, "kinds": lines,
        "link": site.url(f"/subscriptions/confirm/{signing.confirm_token(subscription.pk)}/"),
    }  # fmt: skip
    address = subscription.email
    transaction.on_commit(lambda: pricing_mails.send(mails.CONFIRM, [address], values))


@transaction.atomic
def subscription_confirm(*, token: str) -> tuple[Subscription, str]:
    """The link of a mail was followed and its button pressed.

    Returns:
        The subscription, and the secret of a webhook the first time; empty later and of others.

    Raises:
        NotFound: the link is too old, or the subscription was deleted.
    """
    pk = signing.confirm_read(token)
    found = Subscription.objects.select_for_update().filter(pk=pk).first() if pk else None
    if found is None:
        raise errors.LINK_EXPIRED()
    if found.state != State.UNCONFIRMED:
        return found, ""
    secret = ""
    found.state, found.confirmed_at = State.ACTIVE, timezone.now()
    if found.is_signed:  # the one from before has been shown to nobody
        secret = signing.secret_make()
        found.secret_sealed = seal(secret)
    found.save()
    return found, secret


@transaction.atomic
def subscription_update(*, subscription: Subscription, wanted: Wanted) -> Subscription:
    """Change what is told, how often, and where a webhook is; its target and mail address stay.

    Raises:
        InvalidInput: something of it is wrong.
    """
    found = _locked(subscription)
    merged = Wanted(
        found.target, wanted.kinds, wanted.name, wanted.url, found.email, wanted.boards, wanted.frequency
    )  # fmt: skip
    chosen, boards = _checked(merged, user=found.user, needs_url=False)
    found.kinds, found.name = chosen, " ".join(wanted.name.split())
    if found.is_mail:
        found.frequency = wanted.frequency
    elif wanted.url:
        found.url_sealed, found.host = seal(wanted.url), (urlsplit(wanted.url).hostname or "")[:255]
        found.not_before = None
    found.save()
    found.boards.set(boards)
    return found


def _locked(subscription: Subscription) -> Subscription:
    found = Subscription.objects.select_for_update(of=("self",)).filter(pk=subscription.pk)
    row = found.select_related("user").first()
    if row is None:
        raise errors.SUBSCRIPTION_NOT_FOUND()
    return row


@transaction.atomic
def subscription_pause(*, subscription: Subscription) -> None:
    """Tell nothing until it is enabled; what waits stays.

    Raises:
        Conflict: it is not active.
    """
    found = _locked(subscription)
    if found.state != State.ACTIVE:
        raise errors.SUBSCRIPTION_STATE("Only an active subscription can be paused.")
    found.state = State.PAUSED
    found.save(update_fields=["state"])


@transaction.atomic
def subscription_enable(*, subscription: Subscription) -> None:
    """Go on with one that was paused or disabled.

    Raises:
        Conflict: it is neither.
    """
    found = _locked(subscription)
    if found.state not in (State.PAUSED, State.DISABLED):
        raise errors.SUBSCRIPTION_STATE("Only a paused or disabled subscription can be enabled.")
    found.state, found.disabled_reason = State.ACTIVE, ""
    found.not_before = None
    found.save(update_fields=["state", "disabled_reason", "not_before"])
    deliver_soon(found.pk)


@transaction.atomic
def subscription_disable(*, subscription: Subscription, reason: str) -> None:
    """An admin ends it; its owner is told, and may enable it again.

    Raises:
        Conflict: it is disabled.
    """
    found = _locked(subscription)
    if found.state == State.DISABLED:
        raise errors.SUBSCRIPTION_STATE("It is disabled already.")
    delivering.disable(found, reason or "An admin disabled it.")


def subscription_delete(*, subscription: Subscription) -> None:
    """With all that was delivered; nothing more is sent."""
    Subscription.objects.filter(pk=subscription.pk).delete()


@transaction.atomic
def secret_rotate(*, subscription: Subscription) -> str:
    """A new secret of a webhook; the former signs as well for 24 hours.

    Raises:
        Conflict: it is no webhook.
    """
    found = _locked(subscription)
    if not found.is_signed:
        raise errors.SUBSCRIPTION_STATE("Only webhooks have a secret.")
    secret = signing.secret_make()
    found.former_secret_sealed = found.secret_sealed
    found.former_secret_until = timezone.now() + OVERLAP
    found.secret_sealed = seal(secret)
    found.save(update_fields=["former_secret_sealed", "former_secret_until", "secret_sealed"])
    return secret


@transaction.atomic
def subscription_test(*, subscription: Subscription) -> None:
    """Send a test to it now.

    Raises:
        Conflict: it is not active.
    """
    found = _locked(subscription)
    if found.state != State.ACTIVE:
        raise errors.SUBSCRIPTION_STATE("Enable it first.")
    found.not_before = None
    found.save(update_fields=["not_before"])
    event_make(
        kinds.TEST, title="A test from the Moondream hub", path=delivering.path_of(found), only_for=found,
        text="If you read this, deliveries arrive here.",
    )  # fmt: skip


@transaction.atomic
def delivery_repeat(*, delivery: Delivery) -> Delivery:
    """Send an event once more, as a delivery with an id of its own: under the former id it may have
    arrived. Programs know the event by the id in the body.

    Raises:
        Conflict: it still waits, or its subscription is not active.
    """
    subscription = _locked(delivery.subscription)
    if delivery.is_open:
        raise errors.SUBSCRIPTION_STATE("It is still being tried.")
    if subscription.state != State.ACTIVE:
        raise errors.SUBSCRIPTION_STATE("Enable the subscription first.")
    made = Delivery.objects.create(
        subscription=subscription,
        event=delivery.event,
        again=delivery,
        is_repeat=True,
        due_at=timezone.now(),
    )
    Subscription.objects.filter(pk=subscription.pk).update(not_before=None)
    deliver_soon(subscription.pk)
    return made


@transaction.atomic
def failed_repeat(*, subscription: Subscription) -> int:
    """Send once more all that did not arrive and was not repeated; returns how many.

    Raises:
        Conflict: the subscription is not active.
    """
    found = _locked(subscription)
    if found.state != State.ACTIVE:
        raise errors.SUBSCRIPTION_STATE("Enable the subscription first.")
    lost = found.deliveries.filter(state__in=(Delivery.State.FAILED, Delivery.State.SKIPPED))
    repeated = found.deliveries.filter(again__isnull=False).values("again")
    lost = lost.exclude(pk__in=repeated).exclude(event__kind=kinds.TEST.name).order_by("pk")
    now = timezone.now()
    rows = [
        Delivery(subscription=found, event_id=event_id, again_id=pk, is_repeat=True, due_at=now)
        for pk, event_id in lost.values_list("pk", "event_id")[:1000]
    ]
    Delivery.objects.bulk_create(rows)
    if rows:
        Subscription.objects.filter(pk=found.pk).update(not_before=None)
        deliver_soon(found.pk)
    return len(rows)
