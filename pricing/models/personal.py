"""Archives of a person's data, and accounts that are to be deleted."""

from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone


class DataExport(models.Model):
    """An archive of all that the site keeps of a person: asked for, made, taken away, gone."""

    class State(models.TextChoices):
        QUEUED = "queued", "Waits for a worker"
        RUNNING = "running", "Is being made"
        READY = "ready", "Ready"
        FAILED = "failed", "Failed"
        EXPIRED = "expired", "Deleted"

    OPEN: ClassVar[tuple[str, ...]] = ("queued", "running")

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="data_exports"
    )
    state = models.CharField(max_length=8, choices=State, default=State.QUEUED)
    step = models.CharField(max_length=60, blank=True, help_text="What is being collected.")
    done = models.PositiveSmallIntegerField(default=0)
    steps = models.PositiveSmallIntegerField(default=0)
    attempt = models.PositiveSmallIntegerField(default=0)
    file = models.CharField(max_length=200, blank=True, help_text="In the private storage, sealed.")
    sealed_key = models.CharField(max_length=400, blank=True, editable=False)
    size_bytes = models.BigIntegerField(default=0)
    files = models.PositiveIntegerField(default=0)
    requested_at = models.DateTimeField(auto_now_add=True)
    advanced_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "data export"
        ordering: ClassVar[list[str]] = ["-pk"]
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                fields=["user"],
                condition=Q(state__in=("queued", "running")),
                name="one_export_at_once",
            )
        ]

    def __str__(self) -> str:
        return f"Export {self.pk}, {self.get_state_display().lower()}"

    @property
    def is_open(self) -> bool:
        return self.state in self.OPEN

    @property
    def is_ready(self) -> bool:
        return self.state == self.State.READY and bool(
            self.expires_at and self.expires_at > timezone.now()
        )

    @property
    def percent(self) -> int:
        return round(100 * self.done / self.steps) if self.steps else 0


class AccountDeletion(models.Model):
    """That an account is to be deleted. The row stays when it is done, and names nobody."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="deletions"
    )
    requested_at = models.DateTimeField(auto_now_add=True)
    due_at = models.DateTimeField()
    undone_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    erased_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "account deletion"
        ordering: ClassVar[list[str]] = ["-pk"]
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                fields=["user"],
                condition=Q(undone_at=None, erased_at=None),
                name="one_deletion_at_once",
            )
        ]

    def __str__(self) -> str:
        return f"Deletion {self.pk}"

    def days_left(self, now: datetime | None = None) -> int:
        """Whole days until it is due, the begun one counted; 0 once it is."""
        left = (self.due_at - (now or timezone.now())).total_seconds()
        return max(0, -int(-left // 86_400))
