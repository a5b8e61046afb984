"""What customers subscribe to, as Stripe has it now, and the plan that follows from it.

Events may come late, twice or in the wrong order. So none of them says what is: each is a reason to read the
subscription from Stripe, under a lock on its customer, so that who reads later also writes later.
"""

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone

from pricing import stripe_api
from pricing.models import BillingCustomer, LedgerAccount, Plan, PlanVersion, Subscription
from pricing.periods import begins, month_after, month_of
from pricing.selectors.plans import plans_of

LATE = timedelta(hours=1)
"""What Stripe says so soon after a month began is of the month before."""
_OVER = (Subscription.Status.CANCELED, Subscription.Status.INCOMPLETE_EXPIRED)


def moment(stamp: Any) -> datetime | None:
    """A Unix time of Stripe's."""
    return datetime.fromtimestamp(int(stamp), UTC) if stamp else None


@transaction.atomic
def subscription_sync(
    *, customer: BillingCustomer, stripe_id: str, at: datetime | None = None
) -> Subscription | None:
    """Read a subscription from Stripe and let the account's plan follow it. None if it is another's.

    Stripe is asked while the customer's row is locked, for as long as one answer may take: whoever waits
    reads a later state.

    Args:
        at: when what is told of happened; now by default.

    Raises:
        Busy: Stripe is away.
    """
    locked = BillingCustomer.objects.select_for_update().get(pk=customer.pk)
    with stripe_api.asking():
        remote = stripe_api.plain(stripe_api.client().v1.subscriptions.retrieve(stripe_id))
    if stripe_api.id_of(remote["customer"]) != locked.stripe_id:
        return None
    found = _kept(locked, remote)
    plan_follow(locked, at or timezone.now())
    return found


@transaction.atomic
def customer_sync(*, customer: BillingCustomer) -> int:
    """Read all that a customer subscribes to, also what no event told of; how many.

    Raises:
        Busy: Stripe is away.
    """
    locked = BillingCustomer.objects.select_for_update().get(pk=customer.pk)
    with stripe_api.asking():
        listed = stripe_api.client().v1.subscriptions.list(
            {"customer": locked.stripe_id, "status": "all", "limit": 100}
        )
        remotes = [stripe_api.plain(one) for one in listed.auto_paging_iter()]
    for remote in remotes:
        _kept(locked, remote)
    plan_follow(locked, timezone.now())
    return len(remotes)


def _kept(customer: BillingCustomer, remote: dict[str, Any]) -> Subscription:
    items = remote["items"]["data"]
    prices = [str(item["price"]["id"]) for item in items]
    version = _version_of(prices)
    metered = PlanVersion.objects.filter(stripe_metered_price__in=prices).exists()
    ends = [moment(item.get("current_period_end")) for item in items]
    ends_at = max((end for end in ends if end), default=moment(remote.get("current_period_end")))
    found, _ = Subscription.objects.update_or_create(
        stripe_id=remote["id"], customer=customer,
        defaults={
            "status": remote["status"],
            "price": version.stripe_price if version else next(iter(prices), ""),
            "plan": version.plan if version else None, "is_metered": metered,
            "ends_with_period": bool(remote.get("cancel_at_period_end") or remote.get("cancel_at")),
            "started_at": moment(remote.get("start_date") or remote["created"]) or timezone.now(),
            "period_ends_at": ends_at, "ended_at": moment(remote.get("ended_at")),
            "read_at": timezone.now(),
        },
    )  # fmt: skip
    return found


def _version_of(prices: list[str]) -> PlanVersion | None:
    """Which plan is paid for: a price is one plan's alone."""
    return (
        PlanVersion.objects.filter(stripe_price__in=prices).exclude(stripe_price="")
        .select_related("plan").order_by("-holds_from").first()
    )  # fmt: skip


def plan_follow(customer: BillingCustomer, at: datetime) -> None:
    """Let an account have what it pays for; its row and its customer's are locked by then.

    What is more than before holds at once. What is less, or nothing, holds from the next month: a month that
    has begun is never made smaller. What Stripe says in the first hour of a month is of the month before.

    Args:
        at: when it happened.
    """
    account = LedgerAccount.objects.select_for_update().get(pk=customer.account_id)
    plan_arrived(account, month_of(timezone.now()))
    paid, was = _paid_for(customer), customer.plan_applied
    if paid == was:
        return
    last = account.coming_plan if account.coming_from else account.plan
    before = last if was is None else customer.plan_before
    customer.plan_applied = paid
    customer.plan_before = before if paid is not None else None
    customer.save(update_fields=["plan_applied", "plan_before"])
    if was is not None and last != was:
        return  # an admin gave it another meanwhile, which stays
    if paid is not None and (was is None or _dollars(paid) >= _dollars(account.plan)):
        _set(account, paid, None, None)
        return
    first = _proper_month(at if paid is not None else _ended(customer, at))
    _set(account, account.plan, paid if paid is not None else before, first)
    plan_arrived(account, month_of(timezone.now()))


def _set(
    account: LedgerAccount, plan: Plan | None, coming: Plan | None, first: date | None
) -> None:
    account.plan, account.coming_plan, account.coming_from = plan, coming, first
    account.note = "Subscription" if first is None else f"Subscription, until {first:%-d %B %Y}"
    account.save(update_fields=["plan", "coming_plan", "coming_from", "note"])


def plan_arrived(account: LedgerAccount, month: date) -> bool:
    """Make the plan that was coming the account's own, once its month has begun."""
    if account.coming_from is None or account.coming_from > month:
        return False
    account.plan, account.coming_plan, account.coming_from = account.coming_plan, None, None
    account.save(update_fields=["plan", "coming_plan", "coming_from"])
    return True


def _paid_for(customer: BillingCustomer) -> Plan | None:
    """The plan of its subscriptions that give one; the dearest, should there be several. One whose price is no
    plan's here changes nothing."""
    giving = customer.subscriptions.filter(status__in=Subscription.GIVING).select_related("plan")
    plans = [one.plan for one in giving if one.plan is not None]
    if not plans and any(one.plan is None for one in giving):
        return customer.plan_applied
    return max(plans, key=_dollars, default=None)


def _dollars(plan: Plan | None) -> Decimal:
    terms = plans_of(month_of(timezone.now())).by_id.get(plan.pk) if plan else None
    return (terms.monthly_dollars if terms else None) or Decimal(0)


def _ended(customer: BillingCustomer, at: datetime) -> datetime:
    """When the last of its subscriptions ended."""
    ends = customer.subscriptions.exclude(ended_at=None).values_list("ended_at", flat=True)
    return max((end for end in ends if end), default=at)


def _proper_month(at: datetime) -> date:
    month = month_of(at)
    return month if at - begins(month) <= LATE else month_after(month)


def plans_arrive() -> int:
    """Make plans that were coming the accounts' own; how many. They hold without it (`LedgerAccount.plan_in`):
    lists show them then."""
    month = month_of(timezone.now())
    count = 0
    for pk in LedgerAccount.objects.filter(coming_from__lte=month).values_list("pk", flat=True):
        with transaction.atomic():
            count += plan_arrived(LedgerAccount.objects.select_for_update().get(pk=pk), month)
    return count


def customer_end(*, customer: BillingCustomer) -> int:
    """End all that a customer pays for, at once: the account is gone, and nothing more is to be taken. What is over
    already is left alone; how many were ended.

    Raises:
        Busy: Stripe is away.
    """
    import stripe

    customer_sync(customer=customer)
    count = 0
    for one in customer.subscriptions.exclude(status__in=_OVER):
        with stripe_api.asking(), suppress(stripe.InvalidRequestError):  # ended a moment ago
            stripe_api.client().v1.subscriptions.cancel(one.stripe_id)
            count += 1
        subscription_sync(customer=customer, stripe_id=one.stripe_id)
    return count


def billing_reconcile() -> int:
    """Read what every customer subscribes to, as events may be lost, and end what belongs to accounts that are
    gone; how many customers.

    Raises:
        Busy: Stripe is away: the rest is looked at the next time.
    """
    if not stripe_api.is_on():
        return 0
    customers = BillingCustomer.objects.filter(is_live=stripe_api.is_live())
    count = 0
    for customer in customers.select_related("account").order_by("pk").iterator():
        if customer.account.user_id is None:
            customer_end(customer=customer)
        else:
            customer_sync(customer=customer)
        count += 1
    return count
