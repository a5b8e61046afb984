"""API keys of accounts."""

from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone


class Scope(models.TextChoices):
    """What a key may be used for."""

    INFER = "infer", "Ask the model"
    SUBMIT = "submit", "Submit to leaderboards"
    FINETUNE = "finetune", "Tune models"
    READ = "read", "Read usage, submissions and tuning runs"


class ApiKey(models.Model):
    """A key of one account. The secret itself is shown once and never stored."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_keys"
    )
    name = models.CharField(max_length=60)
    prefix = models.CharField(max_length=12, unique=True)
    digest = models.CharField(max_length=64, help_text="SHA-256 of the whole key.")
    scopes = models.JSONField(default=list)
    monthly_images = models.PositiveIntegerField(
        null=True, blank=True, help_text="The most that it may use of the account's images a month."
    )
    per_minute = models.PositiveIntegerField(
        null=True, blank=True, help_text="Requests a minute, within the account's own limit."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    replaced_by = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="replaces",
        help_text="The key that took its place when it was rotated.",
    )  # fmt: skip

    class Meta:
        verbose_name = "API key"
        ordering: ClassVar[list[Any]] = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def works_at(self, moment: datetime) -> bool:
        """Whether it is neither revoked nor expired; its account has to be active besides."""
        return self.revoked_at is None and (self.expires_at is None or moment < self.expires_at)

    @property
    def has_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()
