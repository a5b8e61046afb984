"""Models of this site run over a split, one job an item."""

from typing import Any, ClassVar

from django.db import models

from inference.models import Variant, model_name
from leaderboard.models.benchmarks import Split
from leaderboard.models.submissions import Submission


class Run(models.Model):
    """One variant, or an adapter of it, over one split; goes on where it stopped, and asks nothing twice."""

    class Status(models.TextChoices):
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    split = models.ForeignKey(Split, on_delete=models.CASCADE, related_name="runs")
    variant = models.ForeignKey(Variant, on_delete=models.CASCADE, related_name="runs")
    adapter = models.CharField(
        max_length=40, blank=True, help_text="finetune@step; empty: the variant itself."
    )
    revision = models.CharField(max_length=80)
    data_hash = models.CharField(max_length=64)
    status = models.CharField(max_length=10, choices=Status, default=Status.RUNNING)
    error = models.CharField(max_length=300, blank=True)
    submission = models.OneToOneField(
        Submission, null=True, blank=True, on_delete=models.SET_NULL, related_name="run"
    )
    started_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-started_at"]
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                fields=["split", "variant", "adapter"],
                condition=models.Q(status="running"),
                name="one_run_at_a_time",
            )
        ]

    def __str__(self) -> str:
        return f"{self.model_name} on {self.split_id}"

    @property
    def model_name(self) -> str:
        """What runs, as a client names it."""
        return model_name(self.variant, self.adapter)


class RunAnswer(models.Model):
    """What the variant answered about one item."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="answers")
    key = models.CharField(max_length=80)
    prediction = models.JSONField()
    total_ms = models.FloatField()
    worker_ms = models.FloatField(
        null=True,
        help_text="The worker's time: a share of it where several were answered together.",
    )
    output_tokens = models.PositiveIntegerField(null=True)

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["run", "key"], name="answer_key")
        ]

    def __str__(self) -> str:
        return self.key
