"""What an account pays for, and what it could."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from pricing import stripe_api
from pricing.models import BillingCustomer, LedgerAccount, Subscription
from pricing.selectors.invoices import invoices_of
from pricing.selectors.plans import Terms, plans_now, terms_of


@dataclass(frozen=True, slots=True)
class Billing:
    """How an account stands with payments."""

    is_on: bool
    """Whether anything is sold here."""
    is_test: bool
    terms: Terms
    coming: Terms | None
    """The plan that holds from a later month on."""
    coming_from: date | None
    subscription: Subscription | None
    """One that is not over."""
    is_customer: bool
    offers: list[Terms]

    @property
    def is_unusual(self) -> bool:
        """Whether the account has another plan than it pays for, as an admin may give it."""
        paid = self.subscription
        return paid is not None and paid.gives_plan and paid.plan_id != self.terms.plan_id


def billing_of(user: Any) -> Billing:
    """How somebody stands. Four queries where something is sold, one where nothing is."""
    account = LedgerAccount.objects.filter(user=user).first()
    plans, coming = plans_now(), None
    if account is not None and account.coming_from and account.coming_from > plans.month:
        chosen = account.coming_plan_id
        coming = plans.by_id.get(chosen, plans.default) if chosen else plans.default
    customer = None
    if account is not None and stripe_api.is_on():
        customer = BillingCustomer.objects.filter(account=account, is_live=stripe_api.is_live()).first()  # fmt: skip
    paid = (
        customer.subscriptions.filter(status__in=Subscription.OPEN).select_related("plan").first()
        if customer else None
    )  # fmt: skip
    return Billing(
        stripe_api.is_on(), not stripe_api.is_live(), terms_of(account), coming,
        account.coming_from if account and coming else None, paid, customer is not None,
        offers_now() if stripe_api.is_on() and paid is None else [],
    )  # fmt: skip


def offers_now() -> list[Terms]:
    """The plans that can be bought; none where nothing is sold."""
    return [t for t in plans_now().shown if t.is_sold] if stripe_api.is_on() else []


def has_billing(user: Any) -> bool:
    """Whether there is anything to see: plans to buy, or invoices."""
    return stripe_api.is_on() or invoices_of(user).exists()
