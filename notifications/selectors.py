"""Reads: one's own subscriptions and what was delivered to them."""

from typing import Any
from uuid import UUID

from django.core.paginator import Page, Paginator
from django.db.models import Count, OuterRef, Q, Subquery

from inference.sealing import unseal
from leaderboard.models import Benchmark
from notifications import errors, signing
from notifications.models import Delivery, Subscription

PER_PAGE = 25


def subscriptions_of(user: Any) -> list[Subscription]:
    """An account's, newest first, each with its leaderboards and how its deliveries stand; two queries."""
    last = Delivery.objects.filter(subscription=OuterRef("pk")).exclude(state="pending").order_by("-ended_at")  # fmt: skip
    found = Subscription.objects.filter(user=user).annotate(
        waiting=Count("deliveries", filter=Q(deliveries__state=Delivery.State.PENDING)),
        failed=Count("deliveries", filter=Q(deliveries__state=Delivery.State.FAILED)),
        last_state=Subquery(last.values("state")[:1]), last_at=Subquery(last.values("ended_at")[:1]),
    )  # fmt: skip
    return list(found.prefetch_related("boards"))


def subscription_own(*, user: Any, subscription_id: UUID) -> Subscription:
    """
    Raises:
        NotFound: no such one of theirs.
    """
    found = Subscription.objects.filter(user=user, pk=subscription_id).first()
    if found is None:
        raise errors.SUBSCRIPTION_NOT_FOUND()
    return found


def subscription_by_link(token: str) -> Subscription:
    """The one that a link in a mail speaks for.

    Raises:
        NotFound: the link was made up, or it is deleted.
    """
    pk = signing.leave_read(token)
    found = Subscription.objects.filter(pk=pk).select_related("user").first() if pk else None
    if found is None:
        raise errors.LINK_EXPIRED()
    return found


def subscription_to_confirm(token: str) -> Subscription:
    """
    Raises:
        NotFound: the link is too old, or it is deleted.
    """
    pk = signing.confirm_read(token)
    found = Subscription.objects.filter(pk=pk).first() if pk else None
    if found is None:
        raise errors.LINK_EXPIRED()
    return found


def deliveries_of(subscription: Subscription, *, state: str = "", number: str = "1") -> Page[Any]:
    """The log, newest first, of one state or of all."""
    found = subscription.deliveries.select_related("event")
    if state in Delivery.State.values:
        found = found.filter(state=state)
    return Paginator(found, PER_PAGE).get_page(number)


def delivery_own(*, user: Any, subscription_id: UUID, uid: str) -> Delivery:
    """
    Raises:
        NotFound: no such one of theirs.
    """
    own = Delivery.objects.filter(
        subscription__user=user, subscription_id=subscription_id, uid=uid
    ).select_related("event", "subscription", "again")
    found = own.first()
    if found is None:
        raise errors.DELIVERY_NOT_FOUND()
    return found


def secret_of(subscription: Subscription) -> str:
    """A webhook's secret, for its owner; empty where another key sealed it."""
    return unseal(subscription.secret_sealed) or ""


def boards_offered() -> list[tuple[str, str]]:
    """Leaderboards that a subscription may be narrowed to: slug and title."""
    return list(Benchmark.objects.filter(is_shown=True).values_list("slug", "title"))
