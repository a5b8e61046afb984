"""Who submits, what, how it was scored, and what the table shows of it."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from inference.engine.metrics.numeric import np
from leaderboard.metrics.intervals import sums_by_unit
from leaderboard.models.benchmarks import Benchmark, Split
from leaderboard.names import look_of


class Role(models.TextChoices):
    """What somebody is in a team; what each may do is in `leaderboard.roles`."""

    OWNER = "owner", "Owner"
    MEMBER = "member", "Member"
    BILLING = "billing", "Billing"


class Team(models.Model):
    """Who an entry belongs to. Everybody who submits has one; colleagues can be added."""

    name = models.CharField(max_length=60, unique=True)
    look = models.CharField(
        max_length=220, unique=True, editable=False,
        help_text="Names that look alike have the same (leaderboard.names.look_of).",
    )  # fmt: skip
    members = models.ManyToManyField(
        settings.AUTH_USER_MODEL, related_name="teams", blank=True, through="Membership"
    )
    is_ours = models.BooleanField(default=False, help_text="Entries this site runs itself.")
    invite_code = models.CharField(max_length=43, blank=True, editable=False, db_index=True)
    invite_until = models.DateTimeField(null=True, blank=True, editable=False)
    invited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, editable=False, on_delete=models.SET_NULL,
        related_name="+", help_text="The invitation holds while they may invite.",
    )  # fmt: skip
    invite_role = models.CharField(
        max_length=8, choices=Role, default=Role.MEMBER, editable=False,
        help_text="What whoever joins by it becomes.",
    )  # fmt: skip
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        # Two teams that were there before looks were compared keep theirs, the second with a "#".
        if self.look.partition("#")[0] != look_of(self.name):
            self.look = look_of(self.name)
            fields = kwargs.get("update_fields")
            if fields is not None and "name" in fields:
                kwargs["update_fields"] = {*fields, "look"}
        super().save(*args, **kwargs)


class Membership(models.Model):
    """Somebody in a team. A team with members has an owner, whoever saves it (`receivers`)."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=8, choices=Role, default=Role.MEMBER)
    joined_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "leaderboard_team_members"
        ordering: ClassVar[list[str]] = ["pk"]
        unique_together: ClassVar[list[Any]] = [("team", "user")]

    def __str__(self) -> str:
        return f"{self.user} in {self.team}"


class Submission(models.Model):
    """Predictions for one split, from their upload to their score."""

    class Status(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Scoring"
        SCORED = "scored", "Scored"
        FAILED = "failed", "Failed"
        WITHDRAWN = "withdrawn", "Withdrawn"

    UNFINISHED = (Status.QUEUED, Status.RUNNING)

    class Provenance(models.TextChoices):
        VERIFIED = "verified", "Scored here from predictions"
        REPRODUCED = "reproduced", "Run and scored here"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    split = models.ForeignKey(Split, on_delete=models.CASCADE, related_name="submissions")
    phase = models.ForeignKey(
        "leaderboard.Phase", null=True, blank=True, on_delete=models.PROTECT,
        related_name="submissions", help_text="Of the challenge it was submitted to, if to one.",
    )  # fmt: skip
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="submissions")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL,
        related_name="submissions",
    )  # fmt: skip
    provenance = models.CharField(max_length=12, choices=Provenance, default=Provenance.VERIFIED)
    model_name = models.CharField(max_length=80)
    parameters = models.BigIntegerField(null=True, blank=True)
    precision = models.CharField(max_length=20, blank=True)
    revision = models.CharField(max_length=80, blank=True)
    link = models.URLField(blank=True)
    contact = models.EmailField(blank=True, help_text="For us; never shown.")
    note = models.CharField(max_length=500, blank=True)
    open_weights = models.BooleanField(default=False)
    is_public = models.BooleanField(default=True)
    variant_slug = models.CharField(
        max_length=80, blank=True, help_text="Of the model of this site that predicted."
    )
    adapter = models.CharField(
        max_length=40, blank=True, help_text="finetune@step, where that is a tuned model."
    )
    latency_ms = models.FloatField(
        null=True, blank=True,
        help_text="Median of one item: measured here where we ran it, else as its team reports it.",
    )  # fmt: skip
    peak_bytes = models.BigIntegerField(null=True, blank=True)
    hardware = models.CharField(max_length=200, blank=True)
    device = models.CharField(max_length=20, blank=True, help_text="It ran on here: cpu or cuda.")
    worker_ms = models.FloatField(
        null=True, blank=True, help_text="Median of a worker's time for one item, where we ran it."
    )
    output_tokens = models.FloatField(
        null=True, blank=True, help_text="Median of one answer's, where we ran it."
    )

    file = models.CharField(max_length=200, help_text="In the private storage.")
    file_sha256 = models.CharField(max_length=64)
    idempotency_key = models.CharField(max_length=128, blank=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED)
    attempt = models.PositiveSmallIntegerField(default=0)
    error_code = models.CharField(max_length=40, blank=True)
    error_message = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(
        default=timezone.now, editable=False, help_text="When the request reached the server."
    )
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at"]
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["team", "-created_at"], name="submission_team"),
            models.Index(fields=["status", "created_at"], name="submission_status"),
        ]
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                fields=["team", "idempotency_key"],
                condition=~models.Q(idempotency_key=""),
                name="submission_idempotency",
            )
        ]

    def __str__(self) -> str:
        return f"{self.model_name} ({self.id})"

    def get_absolute_url(self) -> str:
        return f"/leaderboards/submissions/{self.id}/"

    @property
    def site_model(self) -> str:
        """The model of this site that predicted, as a client names it; empty for any other."""
        return f"{self.variant_slug}/{self.adapter}" if self.adapter else self.variant_slug

    @property
    def is_sealed(self) -> bool:
        """Whether it is to a phase that tells nothing before the final ranking, and that is not out."""
        phase = self.phase
        return phase is not None and not phase.is_live and not phase.challenge.published_at

    @property
    def is_finished(self) -> bool:
        return self.status not in self.UNFINISHED


class Score(models.Model):
    """One metric of one submission as one version of the scorer gave it; kept when a newer one comes."""

    LARGE = ("per_item", "contributions")
    """Columns with a figure for each item, which lists of scores need not read."""

    submission = models.ForeignKey(Submission, on_delete=models.CASCADE, related_name="scores")
    metric = models.CharField(max_length=40)
    version = models.PositiveSmallIntegerField()
    value = models.FloatField()
    low = models.FloatField()
    high = models.FloatField()
    signature = models.CharField(max_length=200)
    by_category = models.JSONField(default=dict, blank=True)
    per_item = models.BinaryField(null=True, blank=True, help_text="float32, in the items' order.")
    contributions = models.BinaryField(
        null=True, blank=True,
        help_text="float32, by unit: what two such scores are paired by; of figures that are no mean.",
    )  # fmt: skip
    is_current = models.BooleanField(
        default=True, help_text="Not so while it is in shadow, or old."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["pk"]
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                fields=["submission", "metric", "signature"], name="score_signature"
            )
        ]

    def __str__(self) -> str:
        return f"{self.metric} {self.value:g}"

    def items(self) -> np.ndarray | None:
        """(N,) scores by item in the split's order; None where the metric has none."""
        if self.per_item is None:
            return None
        return np.frombuffer(self.per_item, dtype=np.float32).astype(float)

    def by_unit(self, units: np.ndarray) -> np.ndarray | None:
        """What a paired test compares: (U,) sums over the units that `units` (N,) names for each item,
        or what each unit contributes to a figure that is no mean; None where neither is kept."""
        if self.contributions is not None:
            return np.frombuffer(self.contributions, dtype=np.float32).astype(float)
        items = self.items()
        if items is None or len(items) != len(units):
            return None
        return sums_by_unit(items[:, None], units)[:, 0]


class Ranked(models.Model):
    """A row with a rank: what it stands for, its figures, and where paired tests leave it."""

    model_name = models.CharField(max_length=80)
    team_name = models.CharField(max_length=60, blank=True)
    figures = models.JSONField(default=dict, help_text="Metric → {value, low, high}.")
    score = models.FloatField(
        null=True, help_text="Of the ranking metric, turned so that more is better."
    )
    rank = models.PositiveIntegerField(null=True)
    rank_first = models.PositiveIntegerField(null=True)
    rank_last = models.PositiveIntegerField(null=True)
    scored_at = models.DateTimeField()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.model_name

    @property
    def ranks(self) -> str:
        """ "2", or "1–3" where paired tests leave it open."""
        if self.rank is None:
            return "—"
        if self.rank_first is None or self.rank_first == self.rank_last:
            return str(self.rank)
        return f"{self.rank_first}–{self.rank_last}"


class Entry(Ranked):
    """A row of a table, made anew from what it stands for: a submission that is shown, or a figure
    somebody reported. One table with the same columns, so that a page of it is one query."""

    benchmark = models.ForeignKey(Benchmark, on_delete=models.CASCADE, related_name="entries")
    submission = models.OneToOneField(
        Submission, null=True, blank=True, on_delete=models.CASCADE, related_name="entry"
    )
    provenance = models.CharField(max_length=12)
    is_ours = models.BooleanField(default=False)
    parameters = models.BigIntegerField(null=True, blank=True)
    precision = models.CharField(max_length=20, blank=True)
    open_weights = models.BooleanField(default=False)
    latency_ms = models.FloatField(null=True, blank=True)
    hardware = models.CharField(max_length=200, blank=True)
    device = models.CharField(max_length=20, blank=True)
    worker_ms = models.FloatField(null=True, blank=True)
    output_tokens = models.FloatField(null=True, blank=True)
    link = models.URLField(blank=True)
    source = models.CharField(max_length=160, blank=True)
    caveat = models.CharField(max_length=300, blank=True)
    expired = models.CharField(
        max_length=120,
        blank=True,
        help_text="Why its figures are of the past; empty while they hold.",
    )

    class Meta:
        ordering: ClassVar[list[Any]] = [models.F("score").desc(nulls_last=True), "scored_at", "pk"]
        indexes: ClassVar[list[Any]] = [
            models.Index(
                "benchmark", models.F("score").desc(nulls_last=True), "scored_at", "id",
                name="entry_order",
            )
        ]  # fmt: skip

    def get_absolute_url(self) -> str:
        return f"/leaderboards/entries/{self.submission_id}/" if self.submission_id else self.link

    @property
    def is_measured(self) -> bool:
        """Whether its latency was measured here."""
        return self.provenance == Submission.Provenance.REPRODUCED


class QuotaLine(models.Model):
    """A submission's cost, or its refund: never changed, balances are sums."""

    team = models.ForeignKey(
        Team, null=True, on_delete=models.SET_NULL, related_name="quota_lines",
        help_text="Empty once it is deleted: what its members used stays used.",
    )  # fmt: skip
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+",
        help_text="Who submitted: it counts for the person in every team.",
    )  # fmt: skip
    person = models.CharField(
        max_length=64, blank=True, help_text="See `services.quota.person_of`: outlives the account."
    )
    split = models.ForeignKey(Split, on_delete=models.CASCADE, related_name="+")
    phase = models.ForeignKey(
        "leaderboard.Phase", null=True, blank=True, on_delete=models.SET_NULL, related_name="+",
        help_text="Counted there, and not among the split's own.",
    )  # fmt: skip
    submission = models.ForeignKey(
        Submission, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    amount = models.SmallIntegerField(help_text="1 when it was taken, -1 when it was given back.")
    reason = models.CharField(max_length=80)
    day = models.DateField(help_text="In UTC, when the request came; also for a refund.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["pk"]
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["team", "split", "day"], name="quota_day"),
            models.Index(fields=["user", "split"], name="quota_user"),
            models.Index(
                fields=["person", "split"], condition=~models.Q(person=""), name="quota_person"
            ),
        ]
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                fields=["submission"], condition=models.Q(amount=-1), name="one_refund"
            )
        ]

    def __str__(self) -> str:
        return f"{self.amount:+d} {self.reason}"


class LogLine(models.Model):
    """What happened on a leaderboard, in order: only ever added to."""

    benchmark = models.ForeignKey(Benchmark, on_delete=models.CASCADE, related_name="log")
    submission_id = models.UUIDField(null=True, blank=True)
    actor = models.CharField(max_length=80)
    action = models.CharField(max_length=40)
    text = models.CharField(max_length=300)
    is_public = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-pk"]

    def __str__(self) -> str:
        return self.text
