"""What is known of a table apart from its rows: whether they still hold, and tests that were made."""

from typing import Any, ClassVar

from django.db import models

from leaderboard.models.benchmarks import Benchmark
from leaderboard.models.challenges import Challenge
from leaderboard.models.submissions import Score


class TableState(models.Model):
    """One for each table: a benchmark's, or a challenge's standings.

    Whatever changes what a table stands for raises its generation in the same transaction, so that
    neither a lost message nor a killed worker leaves it as it was; rows that were computed for another
    generation are not written.
    """

    benchmark = models.OneToOneField(
        Benchmark, null=True, blank=True, on_delete=models.CASCADE, related_name="table_state"
    )
    challenge = models.OneToOneField(
        Challenge, null=True, blank=True, on_delete=models.CASCADE, related_name="table_state"
    )
    generation = models.PositiveBigIntegerField(default=0)
    stale_since = models.DateTimeField(
        null=True, blank=True, help_text="What it stands for has changed; empty when it holds."
    )
    made_at = models.DateTimeField(null=True, blank=True)
    leader = models.UUIDField(
        null=True, blank=True, help_text="The submission that led when it was made."
    )
    failures = models.PositiveSmallIntegerField(default=0, help_text="In a row.")
    tried_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.CheckConstraint(
                condition=models.Q(benchmark__isnull=True) ^ models.Q(challenge__isnull=True),
                name="table_of_one",
            )
        ]
        indexes: ClassVar[list[Any]] = [
            models.Index(
                fields=["stale_since"], name="table_stale",
                condition=models.Q(stale_since__isnull=False),
            )
        ]  # fmt: skip

    def __str__(self) -> str:
        return str(self.benchmark or self.challenge)


class PairTest(models.Model):
    """What the paired test of two scores gave: one more entry costs only its own pairs."""

    first = models.ForeignKey(Score, on_delete=models.CASCADE, related_name="+")
    second = models.ForeignKey(Score, on_delete=models.CASCADE, related_name="+")
    basis = models.CharField(
        max_length=64, help_text="SHA-256 of both scores' items and of the test's version."
    )
    p = models.FloatField()

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["first", "second"], name="one_test_a_pair")
        ]

    def __str__(self) -> str:
        return f"{self.first_id} and {self.second_id}: p = {self.p:.2g}"
