"""Challenges: a benchmark with dates, teams that join, and a ranking at the end."""

from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.contenttypes.fields import GenericRelation
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.utils import timezone
from modelcluster.fields import ParentalKey
from modelcluster.models import ClusterableModel
from wagtail.models import DraftStateMixin, LockableMixin, RevisionMixin, WorkflowMixin

from leaderboard.models.benchmarks import Benchmark, Split
from leaderboard.models.submissions import Entry, Ranked, Submission, Team


class Challenge(WorkflowMixin, DraftStateMixin, LockableMixin, RevisionMixin, ClusterableModel):  # type: ignore[django-manager-missing]
    """What can be joined, and until when. Its copy and rules are a page of the CMS. Who may not publish
    it saves a draft of it, of which nothing is shown and by which no split is shut."""

    slug = models.SlugField(unique=True, max_length=60)
    title = models.CharField(max_length=80)
    summary = models.CharField(max_length=300)
    benchmark = models.ForeignKey(Benchmark, on_delete=models.PROTECT, related_name="challenges")
    opens_at = models.DateTimeField()
    closes_at = models.DateTimeField(help_text="A request that reaches the server later is late.")
    freeze_at = models.DateTimeField(
        null=True, blank=True,
        help_text="From then on the public standings stand still until the final ranking.",
    )  # fmt: skip
    team_size = models.PositiveSmallIntegerField(
        default=5, validators=[MinValueValidator(1)], help_text="Members of a team, at most."
    )
    needs_approval = models.BooleanField(
        default=False, help_text="Teams that join wait until an admin accepts them."
    )
    is_shown = models.BooleanField(default=True)
    is_sample = models.BooleanField(
        "sample", default=False, help_text="Illustrates; labelled “sample” everywhere."
    )
    published_at = models.DateTimeField(
        "final ranking published", null=True, blank=True, editable=False
    )
    page_url = models.CharField(
        max_length=255, blank=True, editable=False, help_text="Where its rules are, once published."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    _revisions = GenericRelation("wagtailcore.Revision", related_query_name="challenge")
    workflow_states = GenericRelation(
        "wagtailcore.WorkflowState", content_type_field="base_content_type",
        object_id_field="object_id", related_query_name="challenge", for_concrete_model=False,
    )  # fmt: skip

    SETTLED: ClassVar[tuple[str, ...]] = ("published_at", "page_url", "created_at")
    """Fields that no editor sets: a draft has them as they were when it was saved."""

    class Meta:
        ordering: ClassVar[list[str]] = ["-opens_at", "title"]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return f"/leaderboards/challenges/{self.slug}/"

    @classmethod
    def shown(cls) -> models.QuerySet["Challenge"]:
        """Those that anybody may see."""
        now = timezone.now()
        in_time = models.Q(expire_at=None) | models.Q(expire_at__gt=now)
        return cls.objects.filter(in_time, is_shown=True, live=True)

    @property
    def is_visible(self) -> bool:
        """Whether it is one of those."""
        in_time = self.expire_at is None or self.expire_at > timezone.now()
        return self.is_shown and self.live and in_time

    def with_content_json(self, content: dict[str, Any]) -> "Challenge":
        """A draft, with what has been settled since it was saved: the final ranking, a freeze that has
        begun, and phases that have submissions, which neither go nor get another split."""
        draft: Challenge = super().with_content_json(content)
        draft.freeze_at = self.freeze_begun or draft.freeze_at
        now = Challenge.objects.filter(pk=self.pk).values(*self.SETTLED).first() or {}
        for name, value in now.items():
            setattr(draft, name, value)
        known = {phase.pk: phase for phase in draft.phases.all()}
        for used in Phase.objects.filter(challenge=self.pk, submissions__isnull=False).distinct():
            if used.pk in known:
                known[used.pk].split = used.split
            else:
                draft.phases.add(used)
        return draft

    @property
    def metric(self) -> str:
        """The name of what ranks."""
        return self.benchmark.ranked_by.name

    @property
    def state(self) -> str:
        """ "upcoming", "open", "closed", or "final" once its ranking is published."""
        return "final" if self.published_at else dates_state(self.opens_at, self.closes_at)

    @property
    def is_frozen(self) -> bool:
        """Whether the public standings stand still."""
        return self.freeze_at is not None and timezone.now() >= self.freeze_at

    @property
    def freeze_begun(self) -> datetime | None:
        """Since when the standings stand still, as it is stored, whatever a draft says; None while they
        do not. It ends with the final ranking alone."""
        begun = Challenge.objects.filter(pk=self.pk, freeze_at__lte=timezone.now())
        return begun.values_list("freeze_at", flat=True).first()

    def clean(self) -> None:
        super().clean()
        # A missing date is the form's own error; there is nothing to compare then.
        dates: tuple[datetime | None, datetime | None] = (self.opens_at, self.closes_at)
        if None in dates:
            return
        if self.closes_at <= self.opens_at:
            raise ValidationError({"closes_at": "It must close after it opens."})
        if self.freeze_at and not self.opens_at <= self.freeze_at <= self.closes_at:
            raise ValidationError({"freeze_at": "Freeze the standings while it is open."})


def dates_state(opens_at: datetime, closes_at: datetime) -> str:
    """ "upcoming", "open" or "closed", now."""
    now = timezone.now()
    if now < opens_at:
        return "upcoming"
    return "open" if now < closes_at else "closed"


class Phase(models.Model):
    """A part of a challenge: which split is submitted to, how often, and what is told of it.

    The last one's split is hidden, and ranks."""

    class Feedback(models.TextChoices):
        LIVE = "live", "Scores and standings at once"
        SEALED = "sealed", "Nothing before the final ranking"

    challenge = ParentalKey(Challenge, on_delete=models.CASCADE, related_name="phases")
    name = models.SlugField(max_length=40, help_text="Like “development” or “final”.")
    split = models.ForeignKey(Split, on_delete=models.PROTECT, related_name="+")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    feedback = models.CharField(max_length=8, choices=Feedback, default=Feedback.LIVE)
    daily_limit = models.PositiveIntegerField(null=True, blank=True, help_text="A team's, a day.")
    total_limit = models.PositiveIntegerField(null=True, blank=True, help_text="A team's, in all.")

    class Meta:
        ordering: ClassVar[list[str]] = ["starts_at", "pk"]
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["challenge", "name"], name="phase_name")
        ]

    def __str__(self) -> str:
        return f"{self.challenge_id}/{self.name}"

    @property
    def state(self) -> str:
        return dates_state(self.starts_at, self.ends_at)

    @property
    def is_live(self) -> bool:
        """Whether its scores are told while it goes on."""
        return self.feedback == self.Feedback.LIVE

    def holds(self, moment: datetime) -> bool:
        return self.starts_at <= moment < self.ends_at


class Participation(models.Model):
    """A team in a challenge, and what the organisers decided about it."""

    class State(models.TextChoices):
        PENDING = "pending", "Waiting for approval"
        ACCEPTED = "accepted", "Accepted"
        DECLINED = "declined", "Declined"
        DISQUALIFIED = "disqualified", "Disqualified"
        LEFT = "left", "Left"

    challenge = models.ForeignKey(Challenge, on_delete=models.CASCADE, related_name="participations")  # fmt: skip
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="participations")
    state = models.CharField(max_length=12, choices=State, default=State.ACCEPTED)
    reason = models.CharField(
        max_length=500, blank=True, help_text="Shown to the team and to admins, to nobody else."
    )
    joined_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    rules_accepted_at = models.DateTimeField()
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    chosen = models.ForeignKey(
        Submission, null=True, blank=True, on_delete=models.SET_NULL, related_name="+",
        help_text="What counts at the end; otherwise the benchmark's rule decides.",
    )  # fmt: skip
    counted = models.ForeignKey(
        Submission, null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="+",
        help_text="What counted when the final ranking was published: that stays so.",
    )  # fmt: skip
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at"]
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["challenge", "team"], name="one_participation")
        ]

    def __str__(self) -> str:
        return f"{self.team} in {self.challenge}"


class Standing(Ranked):
    """A row of a challenge's standings, made anew like an `Entry`: of a phase, or of the final
    ranking."""

    challenge = models.ForeignKey(Challenge, on_delete=models.CASCADE, related_name="standings")
    phase = models.ForeignKey(Phase, on_delete=models.CASCADE, related_name="standings")
    is_final = models.BooleanField(default=False)
    is_withdrawn = models.BooleanField(
        default=False, help_text="Its team took it back after the final ranking: a gap stays."
    )
    submission = models.ForeignKey(Submission, on_delete=models.CASCADE, related_name="+")

    class Meta:
        ordering: ClassVar[list[Any]] = [models.F("score").desc(nulls_last=True), "scored_at", "pk"]
        indexes: ClassVar[list[Any]] = [
            models.Index(
                "phase", "is_final", models.F("score").desc(nulls_last=True), "scored_at", "id",
                name="standing_order",
            )
        ]  # fmt: skip


def unranked_phases() -> models.QuerySet[Phase]:
    """Phases of challenges that have no final ranking yet. A draft that was never published has none:
    who may only save one shuts no split. One that was unpublished keeps its splits shut."""
    been = models.Q(challenge__live=True) | models.Q(challenge__first_published_at__isnull=False)
    return Phase.objects.filter(been, challenge__published_at=None)


def _shutting() -> models.QuerySet[Phase]:
    """Sealed phases of challenges that have begun and have no final ranking yet."""
    return unranked_phases().filter(
        feedback=Phase.Feedback.SEALED, challenge__opens_at__lte=timezone.now()
    )


def sealing(split: str = "split") -> models.QuerySet[Phase]:
    """Phases that keep a hidden split shut, until their challenge's final ranking. Until then it takes
    nothing but theirs, and nothing of it is told: otherwise the benchmark's own table would be a
    second way to the same scores.

    Args:
        split: how the rows that it is asked of name their split.
    """
    return _shutting().filter(split=models.OuterRef(split), split__is_public=False)


def sealed_by(split: Split) -> Challenge | None:
    """The challenge that keeps a split shut now; no query of a public one."""
    if split.is_public:
        return None
    return Challenge.objects.filter(phases__in=_shutting().filter(split=split)).first()


def entries_shown() -> models.QuerySet[Entry]:
    """Rows of tables that anybody may see now."""
    return Entry.objects.exclude(models.Exists(sealing("submission__split")))


def told() -> models.Q:
    """Of submissions: those whose scores anybody may see. One to a challenge may be seen once the
    challenge's ranking is published, and never while its team is disqualified or has left; any other
    while no challenge keeps its split shut."""
    inside = Participation.objects.filter(
        challenge=models.OuterRef("phase__challenge"), team=models.OuterRef("team"),
        state=Participation.State.ACCEPTED,
    )  # fmt: skip
    ended = models.Q(models.Exists(inside), phase__challenge__published_at__isnull=False)
    return (models.Q(phase=None) & ~models.Q(models.Exists(sealing()))) | ended
