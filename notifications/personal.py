"""Of subscriptions (`inference.personal`)."""

from typing import Any

from django.db.models import Q

from inference.personal import Archive, PersonalData, Rule, counted, register, rows_of
from leaderboard.models import Submission
from notifications.models import Delivery, Event, Subscription


class NotificationData(PersonalData):
    title = "Webhooks and mail"
    rules = {
        "notifications.Subscription.user": Rule.DELETE,
        "notifications.Event.owner": Rule.DELETE,
    }

    def export(self, user: Any, archive: Archive) -> None:
        """Subscriptions without addresses that are secrets, what was sent to them, and what the person alone
        was told."""
        archive.json("notifications/subscriptions", rows_of(
            Subscription.objects.filter(user=user), "id", "name", "target", "host", "email", "kinds",
            "frequency", "state", "disabled_reason", "confirmed_at", "created_at",
        ))  # fmt: skip
        archive.json("notifications/deliveries", rows_of(
            Delivery.objects.filter(subscription__user=user), "uid", "subscription_id", "event__kind",
            "event__title", "state", "note", "tries", "created_at", "ended_at",
        ))  # fmt: skip
        archive.json("notifications/events", rows_of(
            Event.objects.filter(owner=user), "uid", "kind", "title", "text", "path", "occurred_at"
        ))  # fmt: skip

    def deleted(self, user: Any) -> list[str]:
        count = Subscription.objects.filter(user=user).count()
        return counted((count, "subscription to news", "subscriptions to news"))

    def stop(self, user: Any) -> None:
        """Nothing more is sent."""
        Subscription.objects.filter(user=user).exclude(state=Subscription.State.UNCONFIRMED).update(
            state=Subscription.State.PAUSED
        )

    def erase(self, user: Any) -> None:
        Subscription.objects.filter(user=user).delete()
        # News of their submissions name their team and their models.
        sent = Submission.objects.filter(Q(created_by=user) | Q(team__members=user))
        about = [str(pk) for pk in sent.values_list("pk", flat=True)]
        Event.objects.filter(Q(owner=user) | Q(subject__in=about)).delete()


register(NotificationData())
