"""What models are measured on. References are not here: see `leaderboard.vault`."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db import models

from inference.engine.metrics.numeric import np
from leaderboard import errors
from leaderboard.scoring import TASKS, Metric, Task, units


def task_choices() -> list[tuple[str, str]]:
    """The tasks there is a scorer for."""
    return [(task.slug, task.title) for task in TASKS.values()]


class Benchmark(models.Model):  # type: ignore[django-manager-missing]
    """One leaderboard: a task on a set of images."""

    class EntryRule(models.TextChoices):
        BEST = "best", "A team's best"
        LATEST = "latest", "A team's latest"
        ALL = "all", "Every submission"

    slug = models.SlugField(unique=True, max_length=60)
    title = models.CharField(max_length=80)
    summary = models.CharField(max_length=300)
    task = models.CharField(max_length=20, choices=task_choices)
    primary_metric = models.CharField(
        max_length=40, blank=True, help_text="The one that ranks; empty for the task's own."
    )
    prompt = models.CharField(
        max_length=300, blank=True, help_text="What was asked, where every image is asked the same."
    )
    licence = models.CharField(max_length=80)
    source = models.CharField(max_length=160)
    source_url = models.URLField(blank=True)
    entry_rule = models.CharField(max_length=8, choices=EntryRule, default=EntryRule.BEST)
    is_open = models.BooleanField(default=True, help_text="Takes submissions.")
    is_shown = models.BooleanField(default=True)
    position = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["position", "title"]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return f"/leaderboards/{self.slug}/"

    @property
    def rules(self) -> Task:
        """How it is scored."""
        return TASKS[self.task]

    @property
    def ranked_by(self) -> Metric:
        """The metric that ranks."""
        return (
            self.rules.metric(self.primary_metric) if self.primary_metric else self.rules.metrics[0]
        )

    @property
    def metrics(self) -> list[Metric]:
        """All of them in the order of columns: the one that ranks first."""
        first = self.ranked_by
        return [first, *(m for m in self.rules.metrics if m != first)]


class Split(models.Model):
    """Some of a benchmark's items: public ones to work with, or hidden ones that rank."""

    benchmark = models.ForeignKey(Benchmark, on_delete=models.CASCADE, related_name="splits")
    name = models.SlugField(max_length=20)
    is_public = models.BooleanField(
        help_text="References can be downloaded; scores of single items are shown."
    )
    ranks = models.BooleanField(default=False, help_text="Its scores are the table's.")
    daily_limit = models.PositiveIntegerField(null=True, blank=True, help_text="A team's, a day.")
    total_limit = models.PositiveIntegerField(null=True, blank=True, help_text="A team's, in all.")
    item_count = models.PositiveIntegerField(default=0)
    labels: models.JSONField = models.JSONField(
        null=True, blank=True, editable=False,
        help_text="The classes its references name, to warn of files that name none. Not published.",
    )  # fmt: skip
    data_hash = models.CharField(
        max_length=64, blank=True, help_text="Of a hidden split keyed: see `vault.fingerprint`."
    )
    slices = models.JSONField(
        default=dict, blank=True, editable=False,
        help_text="Category → how many items; what is told by category is decided by it.",
    )  # fmt: skip
    sealed_as = models.CharField(
        max_length=200, blank=True, editable=False, help_text="In the private storage."
    )
    retired_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Another took its place then."
    )
    published_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When its hidden references became public."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["benchmark", "-is_public", "name"]
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["benchmark", "name"], name="split_name"),
            models.UniqueConstraint(
                fields=["benchmark"], condition=models.Q(ranks=True), name="one_split_ranks"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.benchmark_id}/{self.name}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """
        Raises:
            Conflict: it was hidden and is public now, or the other way round. `split_publish` alone
                does that, and says so in the log.
        """
        fields = kwargs.get("update_fields")
        if (fields is None or "is_public" in fields) and self.turned:
            raise errors.SPLIT_VISIBILITY()
        super().save(*args, **kwargs)

    def clean(self) -> None:
        super().clean()
        if self.turned:
            raise ValidationError({"is_public": "References are made public by the action for it."})

    @property
    def turned(self) -> bool:
        """Whether it is kept as hidden and is public here, or the other way round."""
        kept = Split.objects.filter(pk=self.pk) if self.pk else Split.objects.none()
        return kept.exclude(is_public=self.is_public).exists()

    def units(self) -> np.ndarray:
        """(N,) by item, in their order: what is drawn and flipped together."""
        return units(self.items.order_by("position").values_list("image", "key"))


class BenchmarkItem(models.Model):
    """What a model is given: an image and what is asked of it. Holds nothing of the reference."""

    split = models.ForeignKey(Split, on_delete=models.CASCADE, related_name="items")
    key = models.CharField(max_length=80)
    position = models.PositiveIntegerField()
    image = models.CharField(max_length=200, help_text="In the media storage, or an address.")
    prompt = models.CharField(max_length=500, blank=True)
    category = models.CharField(max_length=60, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["position"]
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["split", "key"], name="item_key")
        ]
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["split", "position"], name="item_position")
        ]

    def __str__(self) -> str:
        return self.key
