"""How accounts sign in, in the admin: their mail addresses, second steps, and accounts elsewhere. No
secret and no code is shown."""

from typing import Any, ClassVar

from django import forms
from django.urls import reverse
from django.utils.http import urlencode
from wagtail import hooks
from wagtail.admin.widgets.button import Button

from inference.listings import RoomViewSet, RowAction
from pricing import services
from pricing.models import LinkedAccount, MailAddress, SecondStep

_OF_USER = ("user__username", "user__email")


class AddressViewSet(RoomViewSet):
    model = MailAddress
    icon = "mail"
    joined = ("user",)
    list_display = ("email", "user", "verified", "primary")
    list_filter = ("verified", "primary")
    search_fields = ("email", *_OF_USER)
    list_export = ("email", "user.username", "verified", "primary")
    inspect_view_fields = ("email", "user", "verified", "primary")


class SecondStepViewSet(RoomViewSet):
    model = SecondStep
    icon = "lock"
    joined = ("user",)
    large = ("data",)
    list_display = ("user", "type", "created_at", "last_used_at")
    list_filter: ClassVar[Any] = {"type": ["exact"], "last_used_at": ["date__lte"]}
    search_fields = _OF_USER
    list_export = ("user.username", "user.email", "type", "created_at", "last_used_at")
    inspect_view_fields = ("user", "type", "created_at", "last_used_at")


class LinkedAccountViewSet(RoomViewSet):
    model = LinkedAccount
    icon = "link"
    joined = ("user",)
    large = ("extra_data",)
    list_display = ("user", "provider", "uid", "last_login", "date_joined")
    list_filter = ("provider",)
    search_fields = ("uid", *_OF_USER)
    list_export = ("user.username", "user.email", "provider", "uid", "last_login", "date_joined")
    inspect_view_fields = ("user", "provider", "uid", "last_login", "date_joined")


class RemoveSecondStep(RowAction):
    """For who lost the app and the codes."""

    model_class = SecondStep
    display_name = "Remove second step"
    action_type = "remove"
    permission = "pricing.delete_secondstep"
    question = (
        "These accounts sign in by their password alone from then on, until a second step is set up "
        "again. Be sure that it is their owner who asks."
    )
    done = "removed"
    icon_name = "lock-open"
    classes: ClassVar[set[str]] = {"no"}

    @classmethod
    def about(cls, row: SecondStep) -> Any:
        return row.user

    def act(self, row: SecondStep, *, by: Any, form: forms.Form) -> None:
        services.second_step_remove(user=row.user, by=by)


class _OfAddresses(RowAction):
    model_class = MailAddress
    permission = "pricing.change_mailaddress"

    @classmethod
    def about(cls, row: MailAddress) -> Any:
        return row.user


class VerifyAddress(_OfAddresses):
    display_name = "Mark as verified"
    action_type = "verify"
    question = "These count as their account's own, as if the link in the mail had been followed:"
    done = "verified"
    icon_name = "check"

    @classmethod
    def fits(cls, row: MailAddress) -> bool:
        return not row.verified

    def act(self, row: MailAddress, *, by: Any, form: forms.Form) -> None:
        services.address_verify(address=row, by=by)


class MakePrimary(_OfAddresses):
    display_name = "Make primary"
    action_type = "make_primary"
    question = "Mail to their accounts goes to these from now on:"
    done = "made primary"
    icon_name = "mail"

    @classmethod
    def fits(cls, row: MailAddress) -> bool:
        return not row.primary

    def act(self, row: MailAddress, *, by: Any, form: forms.Form) -> None:
        services.address_make_primary(address=row, by=by)


class RemoveAddress(_OfAddresses):
    display_name = "Remove"
    action_type = "remove"
    question = "These are no longer addresses of their accounts:"
    done = "removed"
    icon_name = "bin"
    classes: ClassVar[set[str]] = {"no"}

    @classmethod
    def fits(cls, row: MailAddress) -> bool:
        return not row.primary

    def act(self, row: MailAddress, *, by: Any, form: forms.Form) -> None:
        services.address_remove(address=row, by=by)


@hooks.register("register_user_listing_buttons")
def of_user(user: Any, request_user: Any) -> list[Button]:
    """From an account to how it signs in."""
    found = urlencode({"q": user.email or user.get_username()})
    return [
        Button(label, f"{reverse(model.snippet_viewset.get_url_name('list'))}?{found}", icon_name=icon)  # type: ignore[attr-defined]
        for label, model, icon in (("Mail addresses", MailAddress, "mail"), ("Second steps", SecondStep, "lock"))
        if request_user.has_perm(f"pricing.view_{model._meta.model_name}")
    ]  # fmt: skip
