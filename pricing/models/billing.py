"""Money: who pays at Stripe, what they subscribe to, what Stripe told us, and the invoices of this site.

What is charged is Stripe's to know; these rows follow it. An invoice is written once and never changed: the
database refuses that (`pricing/sql/invoices.sql`).
"""

from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.urls import reverse

from pricing.models.ledger import LedgerAccount, LedgerEntry
from pricing.models.plans import Plan
from pricing.money import amount_text


class BillingCustomer(models.Model):
    """An account as Stripe knows it. Test mode and live mode each have customers of their own."""

    account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="customers")
    stripe_id = models.CharField(max_length=80, unique=True)
    is_live = models.BooleanField(default=False)
    plan_before = models.ForeignKey(
        Plan, on_delete=models.PROTECT, null=True, blank=True, related_name="+",
        help_text="What the account had before it subscribed, and has again afterwards.",
    )  # fmt: skip
    plan_applied = models.ForeignKey(
        Plan, on_delete=models.PROTECT, null=True, blank=True, related_name="+",
        help_text="The plan that a subscription gave the account; empty without one.",
    )  # fmt: skip
    checkouts = models.PositiveIntegerField(default=0, help_text="Sessions that were opened.")
    session_id = models.CharField(
        max_length=120, blank=True, help_text="The payment page that is open."
    )
    session_price = models.CharField(max_length=80, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "paying customer"
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["account", "is_live"], name="one_customer_a_mode")
        ]

    def __str__(self) -> str:
        return f"{self.account} ({self.stripe_id})"


class Subscription(models.Model):
    """What a customer pays for month by month, as Stripe last told it."""

    class Status(models.TextChoices):
        """Stripe's own names."""

        INCOMPLETE = "incomplete", "First payment not made yet"
        INCOMPLETE_EXPIRED = "incomplete_expired", "First payment never made"
        TRIALING = "trialing", "Not paid for yet"
        ACTIVE = "active", "Paid"
        PAST_DUE = "past_due", "Payment overdue"
        CANCELED = "canceled", "Ended"
        UNPAID = "unpaid", "Not paid"
        PAUSED = "paused", "Paused"

    GIVING = (Status.TRIALING, Status.ACTIVE, Status.PAST_DUE)
    """With these the account has the plan. While a payment is overdue it keeps it: Stripe tries again for as
    long as it is set to, and then says that the subscription is unpaid or ended."""
    OPEN = (*GIVING, Status.UNPAID, Status.PAUSED, Status.INCOMPLETE)
    """These are not over: whoever has one changes it instead of buying another."""

    customer = models.ForeignKey(
        BillingCustomer, on_delete=models.PROTECT, related_name="subscriptions"
    )
    stripe_id = models.CharField(max_length=80, unique=True)
    status = models.CharField(max_length=20, choices=Status)
    price = models.CharField(max_length=80, help_text="Stripe's price of the plan.")
    plan = models.ForeignKey(
        Plan, on_delete=models.PROTECT, null=True, blank=True, related_name="+",
        help_text="Empty: no plan here has that price.",
    )  # fmt: skip
    is_metered = models.BooleanField(default=False, help_text="Images are charged one by one too.")
    ends_with_period = models.BooleanField(
        default=False, help_text="It was cancelled; this is its last period."
    )
    started_at = models.DateTimeField()
    period_ends_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    read_at = models.DateTimeField(help_text="When it was read from Stripe.")

    class Meta:
        ordering: ClassVar[list[str]] = ["-started_at"]

    def __str__(self) -> str:
        return f"{self.plan or self.price}: {self.get_status_display().lower()}"

    @property
    def gives_plan(self) -> bool:
        return self.status in self.GIVING

    @property
    def is_overdue(self) -> bool:
        return self.status in (self.Status.PAST_DUE, self.Status.UNPAID)


class PaymentEvent(models.Model):
    """One event that Stripe sent, verified; carried out once. What it is about is read anew from Stripe, so
    nothing of its body is kept but names."""

    class State(models.TextChoices):
        RECEIVED = "received", "To be carried out"
        DONE = "done", "Carried out"
        IGNORED = "ignored", "Not for us"
        FAILED = "failed", "Could not be carried out"

    stripe_id = models.CharField(max_length=80, unique=True)
    type = models.CharField(max_length=80)
    object_id = models.CharField(max_length=120, blank=True)
    customer_id = models.CharField(max_length=80, blank=True)
    is_live = models.BooleanField(default=False)
    happened_at = models.DateTimeField(help_text="By Stripe's clock.")
    received_at = models.DateTimeField(auto_now_add=True)
    state = models.CharField(max_length=8, choices=State, default=State.RECEIVED)
    note = models.CharField(max_length=300, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(null=True, blank=True, help_text="When it is tried again.")

    class Meta:
        ordering: ClassVar[list[str]] = ["-received_at", "-pk"]
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["next_at"], condition=~Q(next_at=None), name="payment_event_due")
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.stripe_id}"


class MeterEvent(models.Model):
    """A line of the ledger on its way to Stripe's meter: an outbox. Its identifier there is the line's id, by
    which Stripe counts it once."""

    class State(models.TextChoices):
        WAITING = "waiting", "To be sent"
        SENT = "sent", "Counted by Stripe"
        REFUSED = "refused", "Refused by Stripe"
        UNCLEAR = "unclear", "Perhaps counted: look it up"

    entry = models.OneToOneField(
        LedgerEntry, on_delete=models.PROTECT, primary_key=True, related_name="meter_event"
    )
    customer = models.ForeignKey(BillingCustomer, on_delete=models.PROTECT, related_name="+")
    amount = models.BigIntegerField()
    happened_at = models.DateTimeField()
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    first_at = models.DateTimeField(null=True, blank=True, help_text="When it was first sent.")
    next_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    note = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["entry_id"]
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["next_at"], condition=Q(state="waiting"), name="meter_event_due")
        ]

    def __str__(self) -> str:
        return self.identifier

    @property
    def identifier(self) -> str:
        return f"ledger-{self.entry_id}"


class Invoice(models.Model):
    """What was charged, with what was used by the ledger. Written once."""

    class Kind(models.TextChoices):
        INVOICE = "invoice", "Invoice"
        CREDIT = "credit", "Credit note"

    kind = models.CharField(max_length=7, choices=Kind, default=Kind.INVOICE)
    sequence = models.PositiveIntegerField(
        help_text="Counts up by one in each mode; none is left out."
    )
    number = models.CharField(max_length=40, unique=True)
    account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="invoices")
    stripe_id = models.CharField(
        max_length=80, unique=True, help_text="Stripe's invoice or credit note."
    )
    corrects = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="corrections"
    )
    is_test = models.BooleanField(default=True, help_text="Of the test mode: no money was taken.")
    issued_at = models.DateTimeField()
    paid_at = models.DateTimeField(null=True, blank=True)
    currency = models.CharField(max_length=3)
    subtotal = models.BigIntegerField(help_text="In the currency's smallest unit, as all sums.")
    tax = models.BigIntegerField(default=0)
    total = models.BigIntegerField()
    seller = models.JSONField(help_text="Name, address, tax id and note, as they were.")
    buyer = models.JSONField(help_text="Name, address, mail and tax ids, as Stripe had them.")
    lines = models.JSONField()
    usage = models.JSONField(default=list, help_text="What was used, by the ledger.")
    differs = models.BooleanField(
        default=False, help_text="Stripe counted other images than the ledger."
    )

    class Meta:
        ordering: ClassVar[list[str]] = ["-issued_at", "-pk"]
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["is_test", "sequence"], name="invoice_sequence")
        ]

    def __str__(self) -> str:
        return self.number

    def get_absolute_url(self) -> str:
        return reverse("invoice", args=[self.number])

    @property
    def sum_text(self) -> str:
        """The sum as people read it."""
        return amount_text(self.total, self.currency)
