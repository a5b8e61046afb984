"""Plans: what an account may use, in versions with a date from which they hold."""

from datetime import date
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from modelcluster.fields import ParentalKey
from modelcluster.models import ClusterableModel

from pricing.periods import month_after, month_of

PRICE = RegexValidator(r"^price_\w+\Z", "A price of Stripe begins with price_.")
SOLD = ("stripe_price", "stripe_metered_price")
"""How a version is sold may be added to one that holds: nobody's month changes by it."""


class Plan(ClusterableModel):  # type: ignore[django-manager-missing]
    """Who may use how much; what that is, its versions say."""

    class Role(models.TextChoices):
        """What a plan is to those who chose none."""

        NONE = "", "Given by an admin or bought"
        DEFAULT = "default", "Every account without another plan"
        TRIAL = "trial", "Whoever asks without an account"

    slug = models.SlugField(unique=True, max_length=40)
    name = models.CharField(max_length=40)
    audience = models.CharField(max_length=160, help_text="Who it is for, in a sentence.")
    role = models.CharField(max_length=10, choices=Role, default=Role.NONE, blank=True)
    call_label = models.CharField(max_length=40, blank=True, help_text="What its link says.")
    call_url = models.CharField(
        max_length=200, blank=True, help_text="Where one gets it; an address here or mailto:…"
    )
    is_shown = models.BooleanField(default=True, help_text="It is on the page of prices.")
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering: ClassVar[list[str]] = ["position", "name"]
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                fields=["role"], condition=~models.Q(role=""), name="one_plan_a_role"
            )
        ]

    def __str__(self) -> str:
        return self.name


class PlanVersion(models.Model):
    """What a plan gives from a day on. A month goes by the version that held when it began."""

    plan = ParentalKey(Plan, on_delete=models.CASCADE, related_name="versions")
    holds_from = models.DateField(help_text="The first of a month that has not begun.")
    monthly_dollars = models.DecimalField(
        "dollars a month", max_digits=8, decimal_places=2, null=True, blank=True,
        help_text="Empty: by agreement.",
    )  # fmt: skip
    images = models.PositiveBigIntegerField(
        "images a month", null=True, blank=True, help_text="Empty: no limit of the plan's."
    )
    benchmarks_only = models.BooleanField(
        default=False, help_text="Its images are those of registered benchmarks and data sets."
    )
    per_second = models.PositiveIntegerField(
        "requests a second", null=True, blank=True, help_text="Empty: what the server is set to."
    )
    concurrent = models.PositiveIntegerField(
        "jobs at a time", null=True, blank=True, help_text="Empty: what the server is set to."
    )
    training_minutes = models.PositiveIntegerField(
        "training minutes a month",
        null=True,
        blank=True,
        help_text="Empty: no limit of the plan's.",
    )
    storage_mb = models.PositiveIntegerField(
        "MB of data sets and checkpoints", null=True, blank=True,
        help_text="Empty: what the server is set to.",
    )  # fmt: skip
    margin_percent = models.DecimalField(
        "margin in percent", max_digits=6, decimal_places=2, default=0,
        help_text="What is added to the cost of an image where this plan's price is shown.",
    )  # fmt: skip
    stripe_price = models.CharField(
        "Stripe's price", max_length=80, blank=True, validators=[PRICE],
        help_text="As in price_…: monthly, of exactly the dollars above. Empty: it is not sold by Stripe.",
    )  # fmt: skip
    stripe_metered_price = models.CharField(
        "Stripe's price of images", max_length=80, blank=True, validators=[PRICE],
        help_text="A metered price, where images are charged one by one too.",
    )  # fmt: skip

    class Meta:
        verbose_name = "version"
        ordering: ClassVar[list[str]] = ["-holds_from"]
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["plan", "holds_from"], name="plan_version_day")
        ]

    def __str__(self) -> str:
        return f"{self.plan.name}, from {self.holds_from:%-d %B %Y}"

    @property
    def holds(self) -> bool:
        """Whether its day has come: months go by it, and it is not changed any more."""
        return self.holds_from <= timezone.now().date()

    def clean(self) -> None:
        super().clean()
        self._price_check()
        day: date | None = self.holds_from
        if day is None:  # the form says so
            return
        kept = PlanVersion.objects.filter(pk=self.pk).first() if self.pk else None
        if kept is not None and kept.holds:
            if self._differs(kept):
                raise ValidationError(
                    f"The version of {kept.holds_from} holds already. Add one for a month that has not begun."
                )
            return
        if self.holds_from.day != 1:
            raise ValidationError({"holds_from": "A version holds from the first of a month."})
        others = PlanVersion.objects.filter(plan=self.plan_id) if self.plan_id else PlanVersion.objects.none()  # fmt: skip
        is_first = not others.exclude(pk=self.pk).exists()
        if not is_first and self.holds_from < month_after(month_of(timezone.now())):
            raise ValidationError({"holds_from": "A change never touches a month that has begun."})

    def _differs(self, kept: "PlanVersion") -> bool:
        fields = (f.attname for f in self._meta.concrete_fields)
        return any(
            getattr(self, name) != getattr(kept, name)
            for name in fields
            if name not in SOLD or getattr(kept, name)
        )

    def _price_check(self) -> None:
        """A price of Stripe is one plan's: which plan is paid for follows from it."""
        for name in SOLD:
            price = getattr(self, name)
            others = PlanVersion.objects.exclude(plan=self.plan_id)
            if (
                price
                and others.filter(Q(stripe_price=price) | Q(stripe_metered_price=price)).exists()
            ):
                raise ValidationError({name: "Another plan has this price."})
        if self.stripe_price and not self.monthly_dollars:
            raise ValidationError({"stripe_price": "Say what a month costs, as at Stripe."})
        if self.stripe_metered_price and not self.stripe_price:
            raise ValidationError({"stripe_metered_price": "It comes beside a monthly price."})
        if self.stripe_price and self.stripe_price == self.stripe_metered_price:
            raise ValidationError(
                {"stripe_metered_price": "It is another price than the monthly one."}
            )

    @property
    def first_month(self) -> date:
        return self.holds_from.replace(day=1)
