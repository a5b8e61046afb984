"""Payments and invoices in the admin: looked at there, and what failed tried again."""

from typing import Any, ClassVar

from django import forms
from wagtail.admin.ui.tables import Column

from inference.listings import RoomViewSet, RowAction
from pricing import services
from pricing.models import BillingCustomer, Invoice, MeterEvent, PaymentEvent, Subscription


class CustomerViewSet(RoomViewSet):
    """Accounts that pay, and who they are at Stripe."""

    model = BillingCustomer
    icon = "user"
    menu_label = "Customers"
    joined = ("account__user", "plan_applied", "plan_before")
    list_display = ("account", "stripe_id", "is_live", "plan_applied", "plan_before", "created_at")
    list_filter = ("is_live",)
    search_fields = ("account__user__username", "account__user__email", "stripe_id")
    list_export = ("account.pk", "stripe_id", "is_live", "created_at")
    inspect_view_fields = ("account", "stripe_id", "is_live", "plan_applied", "plan_before", "checkouts", "created_at")  # fmt: skip


class SubscriptionViewSet(RoomViewSet):
    """What they pay for. It is changed at Stripe, and follows from there."""

    model = Subscription
    icon = "repeat"
    menu_label = "Subscriptions"
    joined = ("customer__account__user", "plan")
    list_display = ("customer", "plan", "status", "ends_with_period", "period_ends_at", "ended_at", "read_at")  # fmt: skip
    list_filter = ("status", "plan")
    search_fields = ("customer__account__user__email", "customer__stripe_id", "stripe_id")
    list_export = ("stripe_id", "customer.stripe_id", "plan.slug", "price", "status", "is_metered", "ends_with_period", "started_at", "period_ends_at", "ended_at")  # fmt: skip


class ReadAgain(RowAction):
    model_class = BillingCustomer
    display_name = "Read from Stripe"
    action_type = "read_again"
    permission = "pricing.change_billingcustomer"
    question = "What these subscribe to is read from Stripe, and their plans follow it:"
    done = "read"
    icon_name = "rotate"

    def act(self, row: BillingCustomer, *, by: Any, form: forms.Form) -> None:
        services.customer_sync(customer=row)


class EventViewSet(RoomViewSet):
    """What Stripe told, and what came of it."""

    model = PaymentEvent
    icon = "list-ol"
    menu_label = "Payment events"
    list_display = ("happened_at", "type", "object_id", "customer_id", "state", "note", "attempts")
    list_filter: ClassVar[Any] = {"state": ["exact"], "type": ["exact"], "received_at": ["date__gte", "date__lte"]}  # fmt: skip
    search_fields = ("stripe_id", "object_id", "customer_id", "note")
    list_export = ("stripe_id", "type", "object_id", "customer_id", "is_live", "happened_at", "received_at", "state", "note", "attempts")  # fmt: skip


class EventAgain(RowAction):
    model_class = PaymentEvent
    display_name = "Try again"
    action_type = "again"
    permission = "pricing.change_paymentevent"
    question = "These are carried out again within a minute:"
    done = "to be tried again"
    icon_name = "rotate"

    @classmethod
    def fits(cls, row: PaymentEvent) -> bool:
        return row.state == PaymentEvent.State.FAILED

    def act(self, row: PaymentEvent, *, by: Any, form: forms.Form) -> None:
        services.event_again(event=row)


class MeterViewSet(RoomViewSet):
    """Lines of the ledger that go to Stripe's meter."""

    model = MeterEvent
    icon = "list-ol"
    menu_label = "Meter events"
    joined = ("customer__account__user",)
    ordering = ("-entry_id",)
    list_display = (Column("identifier", label="Identifier"), "customer", "amount", "happened_at", "state", "attempts", "sent_at", "note")  # fmt: skip
    list_filter: ClassVar[Any] = {"state": ["exact"], "happened_at": ["date__gte", "date__lte"]}
    search_fields = ("customer__account__user__email", "customer__stripe_id", "note")
    list_export = ("entry_id", "customer.stripe_id", "amount", "happened_at", "state", "attempts", "first_at", "sent_at", "note")  # fmt: skip


class MeterAgain(RowAction):
    model_class = MeterEvent
    display_name = "Send again"
    action_type = "again"
    permission = "pricing.change_meterevent"
    question = (
        "These are sent again. Look first at Stripe whether it has counted them: after a day it does not know an "
        "identifier any more, and would count it twice."
    )
    done = "to be sent again"
    icon_name = "rotate"

    @classmethod
    def fits(cls, row: MeterEvent) -> bool:
        return row.state in (MeterEvent.State.REFUSED, MeterEvent.State.UNCLEAR)

    def act(self, row: MeterEvent, *, by: Any, form: forms.Form) -> None:
        services.meter_event_again(event=row)


class InvoiceViewSet(RoomViewSet):
    """Invoices and credit notes. None is changed or deleted: the database refuses that."""

    model = Invoice
    icon = "doc-full"
    menu_label = "Invoices"
    joined = ("account__user", "corrects")
    large = ("lines", "usage", "buyer", "seller")
    list_display = ("number", "account", "kind", Column("sum_text", label="Sum"), "issued_at", "corrects", "differs", "is_test")  # fmt: skip
    list_filter: ClassVar[Any] = {"kind": ["exact"], "is_test": ["exact"], "differs": ["exact"], "issued_at": ["date__gte", "date__lte"]}  # fmt: skip
    search_fields = ("number", "stripe_id", "account__user__email")
    list_export = ("number", "kind", "account.pk", "stripe_id", "issued_at", "paid_at", "currency", "subtotal", "tax", "total", "corrects.number", "differs", "is_test")  # fmt: skip
    inspect_view_fields = ("number", "kind", "account", "stripe_id", "issued_at", "paid_at", "currency", "subtotal", "tax", "total", "corrects", "seller", "buyer", "lines", "usage", "differs", "is_test")  # fmt: skip
