"""Figures of models on benchmarks."""

from typing import Any, ClassVar

from django.db import models


class ReportedFigure(models.Model):
    """A score somebody published, with where and when; nothing here was run by this server."""

    benchmark = models.CharField(max_length=60)
    metric = models.CharField(max_length=60)
    unit = models.CharField(max_length=12, blank=True)
    higher_is_better = models.BooleanField(default=True)
    model = models.CharField(max_length=80)
    is_ours = models.BooleanField("Moondream", default=False)
    value = models.FloatField()
    source = models.CharField(max_length=160, help_text="Who reports it.")
    source_url = models.URLField()
    reported_on = models.DateField()
    caveat = models.CharField(max_length=300, blank=True)
    is_shown = models.BooleanField(default=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["benchmark", "-value"]
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                fields=["benchmark", "metric", "model", "source_url"], name="one_figure_a_source"
            )
        ]

    def __str__(self) -> str:
        return f"{self.model} · {self.benchmark}: {self.text}"

    @property
    def text(self) -> str:
        """The value with as many digits as its source gives."""
        return f"{self.value:g}"
