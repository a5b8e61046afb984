"""What the checks found, kept for the history that later pages draw."""

from django.db import models


class CheckResult(models.Model):
    """One check of one component."""

    class State(models.TextChoices):
        UP = "up", "Operational"
        DEGRADED = "degraded", "Degraded"
        DOWN = "down", "Down"
        UNKNOWN = "unknown", "Not checked"

    component = models.CharField(max_length=80)
    label = models.CharField(max_length=120)
    state = models.CharField(max_length=10, choices=State.choices)
    latency_ms = models.FloatField(null=True, blank=True)
    note = models.CharField(max_length=300, blank=True)
    checked_at = models.DateTimeField(db_index=True)

    class Meta:
        ordering = ["-checked_at"]
        indexes = [models.Index(fields=["component", "-checked_at"], name="check_component")]

    def __str__(self) -> str:
        return f"{self.component}: {self.state}"
