"""Invoices as those may read them whom they concern."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet

from pricing import errors
from pricing.models import Allotment, Invoice, Meter
from pricing.money import amount_text

PAYERS: list[Callable[[Any], Iterable[int]]] = []
"""Whose invoices somebody reads besides their own: each gives ids of accounts' owners. A room above that knows of
teams and their billing role adds itself."""


def invoices_of(user: Any) -> "QuerySet[Invoice]":
    """One's own, and those of whom one keeps the bills for; the newest first. One query."""
    owners = {user.pk, *(pk for of in PAYERS for pk in of(user))}
    return Invoice.objects.filter(account__user__in=owners).select_related("corrects")


def invoice_of(user: Any, number: str) -> Invoice:
    """
    Raises:
        NotFound: there is none of that number that they may read.
    """
    found = invoices_of(user).filter(number=number).first()
    if found is None:
        raise errors.INVOICE_NOT_FOUND()
    return found


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """What was charged for, in words."""

    text: str
    period: str
    quantity: str
    unit: str
    amount: str


@dataclass(frozen=True, slots=True)
class UsedLine:
    """What the ledger says was used."""

    what: str
    period: str
    amount: str
    entries: str


@dataclass(frozen=True, slots=True)
class InvoicePage:
    """An invoice as page and PDF show it; both from what was written when it was issued."""

    invoice: Invoice
    kind: str
    corrects: str
    seller_rows: list[str]
    buyer_rows: list[str]
    lines: list[InvoiceLine]
    sums: list[tuple[str, str, str]]
    """Label, sum, and B where it is the one that counts."""
    usage: list[UsedLine]


def invoice_page(invoice: Invoice) -> InvoicePage:
    """An invoice in words."""

    def money(amount: int | Decimal) -> str:
        return amount_text(amount, invoice.currency)

    seller, buyer = invoice.seller, invoice.buyer
    sums = [("Total", money(invoice.total), "B")]
    if invoice.tax or invoice.subtotal != invoice.total:
        sums.insert(0, ("Tax", money(invoice.tax), ""))
        sums.insert(0, ("Subtotal", money(invoice.subtotal), ""))
        rest = invoice.total - invoice.subtotal - invoice.tax
        if rest:  # a discount, or a tax that the prices include
            sums.insert(1, ("Discounts, included tax", money(rest), ""))
    return InvoicePage(
        invoice, invoice.get_kind_display(), invoice.corrects.number if invoice.corrects else "",
        _rows(seller["name"], seller["address"], _labelled("Tax id", seller["tax_id"]), seller["mail"]),
        _rows(buyer["name"], buyer["address"], *(_labelled("Tax id", i) for i in buyer["tax_ids"]), buyer["mail"]),
        [
            InvoiceLine(
                line["text"], _period(line["from"], line["until"]),
                "" if line["quantity"] is None else f"{line['quantity']:,}",
                money(Decimal(line["unit"])) if line["unit"] else "", money(line["amount"]),
            )
            for line in invoice.lines
        ],
        sums, [_used(row) for row in invoice.usage],
    )  # fmt: skip


def _rows(*texts: str) -> list[str]:
    return [row.strip() for text in texts for row in text.splitlines() if row.strip()]


def _labelled(label: str, text: str) -> str:
    return f"{label} {text}" if text else ""


def _period(start: str, end: str) -> str:
    if not start or not end or start == end:
        return ""
    first, last = datetime.fromisoformat(start), datetime.fromisoformat(end)
    return f"{first:%-d %b %Y} to {last:%-d %b %Y}"


def _used(row: dict[str, Any]) -> UsedLine:
    credits_ = row["kind"] == Allotment.Kind.CREDIT
    of_images = row["meter"] == Meter.IMAGES
    what = ("Images" if of_images else "Minutes of training") + (
        ", research credits: not charged" if credits_ else ""
    )
    amount = f"{row['amount']:,}" if of_images else f"{row['amount'] / 60:,.1f}"
    entries = (
        f"{row['first']} to {row['last']}" if row["first"] != row["last"] else f"{row['first']}"
    )
    return UsedLine(what, _period(row["from"], row["until"]), amount, entries)
