"""What has to hold of the ledger at any time, and ways to use it in tests."""

from collections import Counter
from typing import Any
from uuid import UUID, uuid4

from django.contrib.auth import get_user_model
from django.db.models import Sum

from pricing.models import (
    Allotment,
    Hold,
    KeyMonth,
    LedgerAccount,
    LedgerEntry,
    Plan,
    PlanVersion,
    UsageDay,
)
from pricing.periods import month_of
from pricing.services import metering

Kind = LedgerEntry.Kind


def bare() -> None:
    """No plans."""
    PlanVersion.objects.all().delete()
    Plan.objects.all().delete()


def plan(slug: str = "small", role: str = "default", **fields: Any) -> PlanVersion:
    """A plan that holds."""
    from django.utils import timezone

    made = Plan.objects.create(slug=slug, name=slug.title(), role=role)
    return PlanVersion.objects.create(plan=made, holds_from=month_of(timezone.now()), **fields)


def account(name: str = "ada") -> LedgerAccount:
    user, _ = get_user_model().objects.get_or_create(username=name)
    return metering.account_of(user.pk)


def take(of: LedgerAccount, subject: UUID | None = None, **more: Any) -> UUID:
    subject = subject or uuid4()
    metering.reserve(of, subject, **more)
    return subject


def problems() -> list[str]:
    """Everything that does not add up; nothing while the ledger is sound."""
    found: list[str] = []
    moved = LedgerEntry.objects.order_by()
    into = {(r["allotment"], r["credit"]): r["s"] for r in moved.values("allotment", "credit").annotate(s=Sum("amount"))}  # fmt: skip
    out = {(r["allotment"], r["debit"]): r["s"] for r in moved.values("allotment", "debit").annotate(s=Sum("amount"))}  # fmt: skip
    for pot in Allotment.objects.all():
        sides = {
            side: into.get((pot.pk, side), 0) - out.get((pot.pk, side), 0)
            for side in LedgerEntry.Side.values
        }
        if sum(sides.values()) != 0:
            found.append(f"{pot.pk}: the sides do not cancel out: {sides}")
        if (sides["held"], sides["used"], sides["lapsed"]) != (pot.held, pot.used, pot.lapsed):
            found.append(f"{pot.pk}: counters {pot.held, pot.used, pot.lapsed} are not {sides}")
        if pot.granted is not None and sides["available"] != pot.left:
            found.append(f"{pot.pk}: {sides['available']} available, {pot.left} left")
        if pot.granted is not None and sides["available"] < 0:
            found.append(f"{pot.pk}: negative")
        open_ = (
            Hold.objects.filter(entry__allotment=pot).aggregate(s=Sum("entry__amount"))["s"] or 0
        )
        if open_ != pot.held:
            found.append(f"{pot.pk}: {pot.held} held, {open_} in open reservations")
    return found + _ends() + _keys()


def _ends() -> list[str]:
    found: list[str] = []
    ends = Counter(LedgerEntry.objects.exclude(closes=None).values_list("closes", flat=True))
    found += [f"{entry} ended {n} times" for entry, n in ends.items() if n > 1]
    reserved = set(LedgerEntry.objects.filter(kind=Kind.RESERVE).values_list("pk", flat=True))
    still = set(Hold.objects.values_list("entry", flat=True))
    if reserved - set(ends) != still:
        found.append("a reservation is neither open nor ended, or both")
    used = LedgerEntry.objects.filter(kind=Kind.SETTLE).aggregate(s=Sum("amount"))["s"] or 0
    days = UsageDay.objects.aggregate(s=Sum("amount"))["s"] or 0
    if used != days:
        found.append(f"{used} settled, {days} on days")
    return found


def _keys() -> list[str]:
    found: list[str] = []
    for row in KeyMonth.objects.all():
        mine = LedgerEntry.objects.filter(key_id=row.key_id, allotment__meter="images")
        taken = sum(
            (e.amount if e.kind == Kind.RESERVE else -e.amount if e.kind == Kind.RELEASE else 0)
            for e in mine
        )
        if taken != row.taken:
            found.append(f"key {row.key_id}: {row.taken} taken, {taken} by its entries")
    return found
