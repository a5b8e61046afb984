"""The ledger: what accounts may use, hold and have used.

Rows of `LedgerEntry` move an amount from one side of an allotment to another and are never changed: the
database refuses it. The counters of an `Allotment` are the sums of its entries, kept beside them so that a
request need not add them up. Only the functions of `pricing/sql/ledger.sql` and `pricing.services` write.
"""

from datetime import date
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from pricing.models.credits import CreditApplication
from pricing.models.plans import Plan, PlanVersion


class Meter(models.TextChoices):
    """What is counted."""

    IMAGES = "images", "Images"
    TRAINING = "training", "Seconds of training"
    STORAGE = "storage", "MB kept for a day"


class LedgerAccount(models.Model):
    """Who uses: a person's account, the network of callers without one, or this site itself. What was used
    stays when the person goes."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True,
        related_name="ledger_account",
    )  # fmt: skip
    network = models.CharField(
        max_length=64, blank=True, help_text="Digest of an address or its /64."
    )
    is_house = models.BooleanField(default=False)
    plan = models.ForeignKey(
        Plan, on_delete=models.PROTECT, null=True, blank=True, related_name="accounts",
        help_text="Empty: the plan of those who chose none.",
    )  # fmt: skip
    coming_plan = models.ForeignKey(
        Plan, on_delete=models.PROTECT, null=True, blank=True, related_name="+",
        help_text="The plan from that month on; empty: the plan of those who chose none.",
    )  # fmt: skip
    coming_from = models.DateField(
        null=True, blank=True, help_text="The first of the month from which another plan holds."
    )
    note = models.CharField(max_length=200, blank=True, help_text="Why it has this plan.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "account's plan"
        verbose_name_plural = "accounts' plans"
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                fields=["network"], condition=~Q(network=""), name="ledger_account_network"
            ),
            models.UniqueConstraint(
                fields=["is_house"], condition=Q(is_house=True), name="one_house_account"
            ),
        ]

    def __str__(self) -> str:
        if self.is_house:
            return "This site"
        return str(self.user) if self.user_id else f"Former account {self.pk}"

    def plan_in(self, month: date) -> int | None:
        """The id of the plan that it has in a month; None is the plan of those who chose none."""
        if self.coming_from is not None and self.coming_from <= month:
            return self.coming_plan_id
        return self.plan_id


class Allotment(models.Model):
    """An amount of one meter that an account may use until a moment: a month of its plan, or a grant."""

    class Kind(models.TextChoices):
        PLAN = "plan", "A month of the plan"
        CREDIT = "credit", "Research credits"

    account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="allotments")
    meter = models.CharField(max_length=8, choices=Meter)
    kind = models.CharField(max_length=6, choices=Kind)
    plan_version = models.ForeignKey(
        PlanVersion, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    application = models.ForeignKey(
        CreditApplication,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="allotments",
    )
    period = models.DateField(null=True, blank=True, help_text="The month, of a plan's.")
    benchmarks_only = models.BooleanField(default=False)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    granted = models.BigIntegerField(null=True, blank=True, help_text="Empty: without a limit.")
    held = models.BigIntegerField(default=0, db_default=0)
    used = models.BigIntegerField(default=0, db_default=0)
    lapsed = models.BigIntegerField(default=0, db_default=0)
    alerted = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="The percentage that a mail was sent about."
    )
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now())

    class Meta:
        ordering: ClassVar[list[Any]] = ["account", "meter", "ends_at"]
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                fields=["account", "meter", "period", "plan_version"], condition=Q(kind="plan"),
                nulls_distinct=False, name="one_allotment_a_month",
            ),
            models.CheckConstraint(
                condition=Q(held__gte=0, used__gte=0, lapsed__gte=0), name="allotment_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(granted=None) | Q(granted__gte=F("held") + F("used") + F("lapsed")),
                name="allotment_within_grant",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.get_kind_display()}, {self.get_meter_display().lower()}"

    @property
    def left(self) -> int | None:
        """What can still be taken; None without a limit."""
        if self.granted is None:
            return None
        return self.granted - self.held - self.used - self.lapsed

    @property
    def left_minutes(self) -> int:
        """The same of training."""
        return (self.left or 0) // 60


class LedgerEntry(models.Model):
    """An amount moved from one side of an allotment to another; never changed, never deleted."""

    class Side(models.TextChoices):
        """Where an amount is. What is issued is what this site gave: its balance is negative."""

        ISSUED = "issued"
        AVAILABLE = "available"
        HELD = "held"
        USED = "used"
        LAPSED = "lapsed"

    class Kind(models.TextChoices):
        GRANT = "grant", "Given"
        RESERVE = "reserve", "Reserved"
        SETTLE = "settle", "Used"
        RELEASE = "release", "Given back"
        LAPSE = "lapse", "Lapsed"
        WITHDRAW = "withdraw", "Taken back"

    allotment = models.ForeignKey(Allotment, on_delete=models.PROTECT, related_name="entries")
    account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="entries")
    kind = models.CharField(max_length=8, choices=Kind)
    debit = models.CharField(max_length=9, choices=Side, help_text="Where it comes from.")
    credit = models.CharField(max_length=9, choices=Side, help_text="Where it goes.")
    amount = models.BigIntegerField()
    subject = models.UUIDField(null=True, blank=True, help_text="The job, run or call.")
    closes = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="closed_by",
        help_text="The reservation that ends by this: one row ends it, once.",
    )  # fmt: skip
    key_id = models.BigIntegerField(default=0, db_default=0, help_text="The API key; 0 without.")
    variant = models.CharField(max_length=80, blank=True, db_default="")
    adapter = models.CharField(max_length=40, blank=True, db_default="")
    skill = models.CharField(max_length=12, blank=True, db_default="")
    source = models.CharField(max_length=20, blank=True, db_default="")
    reason = models.CharField(max_length=200, blank=True, db_default="")
    created_at = models.DateTimeField(auto_now_add=True, db_default=Now())

    class Meta:
        ordering: ClassVar[list[Any]] = ["id"]
        verbose_name_plural = "ledger entries"
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["subject"], condition=~Q(subject=None), name="entry_subject"),
            models.Index(fields=["account", "created_at"], name="entry_account_time"),
        ]
        constraints: ClassVar[list[Any]] = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="entry_amount"),
            models.CheckConstraint(condition=~Q(debit=F("credit")), name="entry_moves"),
            models.UniqueConstraint(
                fields=["subject", "allotment"], condition=Q(kind="reserve"),
                name="one_reservation_a_subject",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.amount}"


class Hold(models.Model):
    """A reservation that is open. The row goes when it is settled or released: whoever deletes it does."""

    entry = models.OneToOneField(
        LedgerEntry, on_delete=models.PROTECT, primary_key=True, related_name="hold"
    )
    account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="+")
    subject = models.UUIDField(db_index=True)
    meter = models.CharField(max_length=8, choices=Meter)
    source = models.CharField(max_length=20, blank=True)
    created_at = models.DateTimeField(db_default=Now(), db_index=True)

    class Meta:
        verbose_name = "open reservation"

    def __str__(self) -> str:
        return f"{self.meter} of {self.subject}"


class UsageDay(models.Model):
    """What was settled of one kind on one day: the sums that pages show."""

    account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="usage")
    day = models.DateField()
    meter = models.CharField(max_length=8, choices=Meter)
    key_id = models.BigIntegerField(default=0)
    variant = models.CharField(max_length=80, blank=True)
    adapter = models.CharField(max_length=40, blank=True)
    skill = models.CharField(max_length=12, blank=True)
    source = models.CharField(max_length=20, blank=True)
    amount = models.BigIntegerField(default=0)
    requests = models.BigIntegerField(default=0)
    seconds = models.FloatField(default=0, help_text="Of a worker.")

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                fields=["account", "day", "meter", "key_id", "variant", "adapter", "skill", "source"],
                name="usage_once",
            )
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.amount} {self.meter} on {self.day}"


class KeyMonth(models.Model):
    """What a key with a limit of its own holds and has used in a month."""

    key_id = models.BigIntegerField()
    period = models.DateField()
    taken = models.BigIntegerField(default=0)

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["key_id", "period"], name="key_month")
        ]

    def __str__(self) -> str:
        return f"{self.taken} in {self.period:%Y-%m}"


class RegisteredImage(models.Model):
    """An image of a benchmark or data set that is registered here, by what it shows: the SHA-256 of the
    normalised image, as jobs name it. The Research plan is for these. One file may have several: as it is
    published, and as the official client writes it anew."""

    sha256 = models.CharField(max_length=64, db_index=True)
    dataset = models.CharField(max_length=80)
    file = models.CharField(max_length=200, help_text="In the media storage.")
    registered_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["dataset", "file", "sha256"], name="registered_once")
        ]

    def __str__(self) -> str:
        return f"{self.sha256[:12]} of {self.dataset}"
