"""What plans give."""

import time
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.utils import timezone

from pricing.models import LedgerAccount, Meter, Plan, PlanVersion
from pricing.periods import month_of


@dataclass(frozen=True, slots=True)
class Terms:
    """What a plan gives in one month; None is no limit of the plan's."""

    plan_id: int | None = None
    version_id: int | None = None
    slug: str = ""
    name: str = ""
    audience: str = ""
    call_label: str = ""
    call_url: str = ""
    is_shown: bool = False
    monthly_dollars: Decimal | None = None
    images: int | None = None
    benchmarks_only: bool = False
    per_second: int | None = None
    concurrent: int | None = None
    training_minutes: int | None = None
    storage_mb: int | None = None
    margin_percent: Decimal = Decimal(0)
    stripe_price: str = ""
    stripe_metered_price: str = ""

    @property
    def is_sold(self) -> bool:
        """Whether it has a price to pay, here and at Stripe."""
        return bool(self.monthly_dollars and self.stripe_price)

    def limit(self, meter: str) -> int | None:
        """What a month has of a meter, in what it counts; None without a limit."""
        if meter == Meter.IMAGES:
            return self.images
        if meter == Meter.TRAINING and self.training_minutes is not None:
            return 60 * self.training_minutes
        return None


UNLIMITED = Terms()
"""Where no plans are set up."""


@dataclass(frozen=True, slots=True)
class Plans:
    """All plans as they are in one month, in their order."""

    month: date
    by_id: dict[int, Terms]
    default: Terms
    trial: Terms

    @property
    def shown(self) -> list[Terms]:
        return [terms for terms in self.by_id.values() if terms.is_shown]


_kept: tuple[float, Plans] | None = None


def plans_now() -> Plans:
    """The plans of this month. A process believes them for `INFERENCE_VARIANTS_KEPT_S`."""
    global _kept  # one process's memory
    now, month = time.monotonic(), month_of(timezone.now())
    if _kept and _kept[1].month == month and now - _kept[0] < settings.INFERENCE_VARIANTS_KEPT_S:
        return _kept[1]
    plans = plans_of(month)
    _kept = (now, plans)
    return plans


def plans_forget(**_: Any) -> None:
    """What this process remembers of plans is read anew."""
    global _kept
    _kept = None


def plans_of(month: date) -> Plans:
    """The plans as they are in a month: each by its version that held when the month began, or by its
    first where none did. One query."""
    found: dict[int, PlanVersion] = {}
    rows = PlanVersion.objects.select_related("plan").order_by(
        "plan__position", "plan__name", "holds_from"
    )
    for version in rows:
        if version.plan_id not in found or version.holds_from <= month:
            found[version.plan_id] = version
    by_id = {plan_id: _terms(version) for plan_id, version in found.items()}
    roles = {version.plan.role: by_id[plan_id] for plan_id, version in found.items()}
    return Plans(
        month, by_id, roles.get(Plan.Role.DEFAULT, UNLIMITED), roles.get(Plan.Role.TRIAL, UNLIMITED)
    )


def _terms(version: PlanVersion) -> Terms:
    plan = version.plan
    return Terms(
        plan.pk, version.pk, plan.slug, plan.name, plan.audience, plan.call_label, plan.call_url,
        plan.is_shown, version.monthly_dollars, version.images, version.benchmarks_only,
        version.per_second, version.concurrent, version.training_minutes, version.storage_mb,
        version.margin_percent, version.stripe_price, version.stripe_metered_price,
    )  # fmt: skip


def terms_of(account: LedgerAccount | None) -> Terms:
    """What an account may use this month; None is one that was never metered."""
    plans = plans_now()
    if account is not None and account.is_house:
        return UNLIMITED
    if account is not None and account.user_id is None and account.network:
        return plans.trial
    chosen = account.plan_in(plans.month) if account is not None else None
    return plans.by_id.get(chosen, plans.default) if chosen else plans.default


def account_of_user(user: Any) -> LedgerAccount | None:
    """Where a person's use is counted; None before the first."""
    return getattr(user, "ledger_account", None)
