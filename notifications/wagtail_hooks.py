"""Subscriptions, deliveries and events in the admin. No address and no secret is shown, only hosts."""

from typing import Any, ClassVar

from django import forms
from wagtail import hooks
from wagtail.snippets.models import register_snippet
from wagtail.snippets.views.snippets import SnippetViewSetGroup

from inference import waiting
from inference.listings import RoomViewSet, RowAction, register_actions
from inference.waiting import Waiting, listed
from notifications import services
from notifications.models import Delivery, Event, Subscription

State = Subscription.State


class SubscriptionViewSet(RoomViewSet):
    model = Subscription
    icon = "mail"
    menu_label = "Subscriptions"
    joined = ("user",)
    large = ("url_sealed", "secret_sealed", "former_secret_sealed")
    list_display = ("__str__", "target", "host", "email", "user", "state", "failing_since", "succeeded_at", "created_at")  # fmt: skip
    list_filter: ClassVar[Any] = {
        "target": ["exact"], "state": ["exact"], "failing_since": ["isnull"],
        "created_at": ["date__gte", "date__lte"],
    }  # fmt: skip
    search_fields = ("name", "host", "email", "user__username", "user__email")
    list_export = ("name", "target", "host", "email", "user.email", "kinds", "state", "failing_since", "succeeded_at", "created_at")  # fmt: skip
    inspect_view_fields = ("name", "target", "host", "email", "user", "kinds", "boards", "frequency", "state", "disabled_reason", "confirmed_at", "failing_since", "given_up", "not_before", "succeeded_at", "former_secret_until", "created_at")  # fmt: skip


class DeliveryViewSet(RoomViewSet):
    model = Delivery
    icon = "resubmit"
    menu_label = "Deliveries"
    joined = ("subscription", "event")
    list_display = ("uid", "event", "subscription", "state", "note", "tries", "due_at", "created_at", "ended_at")  # fmt: skip
    list_filter: ClassVar[Any] = {
        "state": ["exact"], "event__kind": ["exact"], "created_at": ["date__gte", "date__lte"],
    }  # fmt: skip
    search_fields = ("uid", "note", "subscription__host", "subscription__email", "event__uid")
    list_export = ("uid", "event.uid", "event.kind", "subscription.host", "subscription.email", "state", "note", "tries", "created_at", "ended_at")  # fmt: skip
    inspect_view_fields = ("uid", "event", "subscription", "is_repeat", "again", "state", "note", "tries", "due_at", "created_at", "ended_at")  # fmt: skip


class EventViewSet(RoomViewSet):
    model = Event
    icon = "history"
    menu_label = "Events"
    joined = ("benchmark", "owner", "team")
    list_display = ("title", "kind", "occurred_at", "spread_at", "owner", "team")
    list_filter: ClassVar[Any] = {
        "kind": ["exact"], "spread_at": ["isnull"], "occurred_at": ["date__gte", "date__lte"],
    }  # fmt: skip
    search_fields = ("title", "uid", "kind")
    list_export = ("uid", "kind", "title", "path", "occurred_at", "spread_at")
    inspect_view_fields = ("uid", "kind", "title", "text", "path", "data", "benchmark", "owner", "team", "occurred_at", "spread_at")  # fmt: skip


class _OfSubscriptions(RowAction):
    model_class = Subscription
    permission = "notifications.change_subscription"


class DisableSubscription(_OfSubscriptions):
    display_name = "Disable"
    action_type = "disable"
    question = (
        "Nothing more is sent to these; their owners are told by mail, and may enable them again:"
    )
    done = "disabled"
    icon_name = "cross"
    classes: ClassVar[set[str]] = {"no"}

    @classmethod
    def fits(cls, row: Subscription) -> bool:
        return row.state != State.DISABLED

    def act(self, row: Subscription, *, by: Any, form: forms.Form) -> None:
        services.subscription_disable(subscription=row, reason="An admin disabled it.")


class EnableSubscription(_OfSubscriptions):
    display_name = "Enable"
    action_type = "enable"
    question = "These are sent news again:"
    done = "enabled"
    icon_name = "check"

    @classmethod
    def fits(cls, row: Subscription) -> bool:
        return row.state in (State.DISABLED, State.PAUSED)

    def act(self, row: Subscription, *, by: Any, form: forms.Form) -> None:
        services.subscription_enable(subscription=row)


class DeleteSubscription(_OfSubscriptions):
    display_name = "Delete"
    action_type = "erase"
    permission = "notifications.delete_subscription"
    question = "These are deleted with their deliveries, and their mail addresses with them:"
    done = "deleted"
    icon_name = "bin"
    is_deletion = True
    classes: ClassVar[set[str]] = {"no"}

    def act(self, row: Subscription, *, by: Any, form: forms.Form) -> None:
        services.subscription_delete(subscription=Subscription(pk=row.pk))


class RepeatDelivery(RowAction):
    model_class = Delivery
    permission = "notifications.change_delivery"
    display_name = "Send again"
    action_type = "repeat"
    question = "These are sent once more, each as a delivery of its own:"
    done = "sent again"
    icon_name = "resubmit"

    @classmethod
    def fits(cls, row: Delivery) -> bool:
        return not row.is_open

    def act(self, row: Delivery, *, by: Any, form: forms.Form) -> None:
        services.delivery_repeat(delivery=row)


class NotificationsGroup(SnippetViewSetGroup):
    menu_label = "Notifications"
    menu_name = "notifications"
    menu_icon = "mail"
    menu_order = 395
    items = (SubscriptionViewSet, DeliveryViewSet, EventViewSet)


register_snippet(NotificationsGroup)
register_actions(DisableSubscription, EnableSubscription, DeleteSubscription, RepeatDelivery)


@hooks.register(waiting.HOOK)
def waits(user: Any) -> list[Waiting]:
    """Subscriptions that were disabled because nothing reached them."""
    disabled = Subscription.objects.filter(state=State.DISABLED)
    may = user.has_perm("notifications.view_subscription")
    return [
        Waiting("subscriptions that are disabled", disabled.count, listed(Subscription, state="disabled"), may),
    ]  # fmt: skip
