"""Applications for research credits, and what happened to each."""

from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q


class CreditApplication(models.Model):
    """What somebody wants to find out and needs for it; what was decided, and what came of it."""

    class State(models.TextChoices):
        DRAFT = "draft", "Draft"
        SUBMITTED = "submitted", "Waits for a decision"
        ASKED = "asked", "Waits for the applicant's answer"
        HALF = "half", "Approved by one, waits for a second"
        APPROVED = "approved", "Approved"
        DECLINED = "declined", "Declined"
        WITHDRAWN = "withdrawn", "Withdrawn"

    OPEN: ClassVar[tuple[str, ...]] = ("draft", "submitted", "asked", "half")
    """States of which an account has one at most."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="credit_applications"
    )
    state = models.CharField(max_length=10, choices=State, default=State.DRAFT)
    is_affiliated = models.BooleanField(
        "I study or work at a university, or a research institution that is not for profit",
        default=False,
    )
    is_noncommercial = models.BooleanField(
        "The work is not for a product or a client", default=False
    )
    will_publish = models.BooleanField(
        "I mean to publish what comes of it, also where it fails", default=False
    )
    full_name = models.CharField("your name", max_length=120, blank=True)
    institution = models.CharField(max_length=160, blank=True)
    role = models.CharField("what you do there", max_length=120, blank=True)
    work_address = models.EmailField(
        "mail address at the institution", blank=True, help_text="Or your ORCID below."
    )
    orcid = models.CharField(
        "ORCID", max_length=19, blank=True, help_text="As in 0000-0002-1825-0097."
    )
    title = models.CharField("title of the work", max_length=160, blank=True)
    aim = models.TextField("what you want to find out", max_length=2000, blank=True)
    method = models.TextField("how", max_length=3000, blank=True)
    dataset = models.CharField("on which data", max_length=400, blank=True)
    outputs = models.TextField(
        "what will come of it", max_length=1000, blank=True,
        help_text="A paper, a thesis, an entry on a leaderboard, code, data.",
    )  # fmt: skip
    links = models.TextField(
        "links", max_length=1000, blank=True, help_text="Earlier work, a repository; one a line."
    )
    images = models.PositiveIntegerField("images", null=True, blank=True)
    training_minutes = models.PositiveIntegerField("training minutes", null=True, blank=True)
    needed_until = models.DateField("needed until", null=True, blank=True)
    approved_images = models.PositiveIntegerField(null=True, blank=True)
    approved_minutes = models.PositiveIntegerField(null=True, blank=True)
    expires_on = models.DateField(null=True, blank=True)
    first_approver = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    report = models.TextField(max_length=4000, blank=True, help_text="What came of it.")
    reported_at = models.DateTimeField(null=True, blank=True)
    submitted_at = models.DateTimeField(null=True, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "credit application"
        ordering: ClassVar[list[str]] = ["-created_at"]
        indexes: ClassVar[list[Any]] = [
            models.Index(fields=["state", "submitted_at"], name="credit_queue")
        ]
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(
                fields=["user"], condition=Q(state__in=("draft", "submitted", "asked", "half")),
                name="one_open_application",
            )
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.title or f"Application {self.pk}"

    def review_until(self, days: int) -> datetime | None:
        """When it is to be decided; None before it was sent in."""
        return self.submitted_at + timedelta(days=days) if self.submitted_at else None

    @property
    def history(self) -> str:
        """All that happened to it, with notes, for admins."""
        lines = [
            f"{e.created_at:%Y-%m-%d %H:%M} {e.get_kind_display()} by {e.by}: {e.text}"
            for e in self.events.select_related("by")
        ]
        return "\n".join(lines)

    @property
    def earlier(self) -> str:
        """What else its applicant has applied for."""
        others = CreditApplication.objects.filter(user=self.user_id).exclude(pk=self.pk)
        return "\n".join(f"{o.created_at:%Y-%m-%d} {o}: {o.get_state_display()}" for o in others)

    @property
    def is_editable(self) -> bool:
        """Whether its applicant may change it."""
        return self.state in (self.State.DRAFT, self.State.ASKED)


class CreditAttachment(models.Model):
    """A file that an applicant sends along: a letter, a plan, a figure. Admins and the applicant read it."""

    application = models.ForeignKey(
        CreditApplication, on_delete=models.CASCADE, related_name="attachments"
    )
    name = models.CharField(max_length=120, help_text="As the applicant's machine called it.")
    media_type = models.CharField(max_length=40)
    size = models.PositiveIntegerField(help_text="In bytes.")
    file = models.CharField(max_length=120, help_text="Its file in the private storage.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["pk"]

    def __str__(self) -> str:
        return self.name


class CreditOutcome(models.Model):
    """One thing that came of a grant, with its address."""

    class Kind(models.TextChoices):
        PAPER = "paper", "Paper"
        ENTRY = "entry", "Leaderboard entry"
        CODE = "code", "Code"
        DATA = "data", "Data set"
        OTHER = "other", "Something else"

    application = models.ForeignKey(
        CreditApplication, on_delete=models.CASCADE, related_name="outcomes"
    )
    kind = models.CharField(max_length=10, choices=Kind)
    title = models.CharField(max_length=200)
    url = models.URLField("address", max_length=300)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["pk"]
        constraints: ClassVar[list[Any]] = [
            models.UniqueConstraint(fields=["application", "url"], name="one_outcome_an_address")
        ]

    def __str__(self) -> str:
        return self.title


class CreditEvent(models.Model):
    """One thing that happened to an application; a note is for admins alone."""

    class Kind(models.TextChoices):
        SUBMITTED = "submitted", "Sent in"
        ASKED = "asked", "Asked"
        ANSWERED = "answered", "Answered"
        HALF = "half", "Approved once"
        APPROVED = "approved", "Approved"
        DECLINED = "declined", "Declined"
        WITHDRAWN = "withdrawn", "Withdrawn"
        REPORTED = "reported", "Reported back"
        NOTE = "note", "Note"

    application = models.ForeignKey(
        CreditApplication, on_delete=models.CASCADE, related_name="events"
    )
    kind = models.CharField(max_length=10, choices=Kind)
    text = models.TextField(max_length=4000, blank=True)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["created_at", "pk"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}, {self.created_at:%Y-%m-%d}"

    @property
    def is_internal(self) -> bool:
        return self.kind in (self.Kind.NOTE, self.Kind.HALF)
