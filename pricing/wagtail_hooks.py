"""Accounts in the admin: their API keys, whose they are and what they may do (no secret is kept, so none
is shown), and how they sign in."""

from typing import Any, ClassVar

from django import forms
from django.http import HttpRequest
from django.urls import URLPattern, path, reverse
from wagtail import hooks
from wagtail.admin.menu import MenuItem
from wagtail.admin.ui.tables import Column
from wagtail.snippets.models import register_snippet
from wagtail.snippets.views.snippets import SnippetViewSetGroup

from inference import waiting
from inference.listings import RoomViewSet, RowAction, register_actions
from inference.waiting import Waiting, listed
from pricing import (
    services,
    snippets_accounts,
    snippets_billing,
    snippets_credits,
    snippets_plans,
    views_mails,
    views_reports,
)
from pricing.models import ApiKey, CreditApplication, Invoice, MeterEvent, PaymentEvent


def _scopes(key: ApiKey) -> str:
    return ", ".join(key.scopes)


class KeyViewSet(RoomViewSet):
    model = ApiKey
    icon = "key"
    menu_label = "API keys"
    joined = ("user",)
    large = ("digest",)
    list_display = (
        "name",
        "prefix",
        "user",
        Column("scopes", label="For", accessor=_scopes),
        "created_at",
        "last_used_at",
        "expires_at",
        "revoked_at",
    )
    list_filter: ClassVar[Any] = {
        "revoked_at": ["isnull"], "created_at": ["date__gte", "date__lte"],
        "last_used_at": ["date__lte"],
    }  # fmt: skip
    search_fields = ("name", "prefix", "user__email", "user__username")
    list_export = ("name", "prefix", "user.email", "scopes", "created_at", "last_used_at", "expires_at", "revoked_at")  # fmt: skip
    inspect_view_fields = ("name", "prefix", "user", "scopes", "per_minute", "monthly_images", "created_at", "last_used_at", "expires_at", "revoked_at")  # fmt: skip


class RevokeKey(RowAction):
    model_class = ApiKey
    display_name = "Revoke"
    action_type = "revoke"
    permission = "pricing.change_apikey"
    question = "These work no more from now on, and never again:"
    done = "revoked"
    icon_name = "bin"
    classes: ClassVar[set[str]] = {"no"}

    @classmethod
    def fits(cls, row: ApiKey) -> bool:
        return row.revoked_at is None

    def act(self, row: ApiKey, *, by: Any, form: forms.Form) -> None:
        services.key_revoke(user=row.user, key_id=row.pk)


class AccountsGroup(SnippetViewSetGroup):
    menu_label = "Accounts"
    menu_name = "accounts"
    menu_icon = "user"
    menu_order = 380
    items = (
        KeyViewSet, snippets_accounts.AddressViewSet, snippets_accounts.SecondStepViewSet,
        snippets_accounts.LinkedAccountViewSet,
    )  # fmt: skip


class PricesGroup(SnippetViewSetGroup):
    menu_label = "Prices"
    menu_name = "prices"
    menu_icon = "tag"
    menu_order = 370
    items = (
        snippets_credits.ApplicationViewSet, snippets_plans.PlanViewSet, snippets_plans.MachineViewSet, snippets_plans.AccountViewSet, snippets_plans.AllotmentViewSet,
        snippets_plans.EntryViewSet,
    )  # fmt: skip


class PaymentsGroup(SnippetViewSetGroup):
    menu_label = "Payments"
    menu_name = "payments"
    menu_icon = "doc-full"
    menu_order = 375
    items = (
        snippets_billing.InvoiceViewSet, snippets_billing.SubscriptionViewSet, snippets_billing.CustomerViewSet,
        snippets_billing.EventViewSet, snippets_billing.MeterViewSet,
    )  # fmt: skip


register_snippet(AccountsGroup)
register_snippet(PricesGroup)
register_snippet(PaymentsGroup)
register_actions(
    snippets_credits.Approve, snippets_credits.Decline, snippets_credits.Ask, snippets_credits.Note,
    snippets_credits.TakeBack, snippets_plans.ChangePlan, RevokeKey, snippets_accounts.RemoveSecondStep, snippets_accounts.VerifyAddress,
    snippets_accounts.MakePrimary, snippets_accounts.RemoveAddress, snippets_billing.ReadAgain, snippets_billing.EventAgain,
    snippets_billing.MeterAgain,
)  # fmt: skip


class MailsItem(MenuItem):
    """Shown to whoever may change what mails say."""

    def is_shown(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(views_mails.MAY))


@hooks.register("register_settings_menu_item")
def mails_item() -> MenuItem:
    return MailsItem("Mails", reverse("mails"), icon_name="mail", order=715)


@hooks.register("register_admin_urls")
def mails_urls() -> list[URLPattern]:
    return [
        path("mails/", views_mails.mail_list, name="mails"),
        path("mails/<slug:name>/", views_mails.mail_edit, name="mail_edit"),
    ]


@hooks.register(waiting.HOOK)
def waits(user: Any) -> list[Waiting]:
    """Applications for credits to decide on; what went wrong with payments."""
    open_ = CreditApplication.objects.filter(state__in=("submitted", "half"))
    may = user.has_perm("pricing.change_creditapplication")
    events = PaymentEvent.objects.filter(state=PaymentEvent.State.FAILED, next_at=None)
    meters = MeterEvent.objects.filter(state__in=(MeterEvent.State.REFUSED, MeterEvent.State.UNCLEAR))  # fmt: skip
    return [
        Waiting("applications for credits to decide on", open_.count, listed(CreditApplication, state="submitted"), may),
        Waiting(
            "payment events that could not be carried out", events.count,
            listed(PaymentEvent, state="failed"), user.has_perm("pricing.change_paymentevent"),
        ),
        Waiting(
            "lines of the ledger that Stripe may not have counted", meters.count, listed(MeterEvent),
            user.has_perm("pricing.change_meterevent"),
        ),
        Waiting(
            "invoices whose images are not the ledger's", Invoice.objects.filter(differs=True).count,
            listed(Invoice, differs="true"), user.has_perm("pricing.view_invoice"),
        ),
    ]  # fmt: skip


class CreditsReportItem(MenuItem):
    """Shown to whoever decides on applications."""

    def is_shown(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(views_reports.MAY))


@hooks.register("register_reports_menu_item")
def credits_report_item() -> MenuItem:
    return CreditsReportItem(
        "Research credits", reverse("credits_report"), icon_name="group", order=730
    )


@hooks.register("register_admin_urls")
def credits_report_urls() -> list[URLPattern]:
    return [
        path("reports/research-credits/", views_reports.report, name="credits_report"),
        path("credits/files/<int:attachment_id>/", views_reports.credit_file, name="credit_file"),
    ]
