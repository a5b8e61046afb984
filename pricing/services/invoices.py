"""Invoices: what Stripe was paid, with what was used by this site's ledger; written once, numbered without a gap."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Max, Min, Sum
from django.utils import timezone

from pricing import errors, mails, stripe_api
from pricing.models import (
    Allotment,
    BillingCustomer,
    Invoice,
    InvoiceSettings,
    LedgerAccount,
    LedgerEntry,
    Meter,
    PlanVersion,
)
from pricing.money import amount_text
from pricing.services.subscriptions import moment

_ADDRESS = ("line1", "line2")


def invoice_issue(*, customer: BillingCustomer, stripe_id: str) -> Invoice | None:
    """Issue the invoice of what was paid. The same one if it was issued before; None where nothing was paid, or
    by another.

    Raises:
        Conflict: nobody has said who issues invoices.
        Busy: Stripe is away.
    """
    kept = Invoice.objects.filter(stripe_id=stripe_id).first()
    if kept is not None:
        return kept
    seller = _seller()
    with stripe_api.asking():
        invoices = stripe_api.client().v1.invoices
        remote = stripe_api.plain(invoices.retrieve(stripe_id))
        listed = invoices.line_items.list(stripe_id, {"limit": 100}).auto_paging_iter()
        rows = [stripe_api.plain(row) for row in listed]
    if stripe_api.id_of(remote["customer"]) != customer.stripe_id:
        return None
    if remote["status"] != "paid" or not remote["total"]:
        return None
    lines = [_line(row) for row in rows]
    made = _written(
        customer, seller, kind=Invoice.Kind.INVOICE, stripe_id=stripe_id, remote=remote, lines=lines,
        paid_at=moment((remote.get("status_transitions") or {}).get("paid_at")),
        usage=usage_between(
            customer.account_id, moment(remote["period_start"]), moment(remote["period_end"])
        ),
        differs=_differs(customer.account_id, lines),
    )  # fmt: skip
    user = customer.account.user
    if user is not None:
        mails.send_to(
            user, mails.INVOICE_ISSUED, made.get_absolute_url(), number=made.number,
            total=amount_text(made.total, made.currency),
        )  # fmt: skip
    return made


def credit_note_issue(*, customer: BillingCustomer, stripe_id: str) -> Invoice | None:
    """Issue the note that corrects an invoice which was issued here.

    Raises:
        Conflict: nobody has said who issues invoices.
        Busy: Stripe is away.
    """
    kept = Invoice.objects.filter(stripe_id=stripe_id).first()
    if kept is not None:
        return kept
    seller = _seller()
    with stripe_api.asking():
        remote = stripe_api.plain(stripe_api.client().v1.credit_notes.retrieve(stripe_id))
    about = Invoice.objects.filter(
        stripe_id=stripe_api.id_of(remote["invoice"]), account=customer.account_id
    ).first()
    if about is None or stripe_api.id_of(remote["customer"]) != customer.stripe_id:
        return None
    why = str(remote.get("memo") or remote.get("reason") or "").replace("_", " ")
    text = f"Correction of {about.number}" + (f": {why}" if why else "")
    line = {"text": text[:500], "quantity": None, "unit": "", "amount": -remote["subtotal"], "from": "", "until": "", "metered": False}  # fmt: skip
    negative = {
        **remote, "subtotal": -remote["subtotal"], "total": -remote["total"],
        "total_taxes": [
            {"amount": -tax["amount"]} for tax in remote.get("total_taxes") or []
        ],
    }  # fmt: skip
    return _written(
        customer, seller, kind=Invoice.Kind.CREDIT, stripe_id=stripe_id, remote=negative, lines=[line],
        buyer=about.buyer, corrects=about,
    )  # fmt: skip


def _seller() -> InvoiceSettings:
    found = InvoiceSettings.objects.first()
    if found is None or not found.is_complete:
        raise errors.INVOICE_UNREADY()
    return found


@transaction.atomic
def _written(
    customer: BillingCustomer, seller: InvoiceSettings, *, kind: str, stripe_id: str, remote: dict[str, Any],
    lines: list[dict[str, Any]], buyer: dict[str, Any] | None = None, **more: Any,
) -> Invoice:  # fmt: skip
    """Take the next number and write it, in one transaction: a number whose invoice is not written is the next
    one's."""
    is_test = not customer.is_live
    with connection.cursor() as cursor:
        cursor.execute("SELECT pricing_invoice_number(%s)", [is_test])
        sequence = cursor.fetchone()[0]
    kept = Invoice.objects.filter(stripe_id=stripe_id).first()  # by who had the lock before
    if kept is not None:
        return kept
    return Invoice.objects.create(
        kind=kind, sequence=sequence, number=f"{'TEST-' if is_test else seller.prefix}{sequence:05d}",
        account_id=customer.account_id, stripe_id=stripe_id, is_test=is_test, issued_at=timezone.now(),
        currency=remote["currency"], subtotal=remote["subtotal"],
        tax=sum(tax["amount"] for tax in remote.get("total_taxes") or []), total=remote["total"],
        seller={
            "name": seller.seller_name, "address": seller.seller_address, "tax_id": seller.seller_tax_id,
            "mail": seller.seller_mail, "note": seller.note,
        },
        buyer=buyer or _buyer(customer.account, remote), lines=lines, **more,
    )  # fmt: skip


def _buyer(account: LedgerAccount, remote: dict[str, Any]) -> dict[str, Any]:
    where = remote.get("customer_address") or {}
    town = " ".join(filter(None, (where.get("postal_code"), where.get("city"))))
    rows = [*(where.get(name) for name in _ADDRESS), town, where.get("state"), where.get("country")]
    ids = remote.get("customer_tax_ids") or []
    mail = remote.get("customer_email") or (account.user.email if account.user else "")
    return {
        "name": remote.get("customer_name") or "", "address": "\n".join(filter(None, rows)), "mail": mail,
        "tax_ids": [str(one.get("value") or "") for one in ids],
    }  # fmt: skip


def _line(row: dict[str, Any]) -> dict[str, Any]:
    pricing = row.get("pricing") or {}
    price = stripe_api.id_of((pricing.get("price_details") or {}).get("price"))
    period = row.get("period") or {}
    start, end = moment(period.get("start")), moment(period.get("end"))
    return {
        "text": str(row.get("description") or "")[:500], "quantity": row.get("quantity"),
        "unit": str(pricing.get("unit_amount_decimal") or ""), "amount": row["amount"],
        "from": start.isoformat() if start else "", "until": end.isoformat() if end else "",
        "metered": bool(price) and PlanVersion.objects.filter(stripe_metered_price=price).exists(),
    }  # fmt: skip


def usage_between(
    account_id: int, start: datetime | None, end: datetime | None
) -> list[dict[str, Any]]:
    """What an account used between two moments, by the ledger: of each meter, of the plan and of credits by
    themselves, with the first and the last line that it is the sum of."""
    if start is None or end is None or start >= end:
        return []
    found = (
        LedgerEntry.objects.filter(
            account_id=account_id, kind=LedgerEntry.Kind.SETTLE, created_at__gte=start, created_at__lt=end,
            allotment__meter__in=(Meter.IMAGES, Meter.TRAINING),
        )
        .order_by().values("allotment__meter", "allotment__kind")
        .annotate(amount=Sum("amount"), first=Min("pk"), last=Max("pk"))
        .order_by("allotment__meter", "-allotment__kind")
    )  # fmt: skip
    return [
        {
            "meter": row["allotment__meter"], "kind": row["allotment__kind"], "amount": row["amount"],
            "first": row["first"], "last": row["last"], "from": start.astimezone(UTC).isoformat(),
            "until": end.astimezone(UTC).isoformat(),
        }
        for row in found
    ]  # fmt: skip


def _differs(account_id: int, lines: Iterable[dict[str, Any]]) -> bool:
    """Whether Stripe charged for other images than the ledger has. Tiers of one price are lines of one period."""
    counted: dict[tuple[str, str], int] = {}
    for line in lines:
        if line["metered"]:
            period = (line["from"], line["until"])
            counted[period] = counted.get(period, 0) + int(line["quantity"] or 0)
    for (start, end), quantity in counted.items():
        rows = usage_between(account_id, datetime.fromisoformat(start), datetime.fromisoformat(end))
        mine = (
            r["amount"] for r in rows if (r["meter"], r["kind"]) == (Meter.IMAGES, Allotment.Kind.PLAN)
        )  # fmt: skip
        if sum(mine) != quantity:
            return True
    return False
