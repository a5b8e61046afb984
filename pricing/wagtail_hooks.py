"""API keys in the admin: whose they are and what they may do. No secret is kept, so none is shown."""

from typing import Any, ClassVar

from django import forms
from wagtail.admin.ui.tables import Column
from wagtail.snippets.models import register_snippet

from inference.listings import RoomViewSet, RowAction, register_actions
from pricing import services
from pricing.models import ApiKey


def _scopes(key: ApiKey) -> str:
    return ", ".join(key.scopes)


class KeyViewSet(RoomViewSet):
    model = ApiKey
    icon = "key"
    menu_label = "API keys"
    menu_name = "api-keys"
    menu_order = 380
    add_to_admin_menu = True
    joined = ("user",)
    large = ("digest",)
    list_display = (
        "name",
        "prefix",
        "user",
        Column("scopes", label="For", accessor=_scopes),
        "created_at",
        "last_used_at",
        "revoked_at",
    )
    list_filter: ClassVar[Any] = {
        "revoked_at": ["isnull"], "created_at": ["date__gte", "date__lte"],
        "last_used_at": ["date__lte"],
    }  # fmt: skip
    search_fields = ("name", "prefix", "user__email", "user__username")
    list_export = ("name", "prefix", "user.email", "scopes", "created_at", "last_used_at", "revoked_at")  # fmt: skip
    inspect_view_fields = ("name", "prefix", "user", "scopes", "created_at", "last_used_at", "revoked_at")  # fmt: skip


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


register_snippet(KeyViewSet)
register_actions(RevokeKey)
