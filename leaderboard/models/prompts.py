"""Prompts that a published result was measured with, proposed by anybody, approved by editors."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models.functions import Coalesce, Lower

from inference.models import Skill
from leaderboard.models.benchmarks import Benchmark
from leaderboard.models.reported import ReportedFigure


class BenchmarkPrompt(models.Model):
    """One prompt of a benchmark: ours, or one that only others report on."""

    class State(models.TextChoices):
        PROPOSED = "proposed", "Waiting for an editor"
        APPROVED = "approved", "Approved"
        DECLINED = "declined", "Declined"

    benchmark = models.ForeignKey(
        Benchmark, null=True, blank=True, on_delete=models.CASCADE, related_name="curated_prompts",
        help_text="One with a leaderboard here.",
    )  # fmt: skip
    name = models.CharField(
        "other benchmark", max_length=60, blank=True, help_text="As in TextVQA, without one here."
    )
    skill = models.CharField(max_length=10, choices=[(s.value, s.label) for s in Skill])
    text = models.TextField(
        max_length=500, help_text="{question} or {object} stands for what each item asks."
    )
    note = models.CharField(max_length=300, blank=True, help_text="What to know about it.")
    source = models.CharField(max_length=160, help_text="Where the prompt is published.")
    source_url = models.URLField()
    figure = models.ForeignKey(
        ReportedFigure, null=True, blank=True, on_delete=models.SET_NULL, related_name="prompts",
        help_text="The published figure that was measured with it.",
    )  # fmt: skip
    state = models.CharField(max_length=10, choices=State, default=State.PROPOSED, editable=False)
    reason = models.CharField(max_length=300, blank=True, editable=False)
    proposed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False,
        on_delete=models.SET_NULL, related_name="proposed_prompts",
    )  # fmt: skip
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False,
        on_delete=models.SET_NULL, related_name="decided_prompts",
    )  # fmt: skip
    created_at = models.DateTimeField(auto_now_add=True)
    decided_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "benchmark prompt"
        ordering: ClassVar[list[str]] = ["name", "pk"]
        constraints: ClassVar[list[Any]] = [
            models.CheckConstraint(
                condition=models.Q(benchmark__isnull=False, name="")
                | (models.Q(benchmark__isnull=True) & ~models.Q(name="")),
                name="prompt_of_one_benchmark",
                violation_error_message="Choose a leaderboard, or name another benchmark: one of them.",
            ),
            # What was declined may be proposed again, better.
            models.UniqueConstraint(
                Coalesce("benchmark", 0), Lower("name"), "skill", Lower("text"),
                condition=~models.Q(state="declined"), name="one_prompt_once",
                violation_error_message="This prompt is there already.",
            ),
        ]  # fmt: skip
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["state", "name"], name="prompt_state"),
        ]

    def __str__(self) -> str:
        return f"{self.title}: {self.text[:60]}"

    @property
    def title(self) -> str:
        """The benchmark's name."""
        return self.benchmark.title if self.benchmark else self.name
