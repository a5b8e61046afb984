"""Which plan an account has; and the plans that a site starts with."""

from datetime import date
from decimal import Decimal
from typing import Any

from django.db import transaction

from pricing.models import LedgerAccount, Plan, PlanVersion
from pricing.services.metering import account_of


@transaction.atomic
def plan_set(*, user: Any, plan: Plan | None, note: str = "") -> LedgerAccount:
    """Give an account a plan from now on; None is the plan of those who chose none.

    The new plan's whole month is there at once. What was left of the old one's waits: who comes back to it
    within the month goes on with that. Another plan that was to come does not.
    """
    account = LedgerAccount.objects.select_for_update().get(pk=account_of(user.pk).pk)
    account.plan, account.note = plan, note[:200]
    account.coming_plan = account.coming_from = None
    account.save(update_fields=["plan", "coming_plan", "coming_from", "note"])
    return account


_FIRST = date(2026, 12, 1)
STARTER: tuple[dict[str, Any], ...] = (
    {
        "slug": "trial", "name": "Trial", "role": Plan.Role.TRIAL,
        "audience": "To try the model, without an account.",
        "call_label": "Open the playground", "call_url": "/playground/",
        "version": {"monthly_dollars": Decimal(0)},
    },
    {
        "slug": "starter", "name": "Starter", "role": Plan.Role.DEFAULT,
        "audience": "For a notebook, a course or a first experiment.",
        "call_label": "Make an account", "call_url": "/account/signup/",
        "version": {
            "monthly_dollars": Decimal(0), "images": 10_000, "concurrent": 16, "training_minutes": 300,
        },
    },
    {
        "slug": "research", "name": "Research", "role": Plan.Role.NONE,
        "audience": "For labs that measure on public benchmarks.",
        "call_label": "Apply", "call_url": "/account/credits/",
        "version": {
            "monthly_dollars": Decimal(0), "images": 1_000_000, "benchmarks_only": True, "per_second": 10,
            "concurrent": 32, "training_minutes": 1200, "storage_mb": 20_480,
        },
    },
    {
        "slug": "professional", "name": "Professional", "role": Plan.Role.NONE,
        "audience": "For a product, or work on data of your own.",
        "version": {
            "images": 1_000_000, "per_second": 20, "concurrent": 64, "training_minutes": 3000,
            "storage_mb": 51_200, "margin_percent": Decimal(30),
        },
    },
    {
        "slug": "enterprise", "name": "Enterprise", "role": Plan.Role.NONE,
        "audience": "For machines of your own, with our help.",
        "version": {"margin_percent": Decimal(20)},
    },
)  # fmt: skip


def plans_load() -> None:
    """The plans that a site starts with, where it has none; editors' own are left alone."""
    if Plan.objects.exists():
        return
    for position, row in enumerate(STARTER):
        fields = {name: value for name, value in row.items() if name != "version"}
        plan = Plan.objects.create(position=position, **fields)
        PlanVersion.objects.create(plan=plan, holds_from=_FIRST, **row["version"])
