"""Subscriptions to real receivers on loopback, and events without the rooms that make them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth import get_user_model
from django.utils import timezone

from inference.sealing import seal
from notifications import kinds, services, signing
from notifications.models import Delivery, Event, Subscription

Make = Callable[..., Subscription]


@pytest.fixture(autouse=True)
def near(settings: Any) -> None:
    """An admin vouches for loopback: receivers are there."""
    settings.OUTBOUND_ALLOWED = ["127.0.0.1"]


@pytest.fixture
def person() -> Callable[[str], Any]:
    def made(name: str) -> Any:
        user = get_user_model().objects.create_user(name, f"{name}@example.org", "pw")
        EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
        return user

    return made


@pytest.fixture
def subscription(db: Any, person: Callable[[str], Any]) -> Make:
    """Makes active ones that are older than what happens in the test, and the only ones told of it."""
    # Tests whose work is not rolled back leave news of theirs.
    Event.objects.all().delete()

    def made(url: str = "", *, user: Any = None, **more: Any) -> Subscription:
        secret = signing.secret_make()
        fields: dict[str, Any] = {
            "target": "webhook", "kinds": [kind.name for kind in kinds.choosable(with_private=True)], "state": "active", "secret_sealed": seal(secret),
            "confirmed_at": timezone.now() - timedelta(days=30), "url_sealed": seal(url), "host": "127.0.0.1",
        }  # fmt: skip
        row = Subscription.objects.create(user=user or person(f"u{Subscription.objects.count()}"), **fields | more)  # fmt: skip
        row.secret = secret  # type: ignore[attr-defined]  # for the test to verify with
        return row

    return made


def happen(**more: Any) -> Event:
    """A private event of somebody, or a test of one subscription."""
    fields: dict[str, Any] = {
        "title": "Scored: a model",
        "path": "/account/usage/",
        "data": {"a": 1},
    }
    made = services.event_make(kinds.USAGE_ALERT, **fields | more)
    assert made is not None
    return made


def told(row: Subscription, **more: Any) -> Delivery:
    """Something that its owner is told of, spread."""
    event = happen(owner=row.user, **more)
    services.events_spread()
    return Delivery.objects.get(subscription=row, event=event)


def deliver(row: Subscription) -> int:
    return services.subscription_deliver(subscription_id=row.pk)


def later(delivery: Delivery, **by: float) -> None:
    """Let time pass for a delivery and its subscription: what was to wait until then is due."""
    past = timezone.now() - timedelta(seconds=1)
    Delivery.objects.filter(pk=delivery.pk).update(due_at=past)
    Subscription.objects.filter(pk=delivery.subscription_id).update(not_before=None)
