"""The outbox: what happened, who wants to be told, and each telling with all that was tried."""

import uuid
from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from leaderboard.models import Benchmark, Team


def event_uid() -> str:
    """Has no dot: it stands in what is signed, between dots."""
    return f"evt_{uuid.uuid4().hex}"


def delivery_uid() -> str:
    """The `webhook-id`: the same over all tries of a delivery."""
    return f"msg_{uuid.uuid4().hex}"


class Subscription(models.Model):
    """Where somebody wants to be told, and of what."""

    class Target(models.TextChoices):
        WEBHOOK = "webhook", "Webhook"
        SLACK = "slack", "Slack"
        DISCORD = "discord", "Discord"
        EMAIL = "email", "E-mail"

    class State(models.TextChoices):
        UNCONFIRMED = "unconfirmed", "Waits for confirmation"
        ACTIVE = "active", "Active"
        PAUSED = "paused", "Paused"
        DISABLED = "disabled", "Disabled"

    class Frequency(models.TextChoices):
        AT_ONCE = "at_once", "At once"
        DAILY = "daily", "Once a day"
        WEEKLY = "weekly", "Once a week"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True,
        related_name="subscriptions", help_text="Empty: somebody without an account.",
    )  # fmt: skip
    name = models.CharField(max_length=80, blank=True)
    target = models.CharField(max_length=10, choices=Target.choices)
    email = models.EmailField(
        blank=True, help_text="Where mail goes; of a public webhook whoever confirmed it."
    )
    host = models.CharField(max_length=255, blank=True, help_text="Of the address.")
    url_sealed = models.TextField(blank=True, editable=False)
    secret_sealed = models.TextField(blank=True, editable=False)
    former_secret_sealed = models.TextField(blank=True, editable=False)
    former_secret_until = models.DateTimeField(null=True, blank=True)
    kinds = ArrayField(models.CharField(max_length=40))
    boards = models.ManyToManyField(
        Benchmark, blank=True, related_name="+", help_text="Only of these; none is all."
    )
    frequency = models.CharField(
        max_length=8, choices=Frequency.choices, default=Frequency.AT_ONCE,
        help_text="Of mail.",
    )  # fmt: skip
    state = models.CharField(max_length=12, choices=State.choices, default=State.UNCONFIRMED)
    disabled_reason = models.CharField(max_length=200, blank=True)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    asked_at = models.DateTimeField(
        null=True, blank=True, help_text="When a mail last asked to confirm it."
    )
    failing_since = models.DateTimeField(
        null=True, blank=True, help_text="The first failure after the last success."
    )
    given_up = models.PositiveIntegerField(
        default=0, help_text="Deliveries in a row that no try brought through."
    )
    not_before = models.DateTimeField(
        null=True, blank=True, help_text="The receiver asked to wait, or is away."
    )
    busy_until = models.DateTimeField(null=True, blank=True, editable=False)
    busy_with = models.UUIDField(null=True, blank=True, editable=False)
    succeeded_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at"]
        indexes: ClassVar[list[Any]] = [models.Index(fields=["email"], name="subscription_email")]
        constraints: ClassVar[list[Any]] = [
            models.CheckConstraint(
                condition=models.Q(user__isnull=False) | ~models.Q(email=""),
                name="subscription_of_somebody",
            )
        ]

    def __str__(self) -> str:
        return self.name or self.email or self.host

    @property
    def is_mail(self) -> bool:
        return self.target == self.Target.EMAIL

    @property
    def is_signed(self) -> bool:
        return self.target == self.Target.WEBHOOK

    @property
    def where(self) -> str:
        """Where it goes, without what is secret in an address."""
        return self.email if self.is_mail else self.host

    @property
    def two_secrets(self) -> bool:
        """Whether the former secret signs as well."""
        until = self.former_secret_until
        return bool(self.former_secret_sealed) and until is not None and until > timezone.now()


class Event(models.Model):
    """Something that happened, written in the transaction in which it did."""

    id = models.BigAutoField(primary_key=True)
    uid = models.CharField(max_length=40, unique=True, default=event_uid, editable=False)
    kind = models.CharField(max_length=40)
    once = models.CharField(
        max_length=120, unique=True, null=True, blank=True,
        help_text="What is told only once has a name here.",
    )  # fmt: skip
    title = models.CharField(max_length=200)
    text = models.CharField(max_length=500, blank=True)
    path = models.CharField(max_length=300, help_text="Of the page about it, on this site.")
    subject = models.CharField(max_length=64, blank=True, help_text="The id of what it is about.")
    data = models.JSONField(default=dict, help_text="Ids that programs read.")
    benchmark = models.ForeignKey(
        Benchmark, null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="+",
        help_text="Whose alone it is.",
    )  # fmt: skip
    team = models.ForeignKey(
        Team, null=True, blank=True, on_delete=models.CASCADE, related_name="+",
        help_text="Whose members alone have it.",
    )  # fmt: skip
    only_for = models.ForeignKey(
        Subscription, null=True, blank=True, on_delete=models.CASCADE, related_name="+",
        help_text="A test, or news of the subscription itself.",
    )  # fmt: skip
    occurred_at = models.DateTimeField(default=timezone.now)
    spread_at = models.DateTimeField(
        null=True, blank=True, help_text="When deliveries were made of it."
    )

    class Meta:
        ordering: ClassVar[list[str]] = ["-id"]
        indexes: ClassVar[list[Any]] = [
            models.Index(
                fields=["id"], name="event_waits", condition=models.Q(spread_at__isnull=True)
            ),
            models.Index(fields=["kind", "-id"], name="event_kind"),
        ]

    def __str__(self) -> str:
        return self.title


class Delivery(models.Model):
    """One event for one subscription, until it is there or given up."""

    class State(models.TextChoices):
        PENDING = "pending", "Waiting"
        DELIVERED = "delivered", "Delivered"
        FAILED = "failed", "Failed"
        SKIPPED = "skipped", "Not sent"

    id = models.BigAutoField(primary_key=True)
    uid = models.CharField(max_length=40, unique=True, default=delivery_uid, editable=False)
    subscription = models.ForeignKey(
        Subscription, on_delete=models.CASCADE, related_name="deliveries"
    )
    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="deliveries")
    is_repeat = models.BooleanField(default=False, help_text="Somebody asked for it once more.")
    again = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="+",
        help_text="The one that this repeats, while it is kept.",
    )  # fmt: skip
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    note = models.CharField(max_length=200, blank=True)
    tries = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-id"]
        verbose_name_plural = "deliveries"
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                fields=["subscription", "event"], condition=models.Q(is_repeat=False),
                name="one_delivery",
            )
        ]  # fmt: skip
        indexes: ClassVar[list[Any]] = [
            models.Index(
                fields=["due_at"], name="delivery_due", condition=models.Q(state="pending")
            ),
            models.Index(fields=["subscription", "-id"], name="delivery_log"),
        ]

    def __str__(self) -> str:
        return self.uid

    @property
    def is_open(self) -> bool:
        return self.state == self.State.PENDING

    @property
    def next_at(self) -> datetime | None:
        """When it is tried next."""
        return self.due_at if self.is_open else None


class Attempt(models.Model):
    """One try: what was sent, and what came back. Long answers are cut."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="attempts")
    at = models.DateTimeField(default=timezone.now)
    request_headers = models.JSONField(default=dict)
    request_body = models.TextField(blank=True)
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    response_headers = models.JSONField(default=list)
    response_body = models.TextField(blank=True)
    error = models.CharField(max_length=20, blank=True)
    message = models.CharField(max_length=200, blank=True)
    duration_ms = models.PositiveIntegerField(default=0)

    class Meta:
        ordering: ClassVar[list[str]] = ["pk"]

    def __str__(self) -> str:
        return str(self.status or self.error)

    @property
    def succeeded(self) -> bool:
        return not self.error and self.status is not None and 200 <= self.status < 300
