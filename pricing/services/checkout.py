"""Buying a plan, and changing what was bought: both on Stripe's own pages, to which these give the way.

Nothing of what a browser sends decides what is paid or by whom: the form names a plan, the price is the plan's
version's, the customer is the account's.
"""

from hashlib import sha256
from typing import Any

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from inference import site
from pricing import errors, stripe_api
from pricing.models import BillingCustomer, Subscription
from pricing.periods import ends, month_of
from pricing.selectors.plans import Terms, plans_of
from pricing.services.metering import account_of
from pricing.services.subscriptions import customer_sync


def customer_of(user: Any) -> BillingCustomer:
    """The account at Stripe; made where there is none yet. Asked twice at once, it is made once.

    Raises:
        NotFound: nothing is sold here.
        Busy: Stripe is away.
    """
    account, live = account_of(user.pk), stripe_api.is_live()
    found = BillingCustomer.objects.filter(account=account, is_live=live).first()
    if found is not None:
        return found
    mark = f"customer-{sha256(site.url().encode()).hexdigest()[:12]}-{account.pk}"
    with stripe_api.asking():
        remote = stripe_api.client().v1.customers.create(
            {"email": user.email, "metadata": {"account": str(account.pk), "site": site.host()}},
            {"idempotency_key": mark},
        )
    return BillingCustomer.objects.get_or_create(
        account=account, is_live=live, defaults={"stripe_id": remote.id}
    )[0]


def checkout_begin(*, user: Any, plan_slug: str) -> str:
    """The address of Stripe's page on which a plan is paid for. Who asks again, while that page is open, gets
    the same one.

    Raises:
        NotFound: nothing is sold here, or not this plan.
        Conflict: the account has a subscription, or Stripe has another price than this site shows.
        Busy: Stripe is away.
    """
    stripe_api.client()
    terms = _sold(plan_slug)
    customer = customer_of(user)
    if _has_open(customer):
        raise errors.ALREADY_SUBSCRIBED()
    with stripe_api.asking():
        _price_check(terms)
        with transaction.atomic():
            locked = BillingCustomer.objects.select_for_update().get(pk=customer.pk)
            found = _open_session(locked, terms) if locked.session_id else ""
            if found is None:  # it was paid, and perhaps no event has told of it yet
                customer_sync(customer=customer)
            if found is not None or not _has_open(customer):
                return found or _session_made(locked, terms)
    raise errors.ALREADY_SUBSCRIBED()


def _has_open(customer: BillingCustomer) -> bool:
    return customer.subscriptions.filter(status__in=Subscription.OPEN).exists()


def _sold(slug: str) -> Terms:
    found = (t for t in plans_of(month_of(timezone.now())).shown if t.slug == slug and t.is_sold)
    terms = next(found, None)
    if terms is None:
        raise errors.PLAN_NOT_SOLD()
    return terms


def _price_check(terms: Terms) -> None:
    """What is paid is what the page of prices says.

    Raises:
        Conflict: it is not.
    """
    remote = stripe_api.plain(stripe_api.client().v1.prices.retrieve(terms.stripe_price))
    recurring = remote.get("recurring") or {}
    told = (remote["active"], remote["currency"], remote["unit_amount"], recurring.get("interval"), recurring.get("interval_count"))  # fmt: skip
    if told != (True, "usd", int((terms.monthly_dollars or 0) * 100), "month", 1):
        stripe_api.logger.error("The plan %s is not what Stripe has: %s", terms.slug, told)
        raise errors.PRICE_DIFFERS()


def _open_session(customer: BillingCustomer, terms: Terms) -> str | None:
    """The address of the page that is open for this price; empty if there is none any more. None if it was
    paid."""
    sessions = stripe_api.client().v1.checkout.sessions
    remote = stripe_api.plain(sessions.retrieve(customer.session_id))
    if remote["status"] == "complete":
        return None
    if remote["status"] != "open":
        return ""
    if customer.session_price == terms.stripe_price:
        return str(remote["url"])
    sessions.expire(customer.session_id)
    return ""


def _session_made(customer: BillingCustomer, terms: Terms) -> str:
    """Open a page. Months here are the calendar's: from the first of the next one on Stripe counts by those too,
    and until then it takes a part of the price."""
    now = timezone.now()
    address = site.url(reverse("billing"))
    lines: list[dict[str, Any]] = [{"price": terms.stripe_price, "quantity": 1}]
    if terms.stripe_metered_price:
        lines.append({"price": terms.stripe_metered_price})
    wanted: dict[str, Any] = {
        "mode": "subscription", "customer": customer.stripe_id, "line_items": lines,
        "client_reference_id": str(customer.account_id),
        "subscription_data": {
            "billing_cycle_anchor": int(ends(month_of(now)).timestamp()),
            "proration_behavior": "create_prorations",
            "metadata": {"account": str(customer.account_id), "plan": terms.slug},
        },
        "billing_address_collection": "required", "tax_id_collection": {"enabled": True},
        "customer_update": {"name": "auto", "address": "auto"},
        "success_url": f"{address}?checkout=done", "cancel_url": f"{address}?checkout=cancelled",
    }  # fmt: skip
    customer.checkouts += 1
    # Its answer may be lost: who asks again for the same is given the same.
    mark = sha256(f"{wanted}".encode()).hexdigest()[:16]
    made = stripe_api.client().v1.checkout.sessions.create(
        wanted,  # type: ignore[arg-type]  # the library's types name each field
        {"idempotency_key": f"checkout-{customer.stripe_id}-{customer.checkouts}-{mark}"},
    )
    customer.session_id, customer.session_price = made.id, terms.stripe_price
    customer.save(update_fields=["checkouts", "session_id", "session_price"])
    return str(made.url)


def portal_begin(*, user: Any) -> str:
    """The address of Stripe's page on which cards, plan and cancellation are changed.

    Raises:
        NotFound: nothing is sold here, or the account has never bought anything.
        Busy: Stripe is away.
    """
    stripe_api.client()
    customer = BillingCustomer.objects.filter(
        account__user=user, is_live=stripe_api.is_live()
    ).first()
    if customer is None:
        raise errors.PLAN_NOT_SOLD("There is nothing to change: you have bought no plan.")
    with stripe_api.asking():
        made = stripe_api.client().v1.billing_portal.sessions.create(
            {"customer": customer.stripe_id, "return_url": site.url(reverse("billing"))}
        )
    return str(made.url)
