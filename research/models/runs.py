"""How notebooks' runs went."""

from typing import Any, ClassVar

from django.db import models


class NotebookRun(models.Model):
    """One execution of a notebook against a live server, reported by `manage.py notebooks run`."""

    class State(models.TextChoices):
        PASSED = "passed", "Passed"
        FAILED = "failed", "Failed"

    notebook = models.ForeignKey(
        "research.NotebookPage", related_name="runs", on_delete=models.CASCADE
    )
    state = models.CharField(max_length=8, choices=State.choices)
    finished_at = models.DateTimeField()
    seconds = models.FloatField()
    commit = models.CharField(max_length=40, blank=True)
    digest = models.CharField(max_length=64, help_text="SHA-256 of the notebook that ran.")
    error = models.TextField(blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-finished_at"]
        indexes: ClassVar[list[Any]] = [models.Index(fields=["notebook", "-finished_at"])]

    def __str__(self) -> str:
        return f"{self.notebook_id} {self.state} {self.finished_at:%Y-%m-%d %H:%M}"
