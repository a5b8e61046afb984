"""What machines cost, and what answers took on them."""

from typing import Any, ClassVar

from django.core.validators import MinValueValidator
from django.db import models

from inference.models import Skill, Variant


class MachinePrice(models.Model):
    """What an hour of a kind of machine costs, where that is published, and when it was looked up."""

    name = models.CharField(max_length=80, help_text="As in c7i.large, us-east-1.")
    device = models.CharField(
        max_length=20, default="cpu", help_text="What runs on it here: cpu or cuda."
    )
    matches = models.CharField(
        max_length=80, blank=True,
        help_text="A part of the hardware's name as variants were measured on it. Empty: any of the device.",
    )  # fmt: skip
    dollars_an_hour = models.DecimalField(
        max_digits=9, decimal_places=5, validators=[MinValueValidator(0)]
    )
    batch_gain = models.DecimalField(
        max_digits=5, decimal_places=2, default=1, validators=[MinValueValidator(1)],
        help_text="How many times more images an hour has when they are answered together.",
    )  # fmt: skip
    source = models.CharField(max_length=160, help_text="Where the price is published.")
    source_url = models.URLField(blank=True)
    checked_on = models.DateField(help_text="When somebody looked.")
    position = models.PositiveSmallIntegerField(default=0, help_text="The first that fits counts.")

    class Meta:
        verbose_name = "machine's price"
        verbose_name_plural = "machines' prices"
        ordering: ClassVar[list[str]] = ["position", "name"]

    def __str__(self) -> str:
        return self.name

    def fits(self, device: str, hardware: str) -> bool:
        """Whether it is the price of a machine that something was measured on."""
        return device.startswith(self.device) and self.matches.lower() in hardware.lower()


class MeasuredTime(models.Model):
    """What a variant's answers of one skill took of a worker in the last thirty days."""

    variant = models.ForeignKey(Variant, on_delete=models.CASCADE, related_name="measured_times")
    skill = models.CharField(max_length=10, choices=Skill.choices)
    median_s = models.FloatField()
    p95_s = models.FloatField()
    output_tokens = models.FloatField(help_text="The median.")
    answers = models.PositiveIntegerField()
    measured_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["variant", "skill"], name="measured_time")
        ]

    def __str__(self) -> str:
        return f"{self.skill} by {self.variant_id}: {self.median_s:.3f} s"
